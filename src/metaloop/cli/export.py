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
        str,
        typer.Option(
            metavar="FORMAT", help="csv, mlflow, optuna, tensorboard or wandb.", show_default=False
        ),
    ],
    out: Annotated[
        str,
        typer.Option(
            metavar="PATH",
            help="A new folder; for optuna and mlflow a new SQLite file, for mlflow also the URI "
            "of a tracking server.",
            show_default=False,
        ),
    ],
    seed: options.UnusedSeed = 0,
    as_json: options.Json = False,
) -> None:
    """Write a run's records as CSV files or for Optuna, TensorBoard, MLflow or W&B."""
    from metaloop.report import read_run
    from metaloop.report.export import export as export_run
    from metaloop.report.export import send

    if "://" in out:
        send(read_run(run), to, out)
    else:
        out = str(export_run(read_run(run), to, Path(out)))
    if as_json:
        print_json({"format": to, "out": out})
    else:
        print(f"{to}  {out}")
