"""Means with 95 % intervals, for the units at hand and for new ones: how every number is reported.

An episode's metric depends on its units (classes; users, documents). With x_tc the share that unit
c has in episode t,

    y_t = sum_c x_tc * gamma_c + noise_t,    sum_c x_tc = 1,

where gamma_c is what unit c does to the mean, by its own queries and by its companions'. More
episodes bring the mean close to what it is *on these units*. They do not bring it closer to what it
is for new units of the family, for episodes of the same few units are alike:

    standard_error_new^2 = variance(y) / T + variance(gamma) * mean over s != t of sum_c x_sc x_tc.

With K units, equally often, the last factor is about 1 / K. The interval is Student's, its degrees
of freedom Satterthwaite's: about K - 1 where units count most, T - 1 where noise does. Pairs of
units that suit each other ill are not modelled; they count in variance(gamma), with about twice the
share they should have.

Queries that recur are a sample, too (`query_scores.py`): where scores tell of them, the interval
for these units is the wider one of that over examples and that of the episodes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.special import stdtr, stdtrit

from metaloop.core.query_scores import QueryScores, difference, joined, padded

# How far the variance of the units' own values is trusted to be that of what they do to the mean:
# relatively so much. It is a compromise: the truth is 0.7 to 1.6 times it for single learners on
# photographs and for two nets (benchmarks/intervals.py), but about a seventh for two heads on one
# net, whose intervals are too wide, and up to 2.9 times it for intents at five shots.
OWN_VALUES_ERROR = 0.4
LEAST_SPREAD = 0.3  # of the own values' variance: less is not believed
LEAST_NOISE = 0.1  # of the episodes' variance


@dataclass(frozen=True, eq=False)
class EpisodeScores:
    """The metric of T episodes, and of every unit (class, user, domain) in each.

    `values` float64 `[T]`; `unit_values` float64 `[T, U]`, on the queries of each unit (NaN where
    there are none); `units` int64 `[T, U]`, which unit, -1 where there is none. `queries`: those of
    the queries, where these are a sample, too.
    """

    values: np.ndarray
    unit_values: np.ndarray
    units: np.ndarray
    queries: QueryScores | None = None

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
        return cls(
            np.concatenate([part.values for part in parts]),
            np.concatenate([padded(part.unit_values, width, math.nan) for part in parts]),
            np.concatenate([padded(part.units, width, -1) for part in parts]),
            joined([part.queries for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, episodes: slice) -> EpisodeScores:
        return EpisodeScores(
            self.values[episodes],
            self.unit_values[episodes],
            self.units[episodes],
            None if self.queries is None else self.queries[episodes],
        )

    def scaled(self, factor: float) -> EpisodeScores:
        """Returns the same in another unit: every value times `factor`."""
        queries = self.queries
        return EpisodeScores(
            self.values * factor,
            self.unit_values * factor,
            self.units,
            None if queries is None else queries.scaled(factor),
        )

    def __sub__(self, reference: EpisodeScores) -> EpisodeScores:
        """Returns the differences; `ValueError` if these are not the same episodes and units."""
        if self.units.shape != reference.units.shape:
            raise ValueError(
                f"paired scores need equal shapes, got {self.units.shape}, {reference.units.shape}"
            )
        if not np.array_equal(self.units, reference.units):
            raise ValueError("paired scores need the same units in the same episodes")
        return EpisodeScores(
            self.values - reference.values,
            self.unit_values - reference.unit_values,
            self.units,
            difference(self.queries, reference.queries),
        )


@dataclass(frozen=True)
class Estimate:
    """A mean over episodes with the half-widths of two 95 % intervals.

    `ci95` is for these units, as the literature reports it, and where queries recur for others of
    these units than those asked about; `ci95_new` for new units of the family, None where it cannot
    be told: a single unit says nothing about others. The latter is Student's, with
    `standard_error_new` and `freedom_new`.
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

    @property
    def p_value_here(self) -> float:
        """The same for these units, of which there are no others: only episodes vary."""
        if self.episodes < 2 or not math.isfinite(self.ci95):
            return 1.0
        if self.ci95 == 0:
            return 0.0 if self.value > 0 else 1.0
        freedom = self.episodes - 1
        return float(stdtr(freedom, -self.value / self.ci95 * stdtrit(freedom, 0.975)))


