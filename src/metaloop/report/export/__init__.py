"""Exports of a run for other tools: tables, an Optuna study, TensorBoard's events.

Each is written whole or not at all, to a place where nothing is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from metaloop.core.errors import unknown_name
from metaloop.report.export.csv_files import write_csv
from metaloop.report.export.optuna_study import write_study
from metaloop.report.export.tensorboard_events import write_events
from metaloop.report.files import fresh
from metaloop.report.reading import Records


@dataclass(frozen=True)
class Format:
    """A kind of export: what is written, and how."""

    summary: str
    write: Callable[[Records, Path], None]


FORMATS: Mapping[str, Format] = {
    "csv": Format("a folder of CSV files, one for each kind of record", write_csv),
    "optuna": Format("an SQLite file with an Optuna study", write_study),
    "tensorboard": Format("a folder of event files for TensorBoard", write_events),
}


def export(records: Records, to: str, out: Path) -> Path:
    """Returns `out` after writing the run there in the format called `to`.

    Raises `UnknownNameError` for another format, `OutputError` where it cannot be written, and
    `MissingExtraError` where the package for it is not installed.
    """
    if to not in FORMATS:
        raise unknown_name("format", to, FORMATS)
    with fresh(out) as path:
        FORMATS[to].write(records, path)
    return out
