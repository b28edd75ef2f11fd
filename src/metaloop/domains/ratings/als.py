"""Alternating least squares: what users and items have in common, from what is left of ratings.

    min over U, V of  sum over ratings (r_ui - u_u.v_i)^2 + strength (sum |u_u|^2 + sum |v_i|^2)

Solved for all users, then for all items, in turn; each is a small linear system. A user who was not
there is folded in by the same system with V fixed. Zhou et al. 2008, Large-scale parallel
collaborative filtering for the Netflix prize (strength is not multiplied by counts here).
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

_AT_ONCE = 1 << 22  # numbers of gathered factors in memory


def factors(
    residuals: sparse.csr_matrix, width: int, strength: float, rounds: int, rng: np.random.Generator
) -> np.ndarray:
    """Returns V `[items, width]`, float64, of residuals `[users, items]`."""
    of_items = rng.normal(0, 0.1, (residuals.shape[1], width))
    by_item = residuals.T.tocsr()
    for _ in range(rounds):
        of_users = folded_in(residuals, of_items, strength)
        of_items = folded_in(by_item, of_users, strength)
    return of_items


def folded_in(rows: sparse.csr_matrix, others: np.ndarray, strength: float) -> np.ndarray:
    """Returns the least squares solution `[rows, width]` of every row, with `others` fixed.

    `others` is `[columns, width]`; a row without ratings is zero.
    """
    width = others.shape[1]
    found = np.zeros((rows.shape[0], width))
    counts = np.diff(rows.indptr)
    order = np.argsort(counts, kind="stable")
    order = order[counts[order] > 0]
    ridge = strength * np.eye(width)
    start = 0
    while start < len(order):  # rows of about the same length together, padded
        shortest = max(counts[order[start]], width)  # a system of a row is width by width
        some = order[start : start + _AT_ONCE // (shortest * width) + 1]
        longest = max(counts[some[-1]], width)
        some = some[: max(1, _AT_ONCE // (longest * width))]
        steps = np.arange(counts[some[-1]])
        there = steps < counts[some][:, None]
        places = np.where(there, rows.indptr[some][:, None] + steps, 0)
        of = others[rows.indices[places]] * there[..., None]
        known = rows.data[places] * there
        grams = of.transpose(0, 2, 1) @ of + ridge
        rights = (known[:, None, :] @ of).transpose(0, 2, 1)
        found[some] = np.linalg.solve(grams, rights)[..., 0]
        start += len(some)
    return found
