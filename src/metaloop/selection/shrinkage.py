"""Scores of cross-validation, shrunk towards what is known of pipelines, weighted by their noise.

The score of pipeline a is its true error on the prior's scale plus noise; noise is correlated, for
all were scored on the same rows (`NoiseModel`, or measured from the errors of each row). Prior and
noise are Gaussian, so the posterior is the usual one,

    mean = m + K[:, t] (K[t, t] + N)^-1 (y - m[t]),   K = covariance + level_variance 1 1'

and a pipeline that was never tried has one, too. With few rows N is large and the posterior is the
prior moved to the level of the data set; with many it is the scores. `next_to_try` is the knowledge
gradient (Frazier, Powell and Dayanik 2009, INFORMS Journal on Computing 21): how much lower the
error of the choice is expected to be after one more try, per second; below `worth` a race stops.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from metaloop.core.randomness import numpy_stream
from metaloop.selection.prior import Prior

Scores = Mapping[str, tuple[float, float]]  # of a name: mean error, variance of that mean

WORTH = 0.0005  # of an error rate, or of a whole RMSE: half a tenth of a point
_JITTER = 1e-10
_DRAWS = 4000
_NODES = ndtri((np.arange(64) + 0.5) / 64)  # a standard normal variable, in equal parts


@dataclass(frozen=True)
class Posterior:
    """Errors of all pipelines on this data set: `means` and `covariance` on the prior's scale."""

    names: tuple[str, ...]
    means: np.ndarray
    covariance: np.ndarray
    scale: str
    tried: frozenset[str]

    @property
    def errors(self) -> dict[str, float]:
        """The expected error of each pipeline, on the scale of the scores."""
        return dict(zip(self.names, _error(self.means, self.scale).tolist(), strict=True))

    def interval(self, name: str, z: float = 1.96) -> tuple[float, float]:
        """Returns the central interval of a pipeline's error, 95 % by default."""
        place = self.names.index(name)
        half = z * np.sqrt(max(self.covariance[place, place], 0.0))
        low, high = _error(self.means[place] + np.array([-half, half]), self.scale)
        return float(low), float(high)

    @property
    def best(self) -> str:
        """The name of the least expected error among the tried; of all, if none was tried."""
        among = [name for name in self.names if name in self.tried] or list(self.names)
        return min(among, key=lambda name: float(self.means[self.names.index(name)]))

    def chances(self, *, only_tried: bool = False) -> dict[str, float]:
        """Returns how likely each pipeline is to be the best; the same numbers at every call."""
        kept = [i for i, name in enumerate(self.names) if not only_tried or name in self.tried]
        covariance = self.covariance[np.ix_(kept, kept)]
        values, vectors = np.linalg.eigh(covariance)
        normal = numpy_stream(0, "chances").normal(size=(_DRAWS, len(kept)))
        drawn = self.means[kept] + normal * np.sqrt(values.clip(min=0.0)) @ vectors.T
        counts = np.bincount(drawn.argmin(axis=1), minlength=len(kept))
        return {self.names[i]: float(n) / _DRAWS for i, n in zip(kept, counts, strict=True)}


def posterior(prior: Prior, scores: Scores, noise: np.ndarray | None = None) -> Posterior:
    """Returns what is known of all pipelines after these scores; names may be new to the prior.

    A score is a mean error, less is better (balanced error rate, or RMSE), and the variance of that
    mean, as if the rows were independent; `noise_of_rate` gives one for a rate. `noise [tried,
    tried]` is their measured covariance instead, in the order of `scores`: `paired_noise`.
    Raises `ValueError` for scores that are not finite, and error rates outside of 0 to 1.
    """
    prior = prior.including(scores)
    tried = [prior.names.index(name) for name in scores]
    errors = np.array([mean for mean, _ in scores.values()], float)
    variances = np.array([variance for _, variance in scores.values()], float)
    _check(errors, variances, prior.scale)
    everything = prior.covariance + prior.level_variance
    if not tried:
        return Posterior(prior.names, prior.means, everything, prior.scale, frozenset())
    slopes = _slope(errors, variances, prior.scale)
    if noise is None:
        spread = np.sqrt(variances)
        among = np.full((len(tried),) * 2, 1 - prior.noise.own_share)
        np.fill_diagonal(among, 1.0)
        noise = among * np.outer(spread, spread)
    noise = prior.noise.inflation * noise * np.outer(slopes, slopes)
    noise[np.diag_indices_from(noise)] += _JITTER
    gain = np.linalg.solve(everything[np.ix_(tried, tried)] + noise, everything[tried]).T
    off = _scaled(errors, variances, prior.scale) - prior.means[tried]
    covariance = everything - gain @ everything[tried]
    return Posterior(
        prior.names,
        prior.means + gain @ off,
        (covariance + covariance.T) / 2,
        prior.scale,
        frozenset(scores),
    )


