"""Means with 95 % intervals, for the units at hand and for new ones: how every number is reported.

An episode's metric depends on its units (classes; users, documents). With x_tc the share that unit
c has in episode t,

    y_t = sum_c x_tc * gamma_c + noise_t,

and gamma_c, what unit c is worth for the mean, differs between units by sigma_units. A mean over
many episodes of few units is close to what it is *on these units*, and up to
sigma_units * sqrt(sum_c mean_t(x_tc)^2) away from what it is for new ones of the family.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit


@dataclass(frozen=True, eq=False)
class EpisodeScores:
    """The metric of T episodes, and of every unit (class, user, document) in each.

    `values` float64 `[T]`; `unit_values` float64 `[T, U]`, on the queries of each unit (NaN where
    there are none); `units` int64 `[T, U]`, which unit, -1 where there is none.
    """

    values: np.ndarray
    unit_values: np.ndarray
    units: np.ndarray

    def __post_init__(self) -> None:
        """Raises `ValueError` for shapes that do not belong together."""
        if self.units.shape != self.unit_values.shape or self.units.ndim != 2:
            raise ValueError(
                f"units and unit_values need equal shapes [T, U], got {self.units.shape} and "
                f"{self.unit_values.shape}"
            )
        if self.values.shape != self.units.shape[:1]:
            raise ValueError(f"{self.values.shape} values for {len(self.units)} episodes")

    @classmethod
    def independent(cls, values: np.ndarray, first: int = 0) -> EpisodeScores:
        """Returns scores whose every episode is a unit of its own, numbered from `first` on."""
        units = np.arange(first, first + len(values), dtype=np.int64)
        return cls(values, values[:, None], units[:, None])

    @classmethod
    def concatenated(cls, parts: Sequence[EpisodeScores]) -> EpisodeScores:
        """Returns the episodes of all parts, in this order."""
        width = max(part.units.shape[1] for part in parts)

        def padded(array: np.ndarray, filling: float) -> np.ndarray:
            missing = width - array.shape[1]
            return np.pad(array, ((0, 0), (0, missing)), constant_values=filling)

        return cls(
            np.concatenate([part.values for part in parts]),
            np.concatenate([padded(part.unit_values, math.nan) for part in parts]),
            np.concatenate([padded(part.units, -1) for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, episodes: slice) -> EpisodeScores:
        return EpisodeScores(
            self.values[episodes], self.unit_values[episodes], self.units[episodes]
        )


@dataclass(frozen=True)
class Estimate:
    """A mean over episodes with the half-widths of two 95 % intervals.

    `ci95` is for these units, as the literature reports it; `ci95_new` for new units of the family,
    None where it cannot be told: a single unit says nothing about others. The latter is Student's,
    with `standard_error_new` and `freedom_new`.
    """

    value: float
    ci95: float
    episodes: int
    ci95_new: float | None = None
    units: int = 0
    standard_error_new: float | None = None
    freedom_new: float | None = None

    @property
    def low(self) -> float:
        """The lower end of the interval for these units."""
        return self.value - self.ci95

    @property
    def high(self) -> float:
        """The upper end of the interval for these units."""
        return self.value + self.ci95

    @property
    def low_new(self) -> float:
        """The lower end of the interval for new units; minus infinity where it cannot be told."""
        return -math.inf if self.ci95_new is None else self.value - self.ci95_new

    @property
    def high_new(self) -> float:
        """The upper end of the interval for new units; infinity where it cannot be told."""
        return math.inf if self.ci95_new is None else self.value + self.ci95_new

    @property
    def p_value(self) -> float:
        """How likely a value at least as large is for new units where the truth is zero."""
        if self.standard_error_new is None or self.freedom_new is None:
            return 1.0
        if self.standard_error_new == 0 or not math.isfinite(self.standard_error_new):
            return 0.0 if self.standard_error_new == 0 and self.value > 0 else 1.0
        return float(stdtr(self.freedom_new, -self.value / self.standard_error_new))


def estimate(scores: EpisodeScores) -> Estimate:
    """Returns the mean of the episodes' values with both intervals."""
    plain = mean_with_interval(scores.values)
    identities, shares = _shares(scores)
    count = len(identities)
    error, freedom = _for_new_units(scores, shares) if count > 1 else (None, None)
    half = None if error is None or freedom is None else float(stdtrit(freedom, 0.975)) * error
    return Estimate(plain.value, plain.ci95, plain.episodes, half, count, error, freedom)


