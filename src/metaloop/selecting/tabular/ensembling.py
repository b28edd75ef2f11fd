"""Pipelines joined: the rule of `selection/ensembling.py`, on what a race has told of all its rows.

An average is fitted without asking whether it is better than the best alone: measured on 39 tables,
a gate costs more than it saves (docs/tables.md). What it is worth is told fold by fold, each with
weights that were chosen on the other folds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from metaloop.core.randomness import numpy_stream
from metaloop.domains.tables.scoring import TABLE_METRICS, lifted
from metaloop.selection.ensembling import (
    best_power,
    class_shares,
    greedy_average,
    greedy_weights,
    tempered,
)

_BAGS = 10
_MOST_MEMBERS, _LEAST_SHARE = 8, 0.02
_MOST_ROWS = 4000  # that weights are chosen on
_MOST_NUMBERS = 20_000_000  # probabilities that are looked at
_BY_SHARE = ("balanced_accuracy", "f1_macro")  # metrics in which classes count alike


@dataclass(frozen=True, eq=False)
class Told:
    """What every pipeline has told of rows it has not learned from, their folds and targets.

    `row_seconds`: how long each takes to tell a row; those that are joined may take `limit`, all
    together, None: however long.
    """

    outputs: Mapping[str, np.ndarray]
    targets: np.ndarray
    folds: np.ndarray
    common: np.ndarray
    metric: str
    seed: int
    row_seconds: Mapping[str, float] = field(default_factory=dict)
    limit: float | None = None

    def rows(self, inside: np.ndarray) -> Told:
        """Returns the same of some rows."""
        outputs = {name: found[inside] for name, found in self.outputs.items()}
        return replace(
            self, outputs=outputs, targets=self.targets[inside], folds=self.folds[inside]
        )

    def of(self, names: Collection[str]) -> Told:
        """Returns what these pipelines alone have told."""
        return replace(self, outputs={n: told for n, told in self.outputs.items() if n in names})


@dataclass(frozen=True)
class Joined:
    """Weights by pipeline, of sum 1, the power that tempers each, and the lift of the average.

    `too_slow`: whose share would have made telling a row take longer than it may.
    """

    weights: Mapping[str, float]
    powers: Mapping[str, float]
    lift: float
    too_slow: tuple[str, ...] = ()

    def plain(self, outputs: Mapping[str, np.ndarray], for_classes: bool) -> np.ndarray:
        """Returns the average of what pipelines have told: probabilities, or values."""
        return np.asarray(
            sum(
                share * (tempered(outputs[n], self.powers[n]) if for_classes else outputs[n])
                for n, share in self.weights.items()
            )
        )


def lift_of(metric: str) -> float:
    """Returns the power of the shares of classes that an average is divided by."""
    return 1.0 if metric in _BY_SHARE else 0.0


def joined(told: Told, most: int = _MOST_MEMBERS) -> Joined:
    """Returns the average of pipelines that the rule chooses, of so many members at most.

    Where they would take longer than the limit for a row, the smallest shares are left out, and
    the rule weighs the others anew. Each of the pipelines must keep the limit alone.
    """
    told = told.rows(_some(told))
    found = _weighed(told, most)
    kept = _within(told, found.weights)
    if len(kept) == len(found.weights):
        return found
    slow = tuple(name for name in found.weights if name not in kept)
    return replace(_weighed(told.of(kept), most), too_slow=slow)


def _within(told: Told, weights: Mapping[str, float]) -> list[str]:
    """The members, the largest first, that keep the limit of a row together."""
    kept: list[str] = []
    left = np.inf if told.limit is None else told.limit
    for name in sorted(weights, key=weights.__getitem__, reverse=True):
        needed = told.row_seconds.get(name, 0.0)
        if needed <= left:
            left -= needed
            kept.append(name)
    assert kept, "no pipeline keeps the limit alone"
    return kept


def _weighed(told: Told, most: int) -> Joined:
    """The average that the rule chooses of all pipelines, however slow."""
    names = list(told.outputs)
    if not TABLE_METRICS[told.metric].for_classes:
        predictions = np.stack([told.outputs[name] for name in names])
        weights = greedy_average(predictions, told.targets)
        return Joined(_kept(names, weights, most), dict.fromkeys(names, 1.0), 0.0)
    targets = told.targets.astype(np.int64)
    powers = {name: best_power(told.outputs[name], targets) for name in names}
    balanced = bool(lift_of(told.metric))
    shares = class_shares(targets, len(told.common), balanced)
    probabilities = np.stack([tempered(told.outputs[name], powers[name]) for name in names])
    weights = greedy_weights(probabilities, targets, shares, bags=_BAGS, seed=told.seed)
    return Joined(_kept(names, weights, most), powers, lift_of(told.metric))


def alone(told: Told | None, name: str, metric: str, lift: float) -> Joined:
    """Returns one pipeline, tempered where it has told rows that it had not learned from."""
    if told is None or not TABLE_METRICS[metric].for_classes:
        return Joined({name: 1.0}, {name: 1.0}, lift)
    some = told.rows(_some(told))
    power = best_power(some.outputs[name], some.targets.astype(np.int64))
    return Joined({name: 1.0}, {name: power}, lift if power == 1 else lift_of(metric))


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """What an average tells of every row by weights that the other folds chose.

    `plain`: probabilities as they are, or values; `of_folds`: value, deviation and rows of each.
    """

    plain: np.ndarray
    of_folds: tuple[tuple[float, float, int], ...]


def cross_fitted(told: Told, most: int = _MOST_MEMBERS) -> CrossFitted:
    """Returns what is told of each fold with weights, powers and lift of the others."""
    how = TABLE_METRICS[told.metric]
    plain: np.ndarray | None = None
    found = []
    for fold in np.unique(told.folds):
        inside = told.folds == fold
        rule = joined(told.rows(~inside), most)
        asked = told.rows(inside)
        outputs = rule.plain(asked.outputs, how.for_classes)
        plain = np.empty((len(inside), *outputs.shape[1:])) if plain is None else plain
        plain[inside] = outputs
        seen = lifted(outputs, told.common, rule.lift) if how.for_classes else outputs
        found.append(
            (how.value(seen, asked.targets), how.deviation(seen, asked.targets), len(seen))
        )
    assert plain is not None
    return CrossFitted(plain, tuple(found))


def _some(told: Told) -> np.ndarray:
    """The rows that weights are chosen on."""
    numbers = len(told.outputs) * max(1, len(told.common))
    most = max(200, min(_MOST_ROWS, _MOST_NUMBERS // numbers))
    rows = np.arange(len(told.targets))
    if len(rows) <= most:
        return rows
    return np.sort(numpy_stream(told.seed, "rows that weigh").permutation(rows)[:most])


def _kept(names: Sequence[str], weights: np.ndarray, most: int) -> dict[str, float]:
    """The largest weights, of sum 1."""
    order = np.argsort(-weights, kind="stable")[:most]
    kept = [place for place in order if weights[place] >= _LEAST_SHARE] or [order[0]]
    whole = float(weights[kept].sum())
    return {names[place]: float(weights[place]) / whole for place in kept}
