"""What is known of items from ratings: means, counts, deviations, factors and attributes.

    column 0        the item's mean, shrunk, the bias of its users taken out
    column 1, 2     log of the number of ratings; deviation of what is left
    attributes      what a file says of the item
    factors         ALS on what is left after item means and user biases

Ratings are standardised before. Tables are *cross-fitted*: training users are dealt into folds, and
a user of a fold sees items by a table that the other folds' users made. Otherwise her own ratings
would be in the means that she is predicted by, and a learner would trust these more than it should
for a new user, who is in no table. All other users see the table of all training users.
An item that no training user has rated has the means' prior, no ratings and its attributes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from metaloop.core.randomness import numpy_stream
from metaloop.domains.ratings.als import factors

FOLDS = 5
FACTORS = 16
_STRENGTH = 5.0  # of ALS, in variances of ratings: best of 2 to 10 on anime's search users
_ROUNDS = 8
_ITEM_SHRINKING, _USER_SHRINKING, _SPREAD_SHRINKING = 5.0, 3.0, 5.0  # ratings
_BIAS_ROUNDS = 3
_COUNT_SCALE, _COUNT_CENTRE = 3.0, 1.0  # so that log counts are about as large as other columns
OWN_COLUMNS = ("mean", "log_count", "deviation")
OF_ALL = "mean_of_all"  # what the first column is called where another has users' own means


@dataclass(frozen=True, eq=False)
class Ratings:
    """Standardised ratings `[N]` with the user and item of each, int64."""

    users: np.ndarray
    items: np.ndarray
    values: np.ndarray
    num_items: int

    def of(self, rows: np.ndarray) -> Ratings:
        """Returns these ratings alone."""
        return Ratings(self.users[rows], self.items[rows], self.values[rows], self.num_items)


def columns_of(attributes: tuple[str, ...], num_factors: int = FACTORS) -> tuple[str, ...]:
    """Returns the names of a table's columns, in order."""
    return (*OWN_COLUMNS, *attributes, *(f"factor_{place}" for place in range(num_factors)))


def item_table(ratings: Ratings, attributes: np.ndarray) -> np.ndarray:
    """Returns the table `[items + 1, columns]` of these ratings, float32.

    The last row is that of an item which nobody has heard of; `attributes` `[items, A]`.
    """
    mean, residuals, users = means(ratings)
    count = np.bincount(ratings.items, minlength=ratings.num_items).astype(np.float64)
    squares = np.bincount(ratings.items, residuals**2, ratings.num_items)
    usual = float(np.mean(residuals**2)) if len(residuals) else 1.0
    spread = (squares + _SPREAD_SHRINKING * usual) / (count + _SPREAD_SHRINKING)
    shape = (int(users.max(initial=-1)) + 1, ratings.num_items)
    left = sparse.csr_matrix((residuals, (users, ratings.items)), shape)
    rng = numpy_stream(0, "factors of items")
    width = min(FACTORS, max(1, min(shape)))
    found = np.zeros((ratings.num_items, FACTORS))
    if len(residuals):
        found[:, :width] = factors(left, width, _STRENGTH, _ROUNDS, rng)
    table = np.zeros((ratings.num_items + 1, 3 + attributes.shape[1] + FACTORS), np.float32)
    table[:, 2] = np.sqrt(usual)
    table[:-1, 0] = mean
    table[:, 1] = -_COUNT_CENTRE
    table[:-1, 1] += np.log1p(count) / _COUNT_SCALE
    table[:-1, 2] = np.sqrt(spread)
    table[:, 2] -= np.sqrt(usual)
    table[:-1, 3 : 3 + attributes.shape[1]] = attributes
    table[:-1, 3 + attributes.shape[1] :] = found
    return table


def cross_fitted(
    ratings: Ratings,
    train: np.ndarray,
    attributes: np.ndarray,
    folds: int = FOLDS,
    table_of: Callable[[Ratings, np.ndarray], np.ndarray] = item_table,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns tables `[folds + 1, items + 1, columns]`, and the fold of each of `train`'s users.

    The last table is of all users in `train`; what is returned third are these users, in the order
    of their folds. Folds are dealt by a fixed stream. Ratings of others than `train` are not used.
    """
    rng = numpy_stream(0, "folds of users")
    users = np.sort(train)[rng.permutation(len(train))]
    fold_of = np.arange(len(users)) * folds // max(1, len(users))
    known = np.full(int(ratings.users.max(initial=0)) + 1, -1)
    known[users] = fold_of
    fold_of_rating = known[ratings.users]
    tables = [
        table_of(ratings.of((fold_of_rating >= 0) & (fold_of_rating != fold)), attributes)
        for fold in range(folds)
    ]
    tables.append(table_of(ratings.of(fold_of_rating >= 0), attributes))
    return np.stack(tables), fold_of, users


def means(ratings: Ratings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns item means, what is left of every rating, and users numbered from 0 without gaps."""
    users = np.unique(ratings.users, return_inverse=True)[1]
    items, values, number = ratings.items, ratings.values, ratings.num_items
    per_item = np.bincount(items, minlength=number)
    per_user = np.bincount(users, minlength=1)
    mean = np.bincount(items, values, number) / (per_item + _ITEM_SHRINKING)
    bias = np.zeros(len(per_user))
    for _ in range(_BIAS_ROUNDS):
        off = np.bincount(users, values - mean[items], len(per_user))
        bias = off / (per_user + _USER_SHRINKING)
        mean = np.bincount(items, values - bias[users], number) / (per_item + _ITEM_SHRINKING)
    return mean, values - mean[items] - bias[users], users
