"""Pipelines joined: means of what they tell, weighted by greedy choice on rows they have not learned.

Caruana et al. 2004, "Ensemble selection from libraries of models": the one that helps most is added,
with replacement. What the choice is worth is told by rows that it was not made on: half of the folds
choose, the other half says.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metaloop.domains.tables.scoring import TABLE_METRICS, lifted

_ROUNDS, _MEMBERS = 16, 4
_LEAST_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class Told:
    """What every pipeline has told of rows it has not learned from, their folds and targets."""

    outputs: Mapping[str, np.ndarray]
    targets: np.ndarray
    folds: np.ndarray
    common: np.ndarray
    metric: str

    def score(self, outputs: np.ndarray, rows: np.ndarray) -> tuple[float, float]:
        """Returns the best score over lifts on these rows, higher is better, and the lift."""
        how = TABLE_METRICS[self.metric]
        found = [
            how.sign * how.value(
                lifted(outputs[rows], self.common, lift) if how.for_classes else outputs[rows],
                self.targets[rows],
            )
            for lift in how.lifts
        ]  # fmt: skip
        best = int(np.argmax(found))
        return found[best], how.lifts[best]

    def mixed(self, weights: Mapping[str, float]) -> np.ndarray:
        """Returns the weighted mean of what pipelines have told."""
        return np.asarray(sum(share * self.outputs[name] for name, share in weights.items()))


@dataclass(frozen=True)
class Ensemble:
    """Weights by pipeline, the lift, and how much better it is than the best alone, fairly told."""

    weights: Mapping[str, float]
    lift: float
    gain: float


def ensemble_of(told: Told, best: str) -> Ensemble | None:
    """Returns pipelines joined if that is better than the best one alone; None if not."""
    if len(told.outputs) < 2:
        return None
    halves = told.folds % 2
    gains = []
    for half in (0, 1):
        choose, say = np.flatnonzero(halves == half), np.flatnonzero(halves != half)
        if not len(choose) or not len(say):
            return None
        weights = _greedy(told, best, choose)
        if weights is None:
            return None
        lift = told.score(told.mixed(weights), choose)[1]
        alone = told.score(told.outputs[best], choose)[1]
        gains.append(
            _fixed(told, told.mixed(weights), say, lift)
            - _fixed(told, told.outputs[best], say, alone)
        )
    gain = float(np.mean(gains))
    everything = np.arange(len(told.targets))
    weights = _greedy(told, best, everything)
    if gain <= 0 or weights is None or len(weights) < 2:
        return None
    return Ensemble(weights, told.score(told.mixed(weights), everything)[1], gain)


def _fixed(told: Told, outputs: np.ndarray, rows: np.ndarray, lift: float) -> float:
    how = TABLE_METRICS[told.metric]
    seen = lifted(outputs[rows], told.common, lift) if how.for_classes else outputs[rows]
    return how.sign * how.value(seen, told.targets[rows])


def _greedy(told: Told, best: str, rows: np.ndarray) -> dict[str, float] | None:
    chosen: list[str] = [best]
    total = told.outputs[best].copy()
    leading, kept = told.score(total, rows)[0], 1
    for size in range(2, _ROUNDS + 1):
        known = set(chosen)
        able = known if len(known) >= _MEMBERS else told.outputs
        scores = {n: told.score((total + told.outputs[n]) / size, rows)[0] for n in able}
        name = max(scores, key=lambda n: scores[n])
        chosen.append(name)
        total = total + told.outputs[name]
        if scores[name] > leading:
            leading, kept = scores[name], size
    return _shares(chosen[:kept])


def _shares(chosen: Sequence[str]) -> dict[str, float]:
    counts = {name: chosen.count(name) / len(chosen) for name in dict.fromkeys(chosen)}
    counts = {name: share for name, share in counts.items() if share >= _LEAST_SHARE} or counts
    whole = sum(counts.values())
    return {name: share / whole for name, share in counts.items()}
