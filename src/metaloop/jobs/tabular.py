"""What a worker does with a pipeline for tables: a fold, the last fit, or what it goes by. No torch.

table/card.json      columns, number of classes, metric
      numbers.npy, codes.npy, ...  columns of rows that may be learned from; `test` is not there
      targets.npy    their targets;  order.npy: a random order, classes evenly;  folds.npy: [repeats, n]
N.outputs.npy        what the pipeline of job N said of the rows that it was checked on
N.skops              the fitted pipeline of job N
"""  # noqa: E501

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from metaloop.core.errors import MachineError
from metaloop.domains.tables.explaining import explain
from metaloop.domains.tables.fitting import FittedPipeline, fit_pipeline
from metaloop.domains.tables.frame import Column, Frame, read_frame, row_hashes, write_frame
from metaloop.domains.tables.scoring import TABLE_METRICS, lifted
from metaloop.domains.tables.storing import stored
from metaloop.executors.base import Report, Work

FOLD, FINAL, EXPLAIN = "table fold", "table final", "table explain"
_SET = "table"
_PACKED_ROWS = 10_000  # of more the files are large, and packing them takes seconds
_PART = 1.5  # times what a part of a last fit should take


@dataclass(frozen=True)
class TableRequest:
    """Which pipeline, on which rows: all but those of a fold, `most` of them in the set's order.

    `fold` -1: all rows. At most `checked` rows of the fold are told. `seconds`: what may be spent.
    `bagged`: a last fit has what was learned in the folds as well.
    """

    number: int
    pipeline: str
    seed: int
    repeat: int = 0
    fold: int = -1
    most: int = 0
    checked: int = 0
    lift: float = 0.0
    seconds: float = 0.0
    bagged: bool = False


@dataclass(frozen=True)
class FoldResult:
    """What a pipeline has on a fold: value and deviation for each lift; rows that it learned from."""  # noqa: E501

    values: tuple[float, ...]
    deviations: tuple[float, ...]
    rows: int
    checked: int
    fit_seconds: float
    tell_seconds: float


@dataclass(frozen=True, eq=False)
class KnownRows:
    """What workers may see of a table."""

    frame: Frame
    targets: np.ndarray
    order: np.ndarray
    folds: np.ndarray
    classes: int
    metric: str
    common: np.ndarray

    def rows(self, request: TableRequest) -> tuple[np.ndarray, np.ndarray]:
        """Returns the rows to learn from and those to be told, both in the order of the set."""
        inside = self.folds[request.repeat][self.order] == request.fold
        learned = self.order[~inside]
        checked = self.order[inside]
        learned = learned[: request.most] if request.most else learned
        return learned, checked[: request.checked] if request.checked else checked


def ship_table(known: KnownRows, folder: Path) -> None:
    """Writes what workers may see of a table into the folder of a run's states."""
    place = folder / _SET
    write_frame(known.frame, place)
    for name in ("targets", "order", "folds", "common"):
        np.save(place / f"{name}.npy", getattr(known, name), allow_pickle=False)
    card = {
        "columns": [asdict(column) for column in known.frame.schema],
        "classes": known.classes,
        "metric": known.metric,
        "digest": _digest(known),
    }
    (place / "card.json").write_text(json.dumps(card), encoding="ascii")


def _digest(known: KnownRows) -> str:
    digest = hashlib.sha256(row_hashes(known.frame).tobytes())
    for array in (known.targets, known.order, known.folds):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def table_works(folder: Path) -> Mapping[str, Work]:
    """Returns what is done in this folder, by name, as executors have it."""
    return {
        FOLD: partial(_measured, folder),
        FINAL: partial(_fitted, folder),
        EXPLAIN: partial(_explained, folder),
    }


def outputs_of(folder: Path, number: int) -> np.ndarray:
    """Returns what the pipeline of a job said; raises `MachineError` where that is gone."""
    try:
        return np.asarray(np.load(folder / f"{number}.outputs.npy", allow_pickle=False))
    except (OSError, ValueError) as error:
        raise MachineError(f"what job {number} has told cannot be read: {error}") from error


def _measured(folder: Path, arguments: Mapping[str, Any], report: Report) -> Mapping[str, Any]:
    request = TableRequest(**arguments)
    known = known_rows(folder)
    learned, checked = known.rows(request)
    begun = time.perf_counter()
    fitted = fit_pipeline(
        request.pipeline, known.frame.take(learned), known.targets[learned], known.classes,
        request.seed,
    )  # fmt: skip
    between = time.perf_counter()
    outputs = fitted.outputs(known.frame.take(checked))
    ended = time.perf_counter()
    if not np.isfinite(outputs).all():
        raise FloatingPointError("it told numbers that are not finite")
    kept = outputs.astype(np.float32) if known.classes else outputs  # 1.7e9 is odd in float32
    np.save(folder / f"{request.number}.outputs.npy", kept)
    values, deviations = measured(known.metric, outputs, known.targets[checked], known.common)
    return asdict(
        FoldResult(values, deviations, len(learned), len(checked), between - begun, ended - between)
    )


