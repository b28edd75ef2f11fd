"""Adaptive picks: which candidate to try next on a new family, given what was tried on it.

A portfolio whose families count by how much they resemble the new one. With `y_t` the error of the
tried candidate t, `x_f` the errors of an old family f, and s the typical spread of a family:

    near_f  = exp(-mean over t of (y_t - x_ft)^2 / (2 (NEAR s)^2))
    gain_fc = max(0, min_t x_ft - x_fc)            as family f knows it
    fine_fc = max(0, min_t y_t - x'_fc)            with x'_f = x_f + (y - x_f[t]) C_tt^-1 C_t
    pick    = argmax_c  sum_f  near_f (gain_fc + fine_fc) / 2 + FLOOR gain_fc

x'_f is the family f moved to where it would have had the errors that were seen (C is the covariance
of the candidates over families): few old families fit exactly, and the moved ones tell close
candidates apart. FLOOR is what keeps the picks safe: a family that looks different keeps this
weight, so that where the archive has nothing alike, the picks are those of the plain portfolio.
Without it (0.89 points of regret after 8 picks, portfolio 0.84, with it 0.75), and with expected
improvement under a Gaussian with the same covariance (1.21), the likeness of a few errors is
trusted too much, and the rare candidate that alone saves a family is missed.

These figures, and the constants, are from cross-validation within half of the data sets of the OBOE
matrix; `benchmarks/choosing.py` has the result on the other half. With fewer than 20 families the
picks are as good as the portfolio's, not better. Pathwise conditioning: Wilson et al., JMLR 2021.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from metaloop.selection.portfolio import Gains

NEAR = 0.4  # in typical spreads of a family's errors; 0.3 to 0.6 beat the portfolio as well
FLOOR = 0.2  # 0.05 to 0.4 do nearly as well
_SHRINKAGE = 0.02  # of covariances towards none; 0 to 0.1 make little difference
_NOISE = 0.01  # of the mean variance
_TINY = 1e-12
_NEGLIGIBLE = 1e-4  # below it a family is not worth moving: the same picks, in less time
_FILLING_PASSES = 5


def next_pick(
    errors: np.ndarray, tried: Mapping[int, float], costs: np.ndarray | None = None
) -> int:
    """Returns the candidate to try next on a new family; `AdaptivePicks` says of what and how."""
    return AdaptivePicks(errors, costs).next(tried)


class AdaptivePicks:
    """An archive's errors, prepared once to answer many times what to try next.

    `errors [families, candidates]`, less is better, NaN where nothing was measured. Errors of old
    families and of the new one have to be on one scale (error rates are; squared errors are after
    division by that of a constant prediction). With `costs [candidates]`, in any unit, the pick is
    that of the largest gain per cost.
    Raises `ValueError` for errors that `portfolio` refuses, and costs that are not all positive.
    """

    def __init__(self, errors: np.ndarray, costs: np.ndarray | None = None) -> None:
        self._gains = Gains(errors)
        num_candidates = errors.shape[1]
        if costs is not None and not (
            costs.shape == (num_candidates,) and np.all((costs > 0) & np.isfinite(costs))
        ):
            raise ValueError(f"expected {num_candidates} positive costs, one for each candidate")
        self._costs = costs
        self._missing = np.isnan(errors)
        self._filled = _filled(errors, self._missing)
        self._spread = max(_typical_spread(errors, self._missing), _TINY)
        self._covariance = _shrunk_covariance(self._filled)

    def next(self, tried: Mapping[int, float]) -> int:
        """Returns the candidate to try next, one that is not in `tried`.

        `tried` holds candidates and their errors on the new family; NaN says that a candidate was
        tried and failed: it is not picked again and tells nothing. Its order is that of trying.
        Before anything is known the pick is the portfolio's first; of equal ones it is the first.
        Raises `ValueError` if nothing is left to try, or `tried` has an unknown candidate or an
        infinite error.
        """
        num_candidates = self._gains.errors.shape[1]
        if any(not 0 <= candidate < num_candidates for candidate in tried):
            raise ValueError(f"candidates are 0 to {num_candidates - 1}, got {sorted(tried)}")
        if len(tried) == num_candidates:
            raise ValueError(f"all {num_candidates} candidates were tried; none is left to pick")
        if any(np.isinf(error) for error in tried.values()):
            raise ValueError("errors are finite, or NaN where a candidate failed; got infinity")
        seen = [candidate for candidate, error in tried.items() if not np.isnan(error)]
        gain = self._gain(
            list(tried), seen, np.array([tried[index] for index in seen], dtype=float)
        )
        return int((gain if self._costs is None else gain / self._costs).argmax())

    def _gain(self, tried: list[int], seen: list[int], seen_errors: np.ndarray) -> np.ndarray:
        """Returns what each candidate is worth, `[candidates]`; less than 0 for the tried."""
        gains = self._gains
        if not seen:
            return gains.left(gains.worst, tried)[1]
        off = seen_errors - self._filled[:, seen]
        squares = off**2 + self._missing[:, seen] * self._spread**2  # a filled value is a guess
        near = np.exp(-squares.mean(axis=1) / (2 * (NEAR * self._spread) ** 2))
        best, weights = gains.errors[:, seen].min(axis=1), near / 2 + FLOOR
        gain = gains.over(np.minimum(gains.worst, best), weights)
        if not np.delete(gain, tried).max() > 0.0:
            gain = gains.left(self._this_round(tried, seen), tried, weights)[1]
        alike = np.flatnonzero(near > _NEGLIGIBLE)
        moved = gains.errors[alike] + off[alike] @ self._regression(seen)
        fine = np.subtract(seen_errors.min(), moved, out=moved)
        np.maximum(fine, 0.0, out=fine)
        gain += near[alike] @ fine / 2
        gain[tried] = -1.0
        return gain

    def _this_round(self, tried: list[int], seen: list[int]) -> np.ndarray:
        """Returns the best error so far, `[families]`, since the portfolio last began again."""
        gains, best = self._gains, self._gains.worst
        for index, candidate in enumerate(tried):
            best, _ = gains.left(best, tried[:index])
            if candidate in seen:
                best = np.minimum(best, gains.errors[:, candidate])
        return best

    def _regression(self, seen: list[int]) -> np.ndarray:
        """Returns `[seen, candidates]`: how far errors move with those of the seen candidates."""
        among = self._covariance[np.ix_(seen, seen)] + _TINY * np.eye(len(seen))
        result: np.ndarray = np.linalg.solve(among, self._covariance[seen])
        return result


def _filled(errors: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Returns errors with guesses for the missing: level of the family + that of the candidate."""
    if not missing.any():
        return errors
    measured = np.where(missing, 0.0, errors)
    per_family = np.maximum((~missing).sum(axis=1), 1)
    per_candidate = np.maximum((~missing).sum(axis=0), 1)
    candidate = np.zeros(errors.shape[1])
    for _ in range(_FILLING_PASSES):
        family = (measured - np.where(missing, 0.0, candidate)).sum(axis=1) / per_family
        candidate = (measured - np.where(missing, 0.0, family[:, None])).sum(axis=0) / per_candidate
    return np.where(missing, family[:, None] + candidate, errors)


def _typical_spread(errors: np.ndarray, missing: np.ndarray) -> float:
    """Returns the median over families of the standard deviation of its measured errors."""
    spreads = [
        row[~gaps].std() for row, gaps in zip(errors, missing, strict=True) if sum(~gaps) > 1
    ]
    return float(np.median(spreads)) if spreads else 0.0


def _shrunk_covariance(filled: np.ndarray) -> np.ndarray:
    """Returns the covariance over families `[candidates, candidates]`; zero for a single one."""
    num_families, num_candidates = filled.shape
    if num_families < 2:
        return np.zeros((num_candidates, num_candidates))
    covariance = np.cov(filled, rowvar=False).reshape(num_candidates, num_candidates)
    variances = np.diag(covariance).copy()
    covariance = (1 - _SHRINKAGE) * covariance
    noise = _NOISE * variances.mean() if num_candidates else 0.0
    covariance[np.diag_indices_from(covariance)] = variances + noise
    return covariance
