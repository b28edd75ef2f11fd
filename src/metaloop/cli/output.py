"""What verbs write on stdout: one JSON object, or figures and tables for people."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

from metaloop.core.errors import OutputError
from metaloop.core.strict_json import json_values

_PIPE_WIDTH = 160  # characters; where nobody looks a table need not fold


@contextmanager
def result_alone() -> Iterator[None]:
    """Keeps stdout for the result: what libraries print there meanwhile goes to stderr.

    Ray tells so of machines that were lost, whatever it is told about its log.
    """
    with redirect_stdout(sys.stderr):
        yield


def print_json(content: Mapping[str, Any]) -> None:
    """Prints one JSON object on one line; numbers that are not finite become null."""
    print(json.dumps(json_values(content), allow_nan=False, default=str))


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()
) -> None:
    """Prints a table; the columns called `numbers` stand to the right."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in columns:
        right = name in numbers
        table.add_column(name, justify="right" if right else "left", no_wrap=right)
    for row in rows:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    console = Console(width=width, markup=False, highlight=False, emoji=False)
    with console.capture() as captured:  # rich would end the process when the reader goes away
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def tidy_streams() -> None:
    """Lets stdout and stderr take any file name and any letter, whatever the locale.

    One that was closed becomes nothing, or the next file that is opened would get its number, and
    `print` would write on stdout what is meant for stderr. Raises `OutputError` if that is stdout.
    """
    closed = [number for number in (0, 1, 2) if not _is_open(number)]
    for _ in closed:
        os.open(os.devnull, os.O_RDWR)  # the smallest number that is free
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            utf8 = (stream.encoding or "").lower().replace("-", "") == "utf8"
            stream.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")
    if 1 in closed:
        raise OutputError("stdout is closed, so no one would get the result; open it, or > FILE")


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
