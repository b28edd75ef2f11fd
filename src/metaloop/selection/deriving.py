"""A prior over pipelines from matrices of errors that others measured, each with gaps of its own.

Data set d of source s has errors y[d] ~ N(means[s], K) on the prior's scale, seen where they were
measured; K is common, and found by expectation maximisation (Dempster, Laird and Rubin 1977) with
an inverse-Wishart prior that keeps it a covariance where pipelines were never seen side by side.
Means differ between sources, for their pipelines do (ten trees are not a hundred): the prior's are
those of the first source, in which the pipelines are the user's own, helped by the others as far
as means of sources agree (`BIAS`). Data sets that are the same under other names share a weight.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metaloop.selection.portfolio import portfolio
from metaloop.selection.prior import NoiseModel, Prior

BIAS = 0.03  # standard deviation of a pipeline's mean between sources, on the scale of angles
_PASSES = 60
_PRIOR_SETS = 10  # data sets that the inverse-Wishart prior is worth
_CORRELATION = 0.7  # of two pipelines that were never measured on the same data set
_TYPICAL = 0.04  # variance of an angle over data sets, before any was seen


@dataclass(frozen=True)
class Source:
    """Errors `[data sets, pipelines]` as rates, NaN where nothing was measured.

    `families` says which data sets are relatives: those of one family count as one together.
    """

    name: str
    data_sets: tuple[str, ...]
    names: tuple[str, ...]
    errors: np.ndarray
    families: tuple[str, ...] = ()

    def without(self, data_sets: Collection[str]) -> Source:
        """Returns the source without these data sets."""
        kept = [place for place, name in enumerate(self.data_sets) if name not in data_sets]
        return Source(
            self.name,
            tuple(self.data_sets[place] for place in kept),
            self.names,
            self.errors[kept],
            tuple(self.families[place] for place in kept) if self.families else (),
        )

    @property
    def weights(self) -> np.ndarray:
        """One over the size of each data set's family."""
        families = self.families or self.data_sets
        sizes = Counter(families)
        return np.array([1 / sizes[family] for family in families], float)


def derived_prior(
    sources: Sequence[Source],
    names: Sequence[str],
    *,
    noise: NoiseModel,
    seconds: Mapping[str, float],
    provenance: Mapping[str, Any],
) -> Prior:
    """Returns the prior of these pipelines; the first source is the one whose means are trusted.

    Raises `ValueError` without data sets, and for a pipeline that no source has measured.
    """
    values, owners, weights = _stacked(sources, names)
    if not len(values):
        raise ValueError("a prior is derived from data sets; there are none")
    unseen = [
        name for name, seen in zip(names, ~np.isnan(values).all(axis=0), strict=True) if not seen
    ]
    if unseen:
        raise ValueError(f"no source has measured {unseen}")
    covariance, means = _expectation_maximisation(values, owners, weights)
    counts = [
        (~np.isnan(values[owners == source]) * weights[owners == source, None]).sum(axis=0)
        for source in range(len(sources))
    ]
    center = _common_means(means, np.array(counts), np.diag(covariance))
    return Prior(
        names=tuple(names),
        means=center - center.mean(),
        covariance=covariance,
        noise=noise,
        scale="angle",
        level_variance=float(covariance.mean()),
        portfolio=_portfolio(values, owners, means, center, covariance, names),
        seconds=seconds,
        provenance=provenance,
    )


def _stacked(
    sources: Sequence[Source], names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Angles `[data sets, names]`, the place of each one's source, and its weight."""
    parts, owners, weights = [], [], []
    for place, source in enumerate(sources):
        part = np.full((len(source.data_sets), len(names)), np.nan)
        for column, name in enumerate(names):
            if name in source.names:
                part[:, column] = source.errors[:, source.names.index(name)]
        measured = ~np.isnan(part).all(axis=1)
        parts.append(np.arcsin(np.sqrt(part[measured].clip(0.0, 1.0))))
        owners += [place] * int(measured.sum())
        weights.append(source.weights[measured])
    return np.concatenate(parts), np.array(owners, int), np.concatenate(weights)


def _expectation_maximisation(
    values: np.ndarray, owners: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The covariance over data sets, and the means `[sources, pipelines]`."""
    count = values.shape[1]
    start = _TYPICAL * (np.full((count, count), _CORRELATION) + (1 - _CORRELATION) * np.eye(count))
    covariance = start.copy()
    means = np.stack([_start(values[owners == s]) for s in range(owners.max() + 1)])
    seen = ~np.isnan(values)
    patterns = {pattern.tobytes(): pattern for pattern in seen}
    for _ in range(_PASSES):
        filled = np.empty_like(values)
        left = np.zeros((count, count))
        for key, pattern in patterns.items():
            rows = np.array([row.tobytes() == key for row in seen])
            gain = np.linalg.solve(covariance[np.ix_(pattern, pattern)], covariance[pattern]).T
            off = values[np.ix_(rows, pattern)] - means[owners[rows]][:, pattern]
            filled[rows] = means[owners[rows]] + off @ gain.T
            filled[np.ix_(rows, pattern)] = values[np.ix_(rows, pattern)]
            left += weights[rows].sum() * (covariance - gain @ covariance[pattern])
        for source in range(len(means)):
            rows = owners == source
            if rows.any():
                means[source] = np.average(filled[rows], axis=0, weights=weights[rows])
        off = filled - means[owners]
        scatter = (off * weights[:, None]).T @ off + left
        covariance = (scatter + _PRIOR_SETS * start) / (weights.sum() + _PRIOR_SETS)
        covariance = (covariance + covariance.T) / 2
    return covariance, means


def _start(values: np.ndarray) -> np.ndarray:
    """Means of columns; of those without a value, the mean of all."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0)
    overall = total.sum() / max(known.sum(), 1)
    return np.asarray((total.sum(axis=0) + overall) / (known.sum(axis=0) + 1))


def _common_means(means: np.ndarray, counts: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """The means of the first source, where the others say how pipelines differ.

    Sources are aligned on the pipelines that both have, for their data sets are not equally hard.
    """
    precision = np.where(counts[0] > 0, 1 / (variances / np.maximum(counts[0], 1e-9)), 0.0)
    total, sum_of = precision * means[0], precision.copy()
    for source in range(1, len(means)):
        shared = (counts[0] > 0) & (counts[source] > 0)
        shift = (means[0] - means[source])[shared].mean() if shared.any() else 0.0
        own = np.where(
            counts[source] > 0, 1 / (BIAS**2 + variances / np.maximum(counts[source], 1e-9)), 0.0
        )
        total += own * (means[source] + shift)
        sum_of += own
    return np.asarray(total / sum_of)


def _portfolio(
    values: np.ndarray,
    owners: np.ndarray,
    means: np.ndarray,
    center: np.ndarray,
    covariance: np.ndarray,
    names: Sequence[str],
) -> tuple[str, ...]:
    """The greedy order of all names, on data sets whose gaps are filled by what is expected."""
    filled = np.empty_like(values)
    for place, row in enumerate(values):
        seen = ~np.isnan(row)
        gain = np.linalg.solve(covariance[np.ix_(seen, seen)], covariance[seen]).T
        off = row[seen] - means[owners[place]][seen]
        filled[place] = center + gain @ off
    errors = np.sin(filled.clip(0.0, np.pi / 2)) ** 2
    return tuple(names[pick] for pick in portfolio(errors, len(names)))
