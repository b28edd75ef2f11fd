"""The commands that make a run again and look into it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from metaloop.report.figures import printable
from metaloop.report.reading import Records

_PLACES = ("data",)  # arguments that stand without a flag


def commands(records: Records) -> tuple[str, ...]:
    """Returns the command of the run with all its arguments, and those that show it."""
    folder = _quoted(records.name or ".")
    shown = (f"metaloop show {folder}", f"metaloop export {folder} --to csv --out {folder}-csv")
    if not records.tries:
        return shown
    last = records.tries[-1]
    again = " ".join(("metaloop", _quoted(last.command), *_arguments(last.arguments)))
    return (again, *shown)


def _arguments(arguments: Mapping[str, Any]) -> list[str]:
    words = [_quoted(str(arguments[name])) for name in _PLACES if arguments.get(name) is not None]
    for name, value in arguments.items():
        if name in _PLACES or value is None or value is False:
            continue
        flag = f"--{_quoted(name.replace('_', '-'))}"
        if value is True:
            words.append(flag)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            words += [f"{flag} {_quoted(str(item))}" for item in value]
        else:
            words.append(f"{flag} {_quoted(str(value))}")
    return words


def _quoted(text: str) -> str:
    """A word that a shell takes as it is; what it cannot hold safely is an escape already."""
    return shlex.quote(printable(text))
