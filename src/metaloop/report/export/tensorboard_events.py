"""TensorBoard's event files of a run: a curve for each trial, and the best so far.

Each trial is a folder with the scalars `loss` and `METRIC` over its steps. `best_so_far` has the
leader's figure on `search` over CPU-seconds (rounded: TensorBoard counts in whole steps).
Files are written by TensorBoard's own record writer; no time and no name of the machine goes in
that is not in the archive.
"""

# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from metaloop.archive import StoredTrial
from metaloop.report.export.extras import missing_extra
from metaloop.report.progress import progress_of
from metaloop.report.reading import Records
from metaloop.report.standing import label, short

_LONGEST_NAME = 60  # characters of a label in the name of a folder
_UNFIT = re.compile(r"[^A-Za-z0-9._=,-]+")

Scalar = tuple[float, int, str, float]  # time in seconds since 1970, step, tag, value


def write_events(records: Records, folder: Path) -> None:
    """Writes a folder that `tensorboard --logdir` shows.

    Raises `MissingExtraError` where TensorBoard is not installed.
    """
    write = _writer()
    folder.mkdir()
    metric = records.metric or "value"
    for stored in records.trials:
        write(folder / _name(records, stored), _curve(stored, metric))
    start = _seconds(records.tries[0].started) if records.tries else 0.0
    leaders = [
        (start + dot.cpu_seconds, round(dot.cpu_seconds), metric, dot.result.value)
        for dot in progress_of(records).leaders
    ]
    write(folder / "best_so_far", leaders)


def _writer() -> Callable[[Path, Iterable[Scalar]], None]:
    try:
        from tensorboard.compat.proto.event_pb2 import Event  # optional extra
        from tensorboard.compat.proto.summary_pb2 import Summary  # optional extra
        from tensorboard.summary.writer.record_writer import RecordWriter  # optional extra
    except ImportError as error:
        raise missing_extra("tensorboard", "tensorboard") from error

    def write(folder: Path, scalars: Iterable[Scalar]) -> None:
        """Writes one event file, empty folders are left out."""
        known = list(scalars)
        if not known:
            return
        folder.mkdir()
        with (folder / "events.out.tfevents.0.metaloop").open("wb") as file:
            writer: Any = RecordWriter(file)
            begun = Event(wall_time=known[0][0], file_version="brain.Event:2")
            writer.write(begun.SerializeToString())
            for time, step, tag, value in known:
                summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
                event = Event(wall_time=time, step=step, summary=summary)
                writer.write(event.SerializeToString())

    return write


def _curve(stored: StoredTrial, metric: str) -> Iterable[Scalar]:
    start = _seconds(stored.started)
    for point in stored.trial.curve:
        time = start + point.wall_seconds
        if math.isfinite(point.loss):
            yield time, point.step, "loss", point.loss
        if point.value is not None and math.isfinite(point.value):
            yield time, point.step, metric, point.value


def _name(records: Records, stored: StoredTrial) -> str:
    """`0007-protonet-strided-1a2b3c4d`: what any file system can hold, in order of trials."""
    candidate = records.candidates[stored.trial.candidate].candidate
    told = _UNFIT.sub("-", label(candidate))[:_LONGEST_NAME].strip("-.")
    return f"{stored.id:04d}-{told}-{_UNFIT.sub('-', short(stored.trial.candidate))}"


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
