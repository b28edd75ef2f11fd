"""Greedy portfolio: the candidates to try first on a new family, from how all did on old ones.

    pick = argmax_c  sum over families f of  max(0, best_f - errors[f, c]),   then
    best_f = min(best_f, errors[f, pick]);   best_f starts at the worst error measured on f

Each pick lowers most the mean, over families, of the best error so far: it helps where the earlier
ones did badly. When no candidate lowers it any more, the portfolio begins again with those that are
left (with 2 or 3 families, measured on the OBOE matrix, this is clearly better than going on with
the best on average). `benchmarks/choosing.py` measures it. Xu, Hoos, Leyton-Brown, "Hydra", AAAI
2010, has the idea; Feurer et al., "Auto-sklearn 2.0", JMLR 2022, the form.
"""

from __future__ import annotations

import numpy as np


def portfolio(errors: np.ndarray, size: int, *, own_scale: bool = False) -> list[int]:
    """Returns the candidates of a greedy portfolio in the order of their picking.

    `errors [families, candidates]`, less is better, NaN where nothing was measured: a candidate
    does not help a family it was not measured on. There are `size` picks, or all candidates if they
    are fewer; of equal ones the first is taken. `own_scale` measures each family's errors in its
    own range, for families whose errors cannot be compared.
    Raises `ValueError` if `errors` is not a matrix, or has infinite values, or `size` is negative.
    """
    gains = Gains(errors, own_scale=own_scale)
    if size < 0:
        raise ValueError(f"a portfolio has 0 picks or more, got size {size}")
    picks: list[int] = []
    best = gains.worst
    for _ in range(min(size, errors.shape[1])):
        best, gain = gains.left(best, picks)
        pick = int(gain.argmax())
        picks.append(pick)
        best = np.minimum(best, gains.errors[:, pick])
    return picks


class Gains:
    """A matrix of errors, ready to be asked how much each candidate would lower the best so far.

    `errors [families, candidates]` has infinity where nothing was measured; `worst [families]` is
    the worst that was measured: the best so far of a family before anything was picked.
    """

    def __init__(self, errors: np.ndarray, *, own_scale: bool = False) -> None:
        if errors.ndim != 2:
            raise ValueError(f"expected errors [families, candidates], got shape {errors.shape}")
        if np.isinf(errors).any():
            raise ValueError("errors are finite, or NaN where nothing was measured; got infinity")
        missing = np.isnan(errors)
        high = np.where(missing, -np.inf, errors).max(axis=1, initial=-np.inf)
        if own_scale:
            low = np.where(missing, np.inf, errors).min(axis=1, initial=np.inf)
            span = np.where(high > low, high - low, 1.0)
            errors = errors / span[:, None]
            high = high / span
        self.errors = np.where(missing, np.inf, errors)
        self.worst = np.where(np.isfinite(high), high, 0.0)

    def over(self, best: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Returns `[candidates]`: the sum over families of what each would take off `best`."""
        gain = best[:, None] - self.errors
        np.maximum(gain, 0.0, out=gain)
        result: np.ndarray = gain.sum(axis=0) if weights is None else weights @ gain
        return result

    def left(
        self, best: np.ndarray, picks: list[int], weights: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the best so far, and what each candidate but the `picks` would take off it.

        If that is nothing, the best so far is the worst again. The gain of the picks is -1.
        """
        gain = self.over(best, weights)
        gain[picks] = -1.0
        if gain.max(initial=0.0) > 0.0:
            return best, gain
        gain = self.over(self.worst, weights)
        gain[picks] = -1.0
        return self.worst, gain
