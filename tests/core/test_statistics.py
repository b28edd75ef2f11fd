"""Intervals by the formula, and that they cover what they claim: on these units and on new ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from metaloop.core.statistics import (
    EpisodeScores,
    estimate,
    mean_with_interval,
    paired_difference,
)


def test_the_interval_is_students() -> None:
    scores = np.array([0.2, 0.4, 0.9, 0.5])
    estimate = mean_with_interval(scores)
    low, high = stats.t.interval(0.95, 3, loc=scores.mean(), scale=stats.sem(scores))
    assert estimate.value == pytest.approx(0.5)
    assert (estimate.low, estimate.high) == pytest.approx((low, high))
    assert estimate.episodes == 4


def test_by_hand_for_two_scores() -> None:
    assert mean_with_interval(np.array([0.0, 1.0])).ci95 == pytest.approx(12.7062 * 0.5, rel=1e-4)


def test_one_score_has_no_interval_and_none_is_refused() -> None:
    assert mean_with_interval(np.array([0.3])).ci95 == math.inf
    with pytest.raises(ValueError, match="at least one"):
        mean_with_interval(np.array([]))


def test_intervals_cover_the_truth_in_95_of_100_cases() -> None:
    rng = np.random.default_rng(0)
    draws = rng.normal(0.7, 0.2, (2000, 12))
    covered = [abs(e.value - 0.7) <= e.ci95 for e in map(mean_with_interval, draws)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def test_episodes_that_are_units_of_their_own_have_one_interval() -> None:
    found = estimate(EpisodeScores.independent(np.random.default_rng(0).random(30)))
    assert found.ci95_new == pytest.approx(found.ci95)
    assert found.units == 30


def test_a_paired_difference_is_over_the_same_episodes() -> None:
    values = np.random.default_rng(0).random(50)
    reference = EpisodeScores.independent(values)
    paired = paired_difference(EpisodeScores.independent(values + 0.1), reference)
    assert (paired.value, paired.ci95, paired.ci95_new) == pytest.approx((0.1, 0, 0), abs=1e-9)
    with pytest.raises(ValueError, match="equal shapes"):
        paired_difference(reference, reference[1:])
    with pytest.raises(ValueError, match="same units"):
        paired_difference(reference, EpisodeScores.independent(values, first=1))