def estimate(scores: EpisodeScores) -> Estimate:
    """Returns the mean of the episodes' values with both intervals."""
    plain = mean_with_interval(scores.values)
    count, error, freedom = _for_new_units(scores)
    half = None if error is None or freedom is None else float(stdtrit(freedom, 0.975)) * error
    here = plain.ci95
    if scores.queries is not None:
        here = max(here, scores.queries.half_width())
    return Estimate(plain.value, here, plain.episodes, half, count, error, freedom)


def paired_difference(scores: EpisodeScores, reference: EpisodeScores) -> Estimate:
    """Returns the mean of `scores - reference`, both on the *same* episodes of the same units."""
    return estimate(scores - reference)


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
        tasks[0].queries if len(tasks) == 1 else None,
    )


def surely_better(
    differences: Sequence[Estimate], level: float = 0.025, *, here: bool = False
) -> list[bool]:
    """Returns which differences are above zero for new units, as a family of one-sided tests.

    Holm 1979: with the chance `level` at most, any of those that are not above zero is among them.
    `here`: above zero for these units.
    """
    p_values = np.array([one.p_value_here if here else one.p_value for one in differences])
    surely = [False] * len(p_values)
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[index] > level / (len(p_values) - rank):
            break
        surely[index] = True
    return surely


def mean_with_interval(scores: np.ndarray) -> Estimate:
    """Returns the mean of independent `scores [N]` and its interval (infinite for a single one).

    >>> found = mean_with_interval(np.array([0.5, 0.75, 0.75, 1.0]))
    >>> print(f"{found.value} ± {found.ci95:.2f}")
    0.75 ± 0.32
    """
    count = len(scores)
    if count == 0:
        raise ValueError("an estimate needs at least one score")
    if count == 1:
        return Estimate(float(scores[0]), math.inf, 1)
    half = stdtrit(count - 1, 0.975) * np.std(scores, ddof=1) / math.sqrt(count)
    return Estimate(float(np.mean(scores)), float(half), count)


@dataclass(frozen=True)
class _Design:
    """Which unit has which share in which episode, x_tc, in the sums that estimates need.

    `trace` and `square` are those of x x^T with its mean taken out, `overlap` the mean of
    sum_c x_tc * x_sc over different episodes t and s: about 1 / K for K units.
    """

    shares: sparse.csr_array
    trace: float
    square: float
    overlap: float

    @property
    def separates(self) -> float:
        """How far episodes differ in how alike they should be; 0 tells units from noise nowhere."""
        episodes = self.shares.shape[0]
        return float(max(0.0, (episodes - 1) * self.square - self.trace**2))


def _design(scores: EpisodeScores) -> _Design:
    rows, slots = np.nonzero(scores.units >= 0)
    identities, columns = np.unique(scores.units[rows, slots], return_inverse=True)
    episodes = len(scores)
    sizes = np.bincount(rows, minlength=episodes)
    shape = (episodes, len(identities))
    shares = sparse.csr_array((1 / sizes[rows], (rows, columns)), shape=shape)
    sums = np.asarray(shares.sum(axis=0)).ravel()
    lengths, common = float((shares.data**2).sum()), float(sums @ sums)
    gram = (shares.T @ shares).tocsr()
    square = (gram.data**2).sum() - 2 * sums @ (gram @ sums) / episodes + (common / episodes) ** 2
    pairs = max(1, episodes * (episodes - 1))
    return _Design(
        shares=shares,
        trace=_positive(lengths - common / episodes, lengths),
        square=_positive(float(square), lengths**2),
        overlap=_positive((common - lengths) / pairs, common),
    )


