"""What is believed of pipelines: a prior over tables, and scores of this one as far as noise lets.

Scores are in units in which 1 is all there is to gain (`unit_of`). Every fold, and every number of
rows to learn from, has an effect of its own, that all pipelines share; it is taken off first, as far
as the others tell. What is left is shrunk towards the prior, the more the noisier it is.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metaloop.domains.tables.pipelines import family_of

Context = tuple[int, int, int]  # level, repeat, fold
_ROUNDS = 4

# Before anything is known (balanced accuracy, in shares of 1): orders of magnitude, not measured.
_MEANS = {
    "extra_trees": 0.0, "random_forest": -0.003, "hist_boosting": -0.008, "lightgbm": -0.006,
    "gradient_boosting": -0.01, "logistic": -0.025, "svm": -0.025, "mlp": -0.025, "knn": -0.055,
    "naive_bayes": -0.065, "tabpfn": 0.01, "tabicl": 0.01,
}  # fmt: skip
_KINDS = {
    "extra_trees": "trees", "random_forest": "trees", "hist_boosting": "boosting",
    "lightgbm": "boosting", "gradient_boosting": "boosting", "logistic": "linear", "svm": "smooth",
    "mlp": "smooth", "knn": "near", "naive_bayes": "near", "tabpfn": "context", "tabicl": "context",
}  # fmt: skip
_SHARED, _TREES, _KIND, _OWN, _VARIANT = 0.15, 0.02, 0.02, 0.02, 0.012
_VARIANT_COST = 0.003


@dataclass(frozen=True, eq=False)
class Expected:
    """What is expected of pipelines before they are tried: means and covariance, by name."""

    names: tuple[str, ...]
    means: np.ndarray
    covariance: np.ndarray
    provenance: str

    def place(self, name: str) -> int:
        """Returns where a pipeline is."""
        return self.names.index(name)


def neutral(names: Sequence[str]) -> Expected:
    """Returns what is expected where nothing was measured: forests and boosting first."""
    means = np.array(
        [_MEANS.get(family_of(n), -0.03) - (_VARIANT_COST if "/" in n else 0) for n in names]
    )
    families = [family_of(name) for name in names]
    kinds = [_KINDS.get(family, family) for family in families]
    trees = [kind in ("trees", "boosting") for kind in kinds]
    covariance = np.full((len(names), len(names)), _SHARED**2)
    for i in range(len(names)):
        for j in range(len(names)):
            covariance[i, j] += _TREES**2 * (trees[i] and trees[j])
            covariance[i, j] += _KIND**2 * (kinds[i] == kinds[j])
            covariance[i, j] += _OWN**2 * (families[i] == families[j])
            covariance[i, j] += _VARIANT**2 * (i == j)
    return Expected(tuple(names), means, covariance, "neutral: nothing was measured")


@dataclass(frozen=True)
class Seen:
    """A score of a pipeline in a context, and its standard deviation."""

    value: float
    deviation: float


def believed(
    expected: Expected, seen: Mapping[str, Mapping[Context, Seen]]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns means and covariance of what pipelines have in the last context, in the prior's order.

    Effects of contexts and beliefs are computed in turn: those of a context are the mean of what its
    pipelines have beyond what is believed of them.
    """  # noqa: E501
    means, covariance = expected.means, expected.covariance
    contexts = sorted({context for found in seen.values() for context in found})
    if not contexts:
        return means, covariance
    shift = _shift(expected, seen)
    effects = dict.fromkeys(contexts, shift)
    for _ in range(_ROUNDS):
        places, values, noises = [], [], []
        for name, found in seen.items():
            if not found:
                continue
            weights = np.array([1 / one.deviation**2 for one in found.values()])
            left = np.array([one.value - effects[c] for c, one in found.items()])
            places.append(expected.place(name))
            values.append(float((weights * left).sum() / weights.sum()))
            noises.append(1 / float(weights.sum()))
        means, covariance = conditioned(expected, places, np.array(values), np.array(noises))
        for context in contexts:
            left, weights = [], []
            for name, found in seen.items():
                if context in found:
                    left.append(found[context].value - means[expected.place(name)])
                    weights.append(1 / found[context].deviation ** 2)
            effects[context] = float(np.average(left, weights=weights))
    return means + effects[contexts[-1]], covariance


def conditioned(
    expected: Expected, places: Sequence[int], values: np.ndarray, noises: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns means and covariance of a Gaussian given noisy values of some of its numbers."""
    inside = list(places)
    between = expected.covariance[:, inside]
    known = expected.covariance[np.ix_(inside, inside)] + np.diag(noises)
    gain = np.linalg.solve(known, between.T).T
    means = expected.means + gain @ (values - expected.means[inside])
    covariance = expected.covariance - gain @ between.T
    return means, (covariance + covariance.T) / 2


def _shift(expected: Expected, seen: Mapping[str, Mapping[Context, Seen]]) -> float:
    """How much easier than usual the table is: the mean of all scores beyond what is expected."""
    left = [
        one.value - expected.means[expected.place(name)]
        for name, found in seen.items()
        for one in found.values()
    ]
    return float(np.mean(left))
