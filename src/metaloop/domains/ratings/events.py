"""What is known of items from events alone: how many users had them, and with what else.

    column 0    log of the number of users, on the scale of a score: what all others are ranked by
    column 1    the same on the scale of other columns
    column 2    0: there is no deviation
    attributes  what a file says of the item
    factors     V S^1/2 of the truncated U S V^T = D_u^-0.1 R D_i^-0.3, of mean square 1

R is users by items, 0 or 1, D_u and D_i are its row and column sums: items that the same users had
lie alike, and users with thousands of items do not decide. Shen et al. 2021, arXiv:2108.07567, have
such a filter with powers of 1/2; these here were chosen on anime titles. Tables have the layout of
`items.py`. How singular vectors are turned is chance in each table, so that only products of items
mean anything (LOG.md: a net that learns on the factors themselves does not).
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from metaloop.domains.ratings.items import Ratings

FACTORS = 128
_OF_USERS, _OF_ITEMS = 0.1, 0.3  # powers of counts
_POWER = 0.5  # of singular values
_ROUNDS = 4  # of the power method
_COUNT_SCALE, _COUNT_CENTRE = 3.0, 1.0
_SCORE_CENTRE = 2.0  # of log counts


def event_table(events: Ratings, attributes: np.ndarray) -> np.ndarray:
    """Returns the table `[items + 1, columns]` of these events, float32, as `item_table` does.

    The last row is that of an item which nobody has heard of; `attributes` `[items, A]`.
    """
    count = np.bincount(events.items, minlength=events.num_items).astype(np.float64)
    table = np.zeros((events.num_items + 1, 3 + attributes.shape[1] + FACTORS), np.float32)
    table[:-1, 0] = np.log1p(count)
    table[:, 0] -= _SCORE_CENTRE
    table[:-1, 1] = np.log1p(count) / _COUNT_SCALE
    table[:, 1] -= _COUNT_CENTRE
    table[:-1, 3 : 3 + attributes.shape[1]] = attributes
    table[:-1, 3 + attributes.shape[1] :] = _factors(events, count)
    return table


def _factors(events: Ratings, count: np.ndarray) -> np.ndarray:
    """Factors `[items, FACTORS]`, zero where too few users or items are there."""
    found = np.zeros((events.num_items, FACTORS))
    users = np.unique(events.users, return_inverse=True)[1]
    people = int(users.max(initial=-1)) + 1
    width = min(FACTORS, people - 1, int((count > 0).sum()) - 1)
    if width < 1:
        return found
    weights = np.bincount(users)[users] ** -_OF_USERS * count[events.items] ** -_OF_ITEMS
    had = sparse.csr_matrix((weights, (users, events.items)), (people, events.num_items))
    _, values, right = randomized_svd(had, width, n_iter=_ROUNDS, random_state=0)
    vectors = right.T * values**_POWER
    known = (vectors[count > 0] ** 2).sum(1).mean()
    found[:, :width] = vectors / max(float(np.sqrt(known)), 1e-12)
    return found
