"""Forests that say which known instances a new one is like, and so which algorithm to run on it.

A forest of many outputs learns the scores of all algorithms at once, each instance's on a scale of
its own range: what separates instances is which algorithm is better, not how hard they are. The
share of trees in which two instances share a leaf is how alike they are (Meinshausen, JMLR 7,
2006), and the algorithm with the least mean *score* among those alike is chosen: PAR10 is a mean,
and a forest that is trained on logarithms of times would forget the tenfold price of a timeout.
Choices for instances of the training part are out of bag. Where these are no better than the single
best algorithm, it is what is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from metaloop.selection.per_instance import (
    Presolver,
    Scenario,
    best_presolver,
    chosen_by_means,
    scores_of_choice,
    single_best,
)

TREES = 300
SHRINKAGES = (0.0, 0.1, 0.3, 0.5, 0.7)  # towards the mean of all instances, tried out of bag
_LEAST_LEAF = 2
_FEATURES = 0.3  # of them, tried at every split
_TINY = 1e-12


@dataclass(frozen=True)
class Chooser:
    """What was learned from the instances of a scenario; `forest` None: always `single`."""

    single: int
    forest: Any
    means: tuple[np.ndarray, ...]  # of each tree, [nodes, algorithms]: mean scores in its leaves
    overall: np.ndarray  # [algorithms]: mean scores of all instances
    medians: np.ndarray
    presolver: Presolver | None
    shrinkage: float

    def choose(self, features: np.ndarray) -> np.ndarray:
        """Returns the algorithm to run for each of these instances."""
        if self.forest is None:
            return np.full(len(features), self.single)
        leaves = self.forest.apply(_filled(features, self.medians))
        told = [means[at] for means, at in zip(self.means, leaves.T, strict=True)]
        return chosen_by_means(np.mean(told, axis=0), self.overall, self.shrinkage)

    def scores_on(self, scenario: Scenario) -> np.ndarray:
        """Returns what the choices cost on each instance; the single best needs no features."""
        if self.forest is None:
            return np.asarray(scenario.scores[:, self.single])
        return scores_of_choice(scenario, self.choose(scenario.features), self.presolver)


def learned(scenario: Scenario, seed: int = 0, trees: int = TREES) -> Chooser:
    """Returns a chooser learned from all instances of a scenario."""
    from sklearn.ensemble import RandomForestRegressor  # lazy: half a second

    scores = scenario.scores
    medians = np.nan_to_num(np.nanmedian(_known(scenario.features), axis=0))
    inputs = _filled(scenario.features, medians)
    forest = RandomForestRegressor(
        trees,
        min_samples_leaf=_LEAST_LEAF,
        max_features=_FEATURES,
        random_state=seed,
        n_jobs=1,
    ).fit(inputs, _relative(scenario))
    means, out_of_bag = _means_in_leaves(forest, inputs, scores)
    single, overall = single_best(scenario), scores.mean(axis=0)
    best, least = None, scores[:, single].mean()
    for shrinkage in SHRINKAGES:
        chosen = chosen_by_means(out_of_bag, overall, shrinkage)
        presolver = best_presolver(scenario, chosen)
        mean = scores_of_choice(scenario, chosen, presolver).mean()
        if mean < least:
            best, least = (shrinkage, presolver), mean
    shrinkage, presolver = best or (1.0, None)
    kept = forest if best is not None else None
    return Chooser(single, kept, means, overall, medians, presolver, shrinkage)


def _means_in_leaves(
    forest: Any, inputs: np.ndarray, scores: np.ndarray
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Mean scores in the leaves of each tree, and `[instances, algorithms]` by trees out of bag.

    An instance that every tree has seen has the means of all instances.
    """
    leaves = forest.apply(inputs)
    means = []
    told, count = np.zeros(scores.shape), np.zeros(len(inputs))
    for at, drawn in zip(leaves.T, forest.estimators_samples_, strict=True):
        times = np.bincount(drawn, minlength=len(inputs))
        total = np.zeros((int(at.max()) + 1, scores.shape[1]))
        np.add.at(total, at, scores * times[:, None])
        sizes = np.bincount(at, times, minlength=len(total))
        means.append(total / np.maximum(sizes, 1)[:, None])
        unseen = times == 0
        told[unseen] += means[-1][at[unseen]]
        count += unseen
    everything = np.where(
        (count > 0)[:, None], told / np.maximum(count, 1)[:, None], scores.mean(axis=0)
    )
    return tuple(means), everything


def _relative(scenario: Scenario) -> np.ndarray:
    """Scores `[instances, algorithms]` from 0, the best on an instance, to 1, the worst there."""
    scores = scenario.scores
    values = scores if scenario.limit is None else np.log(np.maximum(scores, 0.01))
    low, high = values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True)
    return np.asarray((values - low) / np.maximum(high - low, _TINY))


def _known(features: np.ndarray) -> np.ndarray:
    """Features, with a zero in columns that have no value at all, and no infinite ones."""
    finite = np.where(np.isfinite(features), features, np.nan)
    return np.where(np.isnan(finite).all(axis=0), 0.0, finite)


def _filled(features: np.ndarray, medians: np.ndarray) -> np.ndarray:
    """Features without gaps, and beside them how many gaps an instance has."""
    gaps = ~np.isfinite(features)
    filled = np.where(gaps, medians, features)
    return np.column_stack([filled, gaps.sum(axis=1)]).clip(-1e30, 1e30)
