"""`metaloop export`: a run's records for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metaloop.cli import options
from metaloop.cli.output import print_json
from metaloop.cli.report import RunFolder


def export(
    run: RunFolder,
    to: Annotated[
        str, typer.Option(metavar="FORMAT", help="csv, optuna or tensorboard.", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="PATH", help="A new folder, for optuna a new SQLite file.", show_default=False
        ),
    ],
    seed: options.UnusedSeed = 0,
    as_json: options.Json = False,
) -> None:
    """Write a run's records as CSV files, as an Optuna study or as TensorBoard's events."""
    from metaloop.report import read_run
    from metaloop.report.export import export as export_run

    path = export_run(read_run(run), to, out)
    if as_json:
        print_json({"format": to, "out": str(path)})
    else:
        print(f"{to}  {path}")
