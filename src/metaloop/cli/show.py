"""`metaloop show`: a run, or one of its candidates, in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from metaloop.cli import options
from metaloop.cli.output import print_json
from metaloop.cli.report import RunFolder

if TYPE_CHECKING:
    from rich.console import RenderableType

_PIPE_WIDTH = 160  # characters; where nobody looks a table need not fold


def show(
    run: RunFolder,
    candidate: Annotated[
        str | None,
        typer.Argument(metavar="CANDIDATE", help="An identity, or how it begins: its whole story."),
    ] = None,
    seed: options.UnusedSeed = 0,
    as_json: options.Json = False,
) -> None:
    """Show what a run found: claim, leaderboard, lineage, credits; or one candidate's story."""
    from metaloop.report import find_candidate, read_run, story_json, summary_json
    from metaloop.report.terminal import candidate_story, run_report

    records = read_run(run)
    stored = find_candidate(records, candidate) if candidate is not None else None
    if as_json:
        print_json(story_json(records, stored) if stored else summary_json(records))
    else:
        _print(candidate_story(records, stored) if stored else run_report(records))


def _print(parts: Iterable[RenderableType]) -> None:
    """Prints on stdout; rich would end the process when the reader goes away, `print` does not."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    console = Console(width=width, markup=False, highlight=False, emoji=False)
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))
