"""What users like her think of items, of what is known of users and of training users' ratings.

    l(u, i) = share (b + w_i) . a_u
    w_i = least squares of what is left of item i's ratings, on a of those who rated it
    b   = least squares of users' biases on a

a_u `[A]` are the numbers of a user (`users.py`), 0 for one of whom nothing is known; both least
squares are ridges. So w_i is what an item's factors are in ALS (`als.py`) where those of users are
given: of a flag, the shrunken mean of what users who have it think more of the item than others do.
`share`, from 0 to 1, is how much of that holds for users of another fold. As means are, leanings
are made by other users than those whom they are used on.

The row of an item then begins with `m_i + l(u, i)`, its mean among users like her, so that every
learner of items has it without knowing of users.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from metaloop.domains.ratings.als import folded_in
from metaloop.domains.ratings.items import Ratings, means

_OF_ITEMS, _OF_USERS = 10.0, 10.0  # strength of the ridges, in ratings, in users
_ROWS_AT_ONCE = 1 << 18


def leanings(ratings: Ratings, about: np.ndarray) -> np.ndarray:
    """Returns `[items + 1, A]` of these ratings, float64; `about` `[users, A]`.

    The last row is that of an item which nobody has heard of: b alone.
    """
    found = np.zeros((ratings.num_items + 1, about.shape[1]))
    if not len(ratings.values):
        return found
    mean, left, users = means(ratings)
    known, first = np.unique(ratings.users, return_index=True)
    of_users = about[known].astype(np.float64)
    bias = (ratings.values - mean[ratings.items] - left)[first]
    gram = of_users.T @ of_users + _OF_USERS * np.eye(about.shape[1])
    found[:] = np.linalg.solve(gram, of_users.T @ bias)
    shape = (ratings.num_items, len(known))
    by_item = sparse.csr_matrix((left, (ratings.items, users)), shape)
    found[:-1] += folded_in(by_item, of_users, _OF_ITEMS)
    return found


def moved(leanings: np.ndarray, about: np.ndarray, ratings: Ratings) -> np.ndarray:
    """Returns l(u, i) `[N]` of the user and the item of each of these ratings, float64."""
    found = np.zeros(len(ratings.users))
    for start in range(0, len(found), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        of_users = about[ratings.users[rows]].astype(np.float64)
        found[rows] = (of_users * leanings[ratings.items[rows]]).sum(1)
    return found


def cross_fitted_leanings(
    ratings: Ratings, fold_U: np.ndarray, tables: np.ndarray, about: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the leanings of all training users `[items + 1, A]`, and l `[N]` of each rating.

    `fold_U` and `tables` `[folds + 1, items + 1, columns]` are those of `cross_fitted`: a user of a
    fold is seen by what the others say, those of the last one, who are none of `train`, by all.
    """
    folds = len(tables) - 1
    fold_N = fold_U[ratings.users]
    found, every = np.zeros(len(ratings.users)), np.zeros((0, 0))
    for fold in range(folds + 1):
        every = leanings(ratings.of((fold_N != fold) & (fold_N < folds)), about)
        hers = np.flatnonzero(fold_N == fold)
        found[hers] = moved(every, about, ratings.of(hers))
    train = fold_N < folds
    left = ratings.values - tables[fold_N, ratings.items, 0]
    square = float((found[train] ** 2).sum())
    share = float(np.clip((found[train] * left[train]).sum() / max(square, 1e-12), 0, 1))
    return share * every, share * found
