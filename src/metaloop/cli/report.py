"""`metaloop report`: one page about a run, from its archive alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metaloop.cli import options
from metaloop.cli.output import print_json

RunFolder = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="The folder of a learn run, or its archive.sqlite."),
]


def report(
    run: RunFolder,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The page to write. (default: report.html in RUN)"),
    ] = None,
    seed: options.UnusedSeed = 0,
    as_json: options.Json = False,
) -> None:
    """Write a page about a run: claim, leaderboard, lineage, credits, openings of test."""
    from metaloop.report import claim_of, read_run, write_report

    records = read_run(run)
    page = write_report(records, run, out)
    claim = claim_of(records)
    if as_json:
        print_json({"report": str(page), "status": records.status, "headline": claim.headline})
        return
    print(claim.headline)
    print(f"report  {page}")
