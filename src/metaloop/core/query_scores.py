"""The metric of single queries, where the same examples are asked about in many episodes.

Documents of which extracts are judged are few. More episodes bring the mean close to what it is on
these documents, and no closer to what it is on others. With n_d values of example d whose sum is
s_d, D examples and m the mean of all values,

    standard_error^2 = D / (D - 1) * sum_d (s_d - m n_d)^2 / (sum_d n_d)^2,

which is what a bootstrap over the examples comes to (a test compares). The interval is Student's,
with D - 1 degrees of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit


@dataclass(frozen=True, eq=False)
class QueryScores:
    """The metric of every query of T episodes.

    `values` float64 `[T, N]`; `examples` int64 `[T, N]`, which example, -1 where there is none.
    """

    values: np.ndarray
    examples: np.ndarray

    def __getitem__(self, episodes: slice) -> QueryScores:
        return QueryScores(self.values[episodes], self.examples[episodes])

    def scaled(self, factor: float) -> QueryScores:
        """Returns the same in another unit: every value times `factor`."""
        return QueryScores(self.values * factor, self.examples)

    def half_width(self) -> float:
        """Returns that of the 95 % interval over examples; infinite for a single one."""
        there = self.examples >= 0
        identities, places = np.unique(self.examples[there], return_inverse=True)
        number = len(identities)
        if number < 2:
            return math.inf
        values = self.values[there]
        residuals = np.bincount(places, values - values.mean())
        error = math.sqrt(number / (number - 1) * float(residuals @ residuals)) / len(values)
        return float(stdtrit(number - 1, 0.975)) * error


def joined(parts: Sequence[QueryScores | None]) -> QueryScores | None:
    """Returns the queries of all parts, in this order; None where those of one are not known."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    width = max(part.examples.shape[1] for part in known)
    return QueryScores(
        np.concatenate([padded(part.values, width, math.nan) for part in known]),
        np.concatenate([padded(part.examples, width, -1) for part in known]),
    )


def difference(one: QueryScores | None, other: QueryScores | None) -> QueryScores | None:
    """Returns the differences on the same queries; None where they are not known, or others."""
    if one is None or other is None or not np.array_equal(one.examples, other.examples):
        return None
    return QueryScores(one.values - other.values, one.examples)


def padded(array: np.ndarray, width: int, filling: int | float) -> np.ndarray:
    """Returns `[T, width]`, the array `[T, U]` and then the filling."""
    missing = ((0, 0), (0, width - array.shape[1]))
    return np.pad(array, missing, constant_values=filling)
