"""What a fitted pipeline goes by: what it loses without a column, and how it answers along one.

Permutation importance (Breiman 2001): a column's values are shuffled among rows that were not
learned from. Partial dependence (Friedman 2001): the mean answer where all rows have the same value
in one column. Columns that are alike share what they know; neither figure says what causes what.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from metaloop.domains.tables.fitting import FittedPipeline
from metaloop.domains.tables.frame import Column, Frame
from metaloop.domains.tables.scoring import TABLE_METRICS, lifted

_REPEATS, _ROWS = 3, 1000
_CURVES, _POINTS, _WORDS, _CURVE_ROWS, _CURVE_CLASSES = 6, 12, 8, 200, 4


def explain(
    fitted: FittedPipeline,
    frame: Frame,
    targets: np.ndarray,
    metric: str,
    common: np.ndarray,
    lift: float,
    until: float,
    seed: int,
) -> dict[str, Any]:
    """Returns `importances`, most first, and `curves` of the first columns, as JSON values.

    Stops when the clock (`time.perf_counter`) says `until`: `complete` tells whether it came so far.
    An importance is the mean loss of the metric, in its unit, with its deviation over shuffles.
    """  # noqa: E501
    rng = np.random.default_rng(seed)
    how = TABLE_METRICS[metric]
    if len(frame) > _ROWS:
        rows = np.sort(rng.permutation(len(frame))[:_ROWS])
        frame, targets = frame.take(rows), targets[rows]

    def value(rows: Frame) -> float:
        outputs = fitted.outputs(rows)
        return how.value(lifted(outputs, common, lift) if how.for_classes else outputs, targets)

    whole = value(frame)
    found: list[dict[str, Any]] = []
    complete = True
    for column in frame.schema:
        losses = []
        for _ in range(_REPEATS):
            if time.perf_counter() > until:
                complete = False
                break
            values = frame.values[column.name][rng.permutation(len(frame))]
            losses.append(how.sign * (whole - value(frame.with_values(column.name, values))))
        if losses:
            found.append({
                "column": column.name, "loss": float(np.mean(losses)),
                "deviation": float(np.std(losses)),
            })  # fmt: skip
    found.sort(key=lambda row: -row["loss"])
    curves = []
    known = {column.name: column for column in frame.schema}
    for row in found[:_CURVES]:
        if time.perf_counter() > until:
            complete = False
            break
        curve = _curve(fitted, frame, known[row["column"]], rng)
        curves += [] if curve is None else [curve]
    return {"importances": found, "curves": curves, "value": whole, "complete": complete}


def _curve(
    fitted: FittedPipeline, frame: Frame, column: Column, rng: np.random.Generator
) -> Mapping[str, Any] | None:
    """The mean answer along a column of numbers, dates or words; None along texts."""
    rows = frame.take(rng.permutation(len(frame))[:_CURVE_ROWS])
    values = frame.values[column.name]
    if values.dtype == object:
        return None
    if values.dtype.kind == "f":
        known = values[np.isfinite(values)]
        points = (
            np.unique(np.quantile(known, np.linspace(0.02, 0.98, _POINTS))) if len(known) else known
        )
        ticks: list[Any] = [float(point) for point in points]
    else:
        counts = np.bincount(values[values >= 0], minlength=len(column.words))
        points = np.argsort(-counts, kind="stable")[: min(_WORDS, int((counts > 0).sum()))]
        ticks = [column.words[place] for place in points]
    if len(points) < 2:
        return None
    answers = [
        fitted.outputs(rows.with_values(column.name, np.full(len(rows), point, values.dtype))).mean(
            0
        )
        for point in points
    ]
    found = np.array(answers)
    found = found[:, None] if found.ndim == 1 else found
    shown = [0]
    if fitted.classes == 2:
        shown = [1]
    elif fitted.classes:
        shown = sorted(np.argsort(-np.ptp(found, axis=0), kind="stable")[:_CURVE_CLASSES].tolist())
    return {
        "column": column.name, "kind": column.kind, "at": ticks,
        "classes": shown if fitted.classes else [],
        "answers": [[float(a) for a in found[:, place]] for place in shown],
    }  # fmt: skip
