"""How an interrupted command goes on: the same words again, and `--resume`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from metaloop.api.speaking import say

_DEFAULTS = {
    "executor": "local",
    "budget": "3m",
    "ways": 5,
    "shots": 1,
    "queries": 15,
    "seed": 0,
    "split_seed": 0,
}
_PLACES = ("archive", "archive_to")


def say_how_to_go_on(verb: str, data: str, given: Mapping[str, Any]) -> None:
    """Writes, on stderr, the command that goes on with an interrupted run."""
    from metaloop.archive.address import place_of  # lazy: SciPy

    words = ["metaloop", verb, data]
    for name, value in given.items():
        values = value if isinstance(value, list) else [value]  # a repeated option
        for each in values:
            if each is None or each is False or each == _DEFAULTS.get(name):
                continue
            shown = place_of(each) if name in _PLACES else each  # a URL without its password
            words += [f"--{name.replace('_', '-')}", *([] if each is True else [str(shown)])]
    say(f"metaloop: go on with: {shlex.join([*words, '--resume'])}")
