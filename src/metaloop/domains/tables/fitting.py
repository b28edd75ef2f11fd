"""A pipeline for tables, fitted: its encoding and its learner, and what it says of new rows."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from metaloop.domains.tables.encoding import State, encode, fit_encoding
from metaloop.domains.tables.frame import Frame
from metaloop.domains.tables.pipelines import table_pipeline

_AT_ONCE, _FEWEST_AT_ONCE = 20_000, 1000  # rows
_PAIRS = 100_000_000  # rows times pairs of classes, which machines of support vectors tell at once
_MANY, _LEAVES = 20_000, 10_000  # rows that a forest is not thinned for; leaves beyond them
_SHARES = 40_000_000  # numbers in a forest, a share of each class in every node: 320 MB
_FEWEST_TREES, _NODES = 50, 1.5  # trees of many classes; nodes of a tree for each row


@dataclass(frozen=True, eq=False)
class FittedPipeline:
    """What is fitted of a pipeline; `classes` 0: it tells numbers, in units of `scale`.

    `parts`: the same pipeline fitted to parts of the rows. All of these together count as much as
    what is fitted to all rows.
    """

    name: str
    classes: int
    states: Mapping[str, State]
    learner: Any
    middle: float = 0.0
    scale: float = 1.0
    parts: tuple[FittedPipeline, ...] = ()

    def outputs(self, frame: Frame) -> np.ndarray:
        """Returns a share for each class `[n, classes]`, or values `[n]`; float64."""
        whole = self._outputs(frame)
        if not self.parts:
            return whole
        others = sum(part.outputs(frame) for part in self.parts) / len(self.parts)
        return np.asarray((whole + others) / 2)

    def _outputs(self, frame: Frame) -> np.ndarray:
        way = table_pipeline(self.name).way
        at_once = min(_AT_ONCE, max(_FEWEST_AT_ONCE, _PAIRS // max(1, self.classes) ** 2))
        found = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for start in range(0, max(1, len(frame)), at_once):
                rows = np.arange(start, min(len(frame), start + at_once))
                found.append(self._told(encode(frame.take(rows), self.states, way)))
        return np.concatenate(found)

    def _told(self, inputs: np.ndarray) -> np.ndarray:
        if not self.classes:
            return np.asarray(self.learner.predict(inputs), np.float64) * self.scale + self.middle
        known = np.asarray(self.learner.classes_, np.int64)
        if hasattr(self.learner, "predict_proba"):
            shares = np.asarray(self.learner.predict_proba(inputs), np.float64)
        else:
            shares = _shares(np.asarray(self.learner.decision_function(inputs), np.float64))
        whole = np.zeros((len(inputs), self.classes))
        whole[:, known] = np.nan_to_num(shares)
        return whole


def fit_pipeline(
    name: str, frame: Frame, targets: np.ndarray, classes: int, seed: int
) -> FittedPipeline:
    """Returns the pipeline of this name, fitted to rows and their targets.

    `targets` are places of classes, or numbers where `classes` is 0. The encoding is fitted to these
    rows as well. What the learner's library raises is the caller's.
    """  # noqa: E501
    pipeline = table_pipeline(name)
    learner = pipeline.make(classes > 0, seed % (1 << 31))
    _kept_small(learner, len(frame), classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        states = fit_encoding(frame, pipeline.way, seed)
        inputs = encode(frame, states, pipeline.way)
        if classes:
            learner.fit(inputs, targets)
            return FittedPipeline(name, classes, states, learner)
        middle, scale = float(targets.mean()), float(targets.std()) or 1.0
        learner.fit(inputs, (targets - middle) / scale)
    return FittedPipeline(name, 0, states, learner, middle, scale)


def _kept_small(learner: Any, rows: int, classes: int) -> None:
    """Lets the leaves of forests grow with rows and classes: whole trees would be gigabytes."""
    if type(learner).__name__[:5] not in ("Extra", "Rando"):
        return
    leaf, trees = int(learner.min_samples_leaf), int(learner.n_estimators)
    if rows > _MANY:
        leaf = max(leaf, rows // _LEAVES)
        trees = min(trees, 200 if rows <= 2 * _MANY else 100)
    shares = _NODES * rows * max(1, classes)  # in a tree that is grown to single rows
    leaf = max(leaf, int(np.ceil(shares * _FEWEST_TREES / _SHARES)))
    trees = int(np.clip(_SHARES * leaf // shares, min(_FEWEST_TREES, trees), trees))
    learner.set_params(min_samples_leaf=leaf, n_estimators=trees)


def _shares(margins: np.ndarray) -> np.ndarray:
    """Shares of classes from margins of a support vector machine: its own are another fit."""
    if margins.ndim == 1:
        margins = np.stack([-margins, margins], axis=1)
    raised = np.exp(margins - margins.max(1, keepdims=True))
    return np.asarray(raised / raised.sum(1, keepdims=True))
