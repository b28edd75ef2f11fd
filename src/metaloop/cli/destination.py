"""Where a verb writes: refused before any work is done if it could not be written."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from metaloop.core.errors import OutputError


def expanded(argument: str) -> str:
    """Returns a command-line argument with the home folder for a leading `~`, after `=` as well.

    The shell does so only for words that begin with it: `--out=~/x` comes as it is written.
    """
    option, path = re.fullmatch(r"(--[\w-]+=|)(.*)", argument, re.DOTALL).groups()  # type: ignore[union-attr]
    if not path.startswith("~"):
        return argument
    home = os.path.expanduser(path)
    if home == path and not os.path.lexists(path):
        raise OutputError(
            f"'{path}' names the home folder of nobody; write ./{path} for a file of that name"
        )
    return f"{option}{home}"


def check_destination(out: Path, overwrite: bool = False) -> None:
    """Raises `OutputError` unless a file can be written at `out`, and nothing is there."""
    if out.is_dir():
        raise OutputError(f"'{out}' is a folder; --out names the model file to write")
    if not out.parent.is_dir():
        raise OutputError(f"cannot write '{out}': there is no folder '{out.parent}'")
    if not overwrite and os.path.lexists(out):
        raise OutputError(f"'{out}' already exists; choose another --out or remove it first")
    probe = out.with_name(f".{secrets.token_hex(6)}.metaloop.tmp")
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise OutputError(f"cannot write in '{out.parent}': {error.strerror}") from error