def paired_difference(scores: EpisodeScores, reference: EpisodeScores) -> Estimate:
    """Returns the mean of `scores - reference`, both on the *same* episodes of the same units."""
    if scores.units.shape != reference.units.shape:
        raise ValueError(
            f"paired scores need equal shapes, got {scores.units.shape}, {reference.units.shape}"
        )
    if not np.array_equal(scores.units, reference.units):
        raise ValueError("paired scores need the same units in the same episodes")
    return estimate(
        EpisodeScores(
            scores.values - reference.values,
            scores.unit_values - reference.unit_values,
            scores.units,
        )
    )


def mean_of(tasks: Sequence[EpisodeScores]) -> EpisodeScores:
    """Returns the mean over tasks (say of 1 and 5 shots) that are equally long lists of episodes.

    Their units stand side by side, so a unit counts with all that it does in any of the tasks.
    """
    lengths = {len(task) for task in tasks}
    if len(lengths) != 1:
        raise ValueError(f"a mean over tasks needs equally many episodes, got {sorted(lengths)}")
    return EpisodeScores(
        np.mean([task.values for task in tasks], axis=0),
        np.concatenate([task.unit_values for task in tasks], axis=1),
        np.concatenate([task.units for task in tasks], axis=1),
    )


def surely_better(differences: Sequence[Estimate], level: float = 0.025) -> list[bool]:
    """Returns which differences are above zero for new units, as a family of one-sided tests.

    Holm 1979: with the chance `level` at most, any of those that are not above zero is among them.
    """
    p_values = np.array([difference.p_value for difference in differences])
    surely = [False] * len(p_values)
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[index] > level / (len(p_values) - rank):
            break
        surely[index] = True
    return surely


def mean_with_interval(scores: np.ndarray) -> Estimate:
    """Returns the mean of independent `scores [N]` and its interval (infinite for a single one)."""
    count = len(scores)
    if count == 0:
        raise ValueError("an estimate needs at least one score")
    if count == 1:
        return Estimate(float(scores[0]), math.inf, 1)
    half = stdtrit(count - 1, 0.975) * np.std(scores, ddof=1) / math.sqrt(count)
    return Estimate(float(np.mean(scores)), float(half), count)


def _shares(scores: EpisodeScores) -> tuple[np.ndarray, np.ndarray]:
    """Returns the different units `[K]`, and which share each has in each episode `[T, K]`."""
    present = scores.units >= 0
    identities, columns = np.unique(scores.units[present], return_inverse=True)
    shares = np.zeros((len(scores), len(identities)))
    np.add.at(shares, (np.nonzero(present)[0], columns), 1.0)
    return identities, shares / np.maximum(shares.sum(1, keepdims=True), 1)


def _for_new_units(scores: EpisodeScores, shares: np.ndarray) -> tuple[float, float]:
    """Returns the standard error of the mean for new units, and its degrees of freedom."""
    count = shares.shape[1]
    episodes = len(scores)
    weight = float((shares.mean(0) ** 2).sum())
    centred = shares - shares.mean(0)
    values = scores.values - scores.values.mean()
    gram = centred.T @ centred
    total, between = float(values @ values), float(((centred.T @ values) ** 2).sum())
    # E[total] = trace * units + (T - 1) * noise;  E[between] = square * units + trace * noise
    trace, square = float(np.trace(gram)), float((gram**2).sum())
    if square < 1e-12 * episodes:  # every episode has all units: what each is by itself
        means = _unit_means(scores)
        return float(np.std(means, ddof=1)) / math.sqrt(len(means)), len(means) - 1.0
    determinant = trace * trace - square * (episodes - 1)
    if abs(determinant) < 1e-9 * trace * trace:  # every unit seen once
        return math.sqrt(total / max(episodes - 1, 1) / episodes), float(count - 1)
    units = (trace * total - (episodes - 1) * between) / determinant
    noise = max(0.0, (trace * between - square * total) / determinant)
    return math.sqrt(max(0.0, units) * weight + noise / episodes), float(count - 1)


def _unit_means(scores: EpisodeScores) -> np.ndarray:
    """Returns the mean of each unit's own values, of those that have any."""
    seen = (scores.units >= 0) & ~np.isnan(scores.unit_values)
    _, columns = np.unique(scores.units[seen], return_inverse=True)
    return np.bincount(columns, scores.unit_values[seen]) / np.bincount(columns)
