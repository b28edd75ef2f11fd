"""Paths as they are given to the command: `~` is the home folder wherever it stands."""

from __future__ import annotations

import os
import re

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