def _for_new_units(scores: EpisodeScores) -> tuple[int, float | None, float | None]:
    """Returns the number of units, the standard error for new ones and its degrees of freedom."""
    design = _design(scores)
    count, episodes = design.shares.shape[1], len(scores)
    own = _own_values(scores)
    if own is None:
        return count, None, None
    if episodes == 1:
        return count, math.inf, 1.0
    of_episodes = float(np.var(scores.values, ddof=1))
    spread, doubt = _spread_of_units(scores.values, design, of_episodes, *own)
    error_of_episodes = of_episodes / episodes
    squared_error = error_of_episodes + design.overlap * spread
    if squared_error == 0:
        return count, 0.0, count - 1.0
    # Satterthwaite: a sum of variances, each known as well as its number of terms allows.
    free = max(1.0, min(count, episodes) - 1.0)
    variance = 2 * error_of_episodes**2 / (episodes - 1)
    variance += design.overlap**2 * (2 * spread**2 / free + doubt)
    freedom = 2 * squared_error**2 / variance
    return count, math.sqrt(squared_error), min(max(freedom, 1.0), episodes - 1.0)


def _spread_of_units(
    values: np.ndarray, design: _Design, of_episodes: float, own: float, own_noise: float
) -> tuple[float, float]:
    """Returns the variance of gamma over units, and the variance of that estimate.

    There are two witnesses. How much more alike episodes are the more units they share is unbiased
    and says little where units are few or effects small. The spread of the units' own values is
    precise and leaves out what a unit does to its companions: it may draw their queries to itself,
    or leave them alone. They are weighed by precision.
    """
    episodes = len(values)
    own_spread = max(0.0, own - own_noise)
    scale = max(own_spread, own_noise)
    prior = (OWN_VALUES_ERROR * scale) ** 2
    rest = of_episodes - design.trace * own_spread / (episodes - 1)
    noise = min(max(rest, LEAST_NOISE * of_episodes), of_episodes)
    if design.separates <= 1e-9 * design.trace**2 or design.trace == 0:
        return own_spread, prior

    centred = values - values.mean()
    between = float(((design.shares.T @ centred) ** 2).sum())
    # E[between] = square * spread + trace * noise, of_episodes is noise + trace * spread / (T - 1)
    shared = (between - design.trace * of_episodes) * (episodes - 1) / design.separates
    variance_shared = _variance_shared(design, noise, scale)
    total = prior + variance_shared
    weight = prior / total if total > 0 else 1.0
    spread = max(weight * shared + (1 - weight) * own_spread, LEAST_SPREAD * own_spread)
    return spread, weight * _variance_shared(design, noise, spread)


def _variance_shared(design: _Design, noise: float, spread: float) -> float:
    """Returns the variance of the first witness, where the units' variance is `spread`."""
    pure = 2 * noise**2 * (design.shares.shape[0] - 1) / design.separates
    return float(pure + 4 * noise * spread / design.trace)


def _own_values(scores: EpisodeScores) -> tuple[float, float] | None:
    """Returns the variance of the units' own means and how much of it is noise.

    None where fewer than two units have any value.
    """
    seen = (scores.units >= 0) & ~np.isnan(scores.unit_values)
    identities, columns = np.unique(scores.units[seen], return_inverse=True)
    values = scores.unit_values[seen]
    if len(identities) < 2:
        return None
    counts = np.bincount(columns)
    means = np.bincount(columns, values) / counts
    left = len(values) - len(identities)
    within = float(((values - means[columns]) ** 2).sum()) / left if left else 0.0
    return float(np.var(means, ddof=1)), within * float((1 / counts).mean())


def _positive(number: float, scale: float) -> float:
    """Returns the number, or 0 where it is negative or nothing but rounding beside `scale`."""
    return number if number > 1e-12 * scale else 0.0
