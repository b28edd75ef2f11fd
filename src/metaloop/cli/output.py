"""What verbs write on stdout: one JSON object, or figures and tables for people."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, TextIO

from metaloop.core.errors import OutputError

_PIPE_WIDTH = 160  # characters; where nobody looks a table need not fold


def print_json(content: Mapping[str, Any]) -> None:
    """Prints one JSON object on one line; numbers that are not finite become null."""
    print(json.dumps(_finite(content), allow_nan=False, default=str))


def figure(result: Mapping[str, Any] | None) -> str:
    """Returns `94.1 ± 0.4 % (± 1.2 new)` for an accuracy, `0.113 ± 0.004 mse` for other metrics.

    The second half-width is for new classes of the family. It is left out where it is not known,
    and where every episode is a task of its own, for then both say the same.
    """
    if result is None:
        return "-"
    value, ci95, metric = result["value"], result["ci95"], result.get("metric", "accuracy")
    scale, places, unit = (100, 1, "%") if metric == "accuracy" else (1, 3, metric)
    said = f"{scale * value:.{places}f} ± {scale * ci95:.{places}f} {unit}"
    new = result.get("ci95_new")
    if new is None or result.get("units") == result.get("episodes", -1):
        return said
    return f"{said} (± {scale * new:.{places}f} new)"


def intervals(result: Mapping[str, Any]) -> str:
    """Returns what the intervals of a figure mean, in words."""
    units, episodes = result.get("units", 0), result["episodes"]
    if result.get("ci95_new") is None:
        what = f"these {units:,} classes" if units > 1 else "these classes"
        return f"95 % interval: on {what}; what it is for new ones cannot be told from them"
    if units == episodes:
        return "95 % interval: for new tasks of the family, each episode being one"
    return (
        f"95 % intervals: ± on these {units:,} classes, (± new) for new classes of the family, of "
        "which these are a sample"
    )


def measured(result: Mapping[str, Any], protocol: Mapping[str, Any]) -> str:
    """Returns a figure in one line with all that it needs to mean something."""
    task = f"{result['ways']}-way {result['shots']}-shot"
    if not result["ways"]:  # the targets are not classes
        task = f"{result['shots']}-shot"
    return (
        f"{figure(result)} ({result['episodes']:,} episodes, {task}, part {protocol['part']}, "
        f"{_POLICIES.get(protocol['norm_policy'], protocol['norm_policy'])})"
    )


_POLICIES = {
    "none": "inductive: no batch norm",
    "running": "inductive: batch norm by running statistics",
    "support": "inductive: batch norm by support statistics",
    "query batch": "transductive: batch norm by the query batch",
}


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


def drop(stream: TextIO) -> None:
    """Sends what is still to be written nowhere: the reader has gone away."""
    with suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)


def say(text: str) -> None:
    """Writes a line on stderr at once; where no one listens any more, nowhere."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        drop(sys.stderr)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