def next_to_try(
    known: Posterior,
    seconds: Mapping[str, float],
    variance: float | Callable[[str], float],
    worth: float = WORTH,
) -> str | None:
    """Returns the name whose next score is worth most per second; None if none is worth it.

    `seconds` names what can still be scored and what it will cost; it may name what was tried, to
    score it again on other folds. `variance` is that of the mean error of such a score, its own
    part only. A try counts by how much it is expected to lower the error of the then best of all
    tried; below `worth`, an error, it does not.
    """
    best, most = None, 0.0
    for name, cost in seconds.items():
        gained = expected_gain(known, name, variance(name) if callable(variance) else variance)
        if gained >= worth and gained / max(cost, 1e-9) > most:
            best, most = name, gained / max(cost, 1e-9)
    return best


def expected_gain(known: Posterior, name: str, variance: float) -> float:
    """Returns by how much a further score of `name` is expected to lower the error of the choice.

    Before anything was tried it is how much better this one is expected to be than the worst.
    """
    place = known.names.index(name)
    if not known.tried:
        return float(known.means.max() - known.means[place])
    kept = [i for i, each in enumerate(known.names) if each in known.tried or each == name]
    now = known.means[[i for i, each in enumerate(known.names) if each in known.tried]].min()
    error = _error(np.array([now]), known.scale)
    slope = float(_slope(error, np.array([variance]), known.scale)[0])
    # what the level does is done to all alike: only the differences to the incumbent move a choice
    covariance = known.covariance[kept, place]
    total = known.covariance[place, place] + variance * slope**2
    moved = known.means[kept] + np.outer(_NODES, covariance / np.sqrt(total))
    return max(0.0, float(now - moved.min(axis=1).mean())) / slope


def noise_of_rate(error: float, rows: int | float) -> float:
    """Returns the variance of an error rate that was counted on so many rows, never quite 0."""
    smooth = (error * rows + 0.5) / (rows + 1)
    return float(smooth * (1 - smooth) / rows)


def paired_noise(losses: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Returns the covariance of mean errors `[pipelines, pipelines]` from the losses of each row.

    `losses [pipelines, rows]` are 0 or 1, or squared errors; `weights [rows]`, of sum 1, are those
    of the mean: for balanced rates 1 / (classes x rows of its class).
    """
    rows = losses.shape[1]
    shares = np.full(rows, 1 / rows) if weights is None else weights / weights.sum()
    off = losses - (losses @ shares)[:, None]
    scaled = off * shares
    covariance = scaled @ scaled.T * (rows / max(rows - 1, 1))
    smallest = 0.5 / rows**2  # what was never got wrong, or always, is not known for sure
    covariance[np.diag_indices_from(covariance)] += (smallest - np.diag(covariance)).clip(min=0)
    return np.asarray(covariance)


def _check(errors: np.ndarray, variances: np.ndarray, scale: str) -> None:
    if not (np.isfinite(errors).all() and np.isfinite(variances).all() and (variances >= 0).all()):
        raise ValueError("scores are finite mean errors, with variances of 0 or more")
    if scale == "angle" and not ((errors >= 0) & (errors <= 1)).all():
        raise ValueError(f"error rates are between 0 and 1, got {errors.tolist()}")
    if scale == "log" and not (errors >= 0).all():
        raise ValueError(f"an RMSE is 0 or more, got {errors.tolist()}")


def _inside(errors: np.ndarray, variances: np.ndarray, scale: str) -> np.ndarray:
    """Errors away from where their scale has no slope, by what their noise cannot tell."""
    least = np.sqrt(variances / 2)
    if scale == "log":
        return np.asarray(np.maximum(errors, np.maximum(least, np.finfo(float).tiny)))
    least = least.clip(1e-6, 0.5)
    result: np.ndarray = np.clip(errors, least, 1 - least)
    return result


def _scaled(errors: np.ndarray, variances: np.ndarray, scale: str) -> np.ndarray:
    inside = _inside(errors, variances, scale)
    result: np.ndarray = np.log(inside) if scale == "log" else np.arcsin(np.sqrt(inside))
    return result


def _slope(errors: np.ndarray, variances: np.ndarray, scale: str) -> np.ndarray:
    """How fast the scale moves with the error."""
    inside = _inside(errors, variances, scale)
    result: np.ndarray = 1 / inside if scale == "log" else 0.5 / np.sqrt(inside * (1 - inside))
    return result


def _error(values: np.ndarray, scale: str) -> np.ndarray:
    """The error of a value on the scale."""
    result: np.ndarray = (
        np.exp(values) if scale == "log" else np.sin(np.clip(values, 0, np.pi / 2)) ** 2
    )
    return result