def measured(
    metric: str, outputs: np.ndarray, targets: np.ndarray, common: np.ndarray
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns the metric and its deviation for every lift that it may have."""
    how = TABLE_METRICS[metric]
    seen = [lifted(outputs, common, lift) if how.for_classes else outputs for lift in how.lifts]
    return (
        tuple(float(how.value(each, targets)) for each in seen),
        tuple(float(how.deviation(each, targets)) for each in seen),
    )


def _fitted(folder: Path, arguments: Mapping[str, Any], report: Report) -> Mapping[str, Any]:
    request, known = TableRequest(**arguments), known_rows(folder)
    begun = time.perf_counter()
    fitted = last_fit(known, replace(request, bagged=False))
    between = time.perf_counter()
    _keep(fitted, known, last_fit_in(folder, request.number))
    ended = time.perf_counter()
    if request.bagged:
        left = request.seconds and max(1e-9, request.seconds - (ended - begun))
        fitted = with_folds(fitted, known, replace(request, seconds=left), ended - between)
        _keep(fitted, known, last_fit_in(folder, request.number))
    return {
        "rows": request.most or len(known.order),
        "parts": len(fitted.parts),
        "fit_seconds": between - begun,
        "store_seconds": ended - between,
    }


def last_fit_in(folder: Path, number: int) -> Path:
    """Returns where a last fit is: without folds first, for its job may be ended."""
    return folder / f"{number}.skops"


def _keep(fitted: FittedPipeline, known: KnownRows, path: Path) -> None:
    whole = path.with_suffix(".part")
    whole.write_bytes(stored(fitted, packed=len(known.order) <= _PACKED_ROWS))
    whole.replace(path)


def last_fit(known: KnownRows, request: TableRequest) -> FittedPipeline:
    """Returns the pipeline fitted to all known rows, or `most` of them; `with_folds`, if asked."""
    rows = known.order[: request.most] if request.most else np.sort(known.order)
    fitted = fit_pipeline(
        request.pipeline, known.frame.take(rows), known.targets[rows], known.classes, request.seed
    )
    return with_folds(fitted, known, request) if request.bagged else fitted


def with_folds(
    fitted: FittedPipeline, known: KnownRows, request: TableRequest, storing: float = 0.0
) -> FittedPipeline:
    """Returns a pipeline with what it has learned in the first round of folds, as in the race.

    There are as many of these as `seconds` allow (0: however long it takes), with `storing` seconds
    for each.
    """
    begun = time.perf_counter()
    parts: list[FittedPipeline] = []
    for fold in np.unique(known.folds[0]).tolist():
        spent = time.perf_counter() - begun
        each = spent / max(1, len(parts))
        needed = spent + _PART * (each + (len(parts) + 2) * storing)
        if request.seconds and needed > request.seconds:
            break
        learned, _ = known.rows(replace(request, repeat=0, fold=fold))
        parts.append(fit_pipeline(
            request.pipeline, known.frame.take(learned), known.targets[learned], known.classes,
            request.seed,
        ))  # fmt: skip
    return replace(fitted, parts=tuple(parts))


def _explained(folder: Path, arguments: Mapping[str, Any], report: Report) -> Mapping[str, Any]:
    request = TableRequest(**arguments)
    known = known_rows(folder)
    learned, checked = known.rows(request)
    until = time.perf_counter() + request.seconds
    fitted = fit_pipeline(
        request.pipeline, known.frame.take(learned), known.targets[learned], known.classes,
        request.seed,
    )  # fmt: skip
    return explain(
        fitted, known.frame.take(checked), known.targets[checked], known.metric, known.common,
        request.lift, until, request.seed,
    )  # fmt: skip


def known_rows(folder: Path) -> KnownRows:
    """Returns what `ship_table` has written; raises `MachineError` where it cannot be read."""
    place = folder.absolute() / _SET
    try:
        return _opened(place, (place / "card.json").read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise MachineError(f"the data for workers in '{place}' cannot be read ({error})") from error


@lru_cache(maxsize=1)
def _opened(place: Path, text: str) -> KnownRows:
    """The rows in a folder whose card is this text: other rows have another one."""
    card = json.loads(text)
    schema = [Column(**{**each, "words": tuple(each["words"])}) for each in card["columns"]]
    arrays = {
        name: np.load(place / f"{name}.npy", allow_pickle=False)
        for name in ("targets", "order", "folds", "common")
    }
    frame = read_frame(schema, place)
    return KnownRows(frame, **arrays, classes=card["classes"], metric=card["metric"])


def even_order(layers: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns rows in random order, each beginning of which has all classes evenly."""
    shuffled = rng.permutation(len(layers))
    in_layers = np.argsort(layers[shuffled], kind="stable")
    counts = np.bincount(layers)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    place = np.empty(len(layers))
    place[in_layers] = np.arange(len(layers)) - np.repeat(starts, counts)
    share = place / counts[layers[shuffled]]
    return np.asarray(shuffled[np.argsort(share, kind="stable")])
