"""Means with 95 % intervals, and paired comparisons: the only ways a number is reported."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit


@dataclass(frozen=True)
class Estimate:
    """A mean over episodes, with the half-width of its 95 % Student interval."""

    value: float
    ci95: float
    episodes: int

    @property
    def low(self) -> float:
        """The lower end of the interval."""
        return self.value - self.ci95


def mean_with_interval(scores: np.ndarray) -> Estimate:
    """Returns the mean of `scores [episodes]` and its interval (infinite for a single score)."""
    count = len(scores)
    if count == 0:
        raise ValueError("an estimate needs at least one score")
    if count == 1:
        return Estimate(float(scores[0]), math.inf, 1)
    half = stdtrit(count - 1, 0.975) * np.std(scores, ddof=1) / math.sqrt(count)
    return Estimate(float(np.mean(scores)), float(half), count)


def paired_difference(scores: np.ndarray, reference: np.ndarray) -> Estimate:
    """Returns the mean of `scores - reference`, both `[episodes]` over the *same* episodes."""
    if scores.shape != reference.shape:
        raise ValueError(f"paired scores need equal shapes, got {scores.shape}, {reference.shape}")
    return mean_with_interval(scores - reference)
