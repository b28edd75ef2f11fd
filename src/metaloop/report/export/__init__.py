"""Exports of a run for other tools: tables, studies, experiments, events, runs.

Each is written whole or not at all, to a place where nothing is; only what goes to a server goes
there trial by trial.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from metaloop.core.errors import OutputError, unknown_name
from metaloop.report.export.csv_files import write_csv
from metaloop.report.export.mlflow_experiment import log_experiment, write_experiment
from metaloop.report.export.optuna_study import write_study
from metaloop.report.export.tensorboard_events import write_events
from metaloop.report.export.wandb_runs import write_runs
from metaloop.report.files import fresh
from metaloop.report.reading import Records


@dataclass(frozen=True)
class Format:
    """A kind of export: what is written, and how; `send` writes to a URI, where that can be."""

    summary: str
    write: Callable[[Records, Path], None]
    send: Callable[[Records, str], None] | None = None


FORMATS: Mapping[str, Format] = {
    "csv": Format("a folder of CSV files, one for each kind of record", write_csv),
    "mlflow": Format(
        "an SQLite file, or a tracking URI, with an MLflow experiment",
        write_experiment,
        log_experiment,
    ),
    "optuna": Format("an SQLite file with an Optuna study", write_study),
    "tensorboard": Format("a folder of event files for TensorBoard", write_events),
    "wandb": Format("a folder of offline runs for Weights & Biases", write_runs),
}


def export(records: Records, to: str, out: Path) -> Path:
    """Returns `out` after writing the run there in the format called `to`.

    Raises `UnknownNameError` for another format, `OutputError` where it cannot be written, and
    `MissingExtraError` where the package for it is not installed.
    """
    known = _known(to)
    with fresh(out) as path:
        known.write(records, path)
    return out


def send(records: Records, to: str, uri: str) -> None:
    """Writes the run to a server; the errors are those of `export`."""
    known = _known(to)
    if known.send is None:
        raise OutputError(f"'{uri}' is a URI, and {to} is written to a path; give one with --out")
    known.send(records, uri)


def _known(to: str) -> Format:
    if to not in FORMATS:
        raise unknown_name("format", to, FORMATS)
    return FORMATS[to]
