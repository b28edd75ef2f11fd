"""Intervals by the formula, and that they cover what they claim: on these units and on new ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from metaloop.core.query_scores import QueryScores
from metaloop.core.statistics import (
    EpisodeScores,
    Estimate,
    estimate,
    mean_of,
    mean_with_interval,
    paired_difference,
    surely_better,
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


def episodes_of(
    rng: np.random.Generator,
    own: np.ndarray,
    *,
    companions: float = 0.0,
    pairs: np.ndarray | None = None,
    episodes: int = 400,
    ways: int = 5,
    noise: float = 0.1,
) -> EpisodeScores:
    """Returns scores of units whose own effects are `own [K]`, the population's mean being 0.5.

    A unit adds `companions * own / (ways - 1)` to each unit beside it, `pairs [K, K]` likewise.
    """
    units = rng.random((episodes, len(own))).argsort(1)[:, :ways]
    present = own[units]
    others = present.sum(1, keepdims=True) - present
    values = 0.5 + present + companions * others / max(ways - 1, 1)
    if pairs is not None:
        beside = pairs[units[:, :, None], units[:, None, :]]
        values = values + beside.sum(2) - np.diagonal(beside, axis1=1, axis2=2)
    values = values + rng.normal(0, noise, (episodes, 1)) / 2 + rng.normal(0, noise, values.shape)
    return EpisodeScores(values.mean(1), values, units)


def coverage(found: list[Estimate], truth: float) -> tuple[float, float]:
    """Returns which share of both intervals covers the truth: for these units, for new ones."""
    here = np.mean([each.low <= truth <= each.high for each in found])
    new = np.mean([each.low_new <= truth <= each.high_new for each in found])
    return float(here), float(new)


@pytest.mark.parametrize(("count", "companions"), [(6, -0.3), (6, 0.2), (12, 0.2), (25, 0.0)])
def test_the_interval_for_new_units_covers_the_population(count: int, companions: float) -> None:
    rng = np.random.default_rng(count)
    found = []
    for _ in range(300):
        pairs = rng.normal(0, 0.02, (count, count))
        own = rng.normal(0, 0.12, count)
        scores = episodes_of(rng, own, companions=companions, pairs=pairs)
        found.append(estimate(scores))
    here, new = coverage(found, 0.5)
    assert 0.92 <= new <= 0.995
    assert here < 0.6


@pytest.mark.parametrize("count", [6, 25])
def test_paired_differences_over_two_tasks_cover_and_are_seldom_wrong(count: int) -> None:
    rng = np.random.default_rng(count)
    found = []
    for _ in range(300):
        shared, better, worse = (rng.normal(0, sd, count) for sd in (0.12, 0.03, 0.03))
        tasks = []
        for _ in range(2):
            seed = int(rng.integers(1 << 30))  # the same episodes and noise for both learners
            one = episodes_of(np.random.default_rng(seed), shared + better, episodes=200)
            other = episodes_of(np.random.default_rng(seed), shared + worse, episodes=200)
            noisy = one.unit_values + rng.normal(0, 0.03, one.unit_values.shape)
            tasks.append((EpisodeScores(noisy.mean(1), noisy, one.units), other))
        ones, others = zip(*tasks, strict=True)
        found.append(paired_difference(mean_of(ones), mean_of(others)))
    here, new = coverage(found, 0.0)
    assert 0.92 <= new <= 0.99
    assert here < 0.6
    assert np.mean([surely_better([each])[0] for each in found]) <= 0.05


def test_more_episodes_narrow_the_interval_for_these_units_only() -> None:
    own = np.random.default_rng(0).normal(0, 0.1, 12)
    few = estimate(episodes_of(np.random.default_rng(1), own, episodes=200))
    many = estimate(episodes_of(np.random.default_rng(1), own, episodes=5000))
    assert many.ci95 == pytest.approx(few.ci95 / 5, rel=0.1)
    assert few.ci95_new is not None
    assert many.ci95_new is not None
    assert many.ci95_new > 0.7 * few.ci95_new
    assert many.ci95_new > 10 * many.ci95


def test_what_a_unit_does_to_its_companions_counts() -> None:
    own = np.random.default_rng(0).normal(0, 0.1, 25)

    def half_width(companions: float) -> float:
        scores = episodes_of(np.random.default_rng(1), own, companions=companions, episodes=1000)
        found = estimate(scores).ci95_new
        assert found is not None
        return found

    alone = 2.06 * own.std(ddof=1) / 5
    assert half_width(0) == pytest.approx(alone, rel=0.1)
    assert half_width(-0.8) < 0.7 * alone  # it draws their queries to itself
    assert half_width(0.8) == pytest.approx(1.8 * alone, rel=0.1)


def test_where_every_episode_has_all_units_their_own_values_decide() -> None:
    own = np.random.default_rng(0).normal(0, 0.1, 5)
    found = estimate(episodes_of(np.random.default_rng(1), own, noise=0.01))
    assert found.standard_error_new == pytest.approx(own.std(ddof=1) / np.sqrt(5), rel=0.02)
    assert found.freedom_new is not None
    assert 2 < found.freedom_new < 4


def test_a_units_effect_counts_across_tasks() -> None:
    own = np.random.default_rng(0).normal(0, 0.1, 12)
    tasks = [episodes_of(np.random.default_rng(seed), own, noise=0.02) for seed in (1, 2)]
    errors = [estimate(task).standard_error_new for task in tasks]
    both = estimate(mean_of(tasks))
    assert both.standard_error_new == pytest.approx(np.mean(errors), rel=0.15)  # not by 1.4
    assert both.units == 12
    with pytest.raises(ValueError, match="equally many"):
        mean_of([tasks[0], tasks[1][:7]])


def test_names_order_and_empty_places_of_units_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    scores = episodes_of(rng, rng.normal(0, 0.1, 9))
    renamed = EpisodeScores(scores.values, scores.unit_values, 1000 - 7 * scores.units)
    order = rng.permutation(5)
    empty = EpisodeScores(
        scores.values,
        np.pad(scores.unit_values[:, order], ((0, 0), (1, 2)), constant_values=np.nan),
        np.pad(scores.units[:, order], ((0, 0), (1, 2)), constant_values=-1),
    )
    expected = estimate(scores)
    for same in (renamed, empty):
        found = estimate(same)
        assert found.ci95_new == pytest.approx(expected.ci95_new, rel=1e-9)
        assert (found.value, found.units) == (expected.value, 9)


def test_slices_put_together_are_the_whole() -> None:
    rng = np.random.default_rng(0)
    scores = episodes_of(rng, rng.normal(0, 0.1, 9))
    wide = episodes_of(rng, rng.normal(0, 0.1, 9), ways=7)
    whole = EpisodeScores.concatenated([scores[:100], scores[100:]])
    assert estimate(whole) == estimate(scores)
    uneven = EpisodeScores.concatenated([scores, wide])
    assert uneven.units.shape == (800, 7)
    assert (uneven.units[:400, 5:] == -1).all()
    assert np.isnan(uneven.unit_values[:400, 5:]).all()
    assert estimate(uneven[:400]) == estimate(scores)


def test_a_single_unit_says_nothing_about_others() -> None:
    found = estimate(EpisodeScores(np.ones(9) + 0.1, np.ones((9, 1)), np.zeros((9, 1), np.int64)))
    assert (found.ci95_new, found.units) == (None, 1)
    assert (found.low_new, found.high_new) == (-math.inf, math.inf)
    assert surely_better([found]) == [False]


def test_units_without_values_are_left_out() -> None:
    values = np.random.default_rng(0).random(20)
    nothing = EpisodeScores(values, np.full((20, 3), np.nan), np.tile(np.arange(3), (20, 1)))
    assert estimate(nothing).ci95_new is None
    nobody = EpisodeScores(values, np.full((20, 3), np.nan), np.full((20, 3), -1))
    assert (estimate(nobody).ci95_new, estimate(nobody).units) == (None, 0)


def test_scores_that_are_all_equal_have_no_width() -> None:
    scores = EpisodeScores(np.ones(40), np.ones((40, 2)), np.arange(80).reshape(40, 2) % 7)
    found = estimate(scores)
    assert (found.value, found.ci95, found.ci95_new) == (1.0, 0.0, 0.0)
    assert surely_better([found, estimate(scores - scores)]) == [True, False]


def test_one_episode_has_no_interval() -> None:
    scores = episodes_of(np.random.default_rng(0), np.zeros(8), episodes=1)
    assert (estimate(scores).ci95, estimate(scores).ci95_new) == (math.inf, math.inf)
    assert surely_better([estimate(scores)]) == [False]
    with pytest.raises(ValueError, match="at least one"):
        estimate(scores[:0])


@given(
    st.integers(0, 10_000),
    st.integers(2, 40),
    st.integers(2, 12),
    st.integers(1, 6),
    st.floats(0, 1),
)
def test_new_units_are_never_more_certain_than_these(
    seed: int, episodes: int, count: int, width: int, missing: float
) -> None:
    rng = np.random.default_rng(seed)
    units = rng.integers(0, count, (episodes, width))
    units[:, 1:][rng.random((episodes, width - 1)) < missing] = -1
    values = np.where(units < 0, np.nan, rng.random(units.shape))
    found = estimate(EpisodeScores(np.nanmean(values, axis=1), values, units))
    assert found.units == len(np.unique(units[units >= 0]))
    if found.ci95_new is not None:
        assert found.ci95_new >= found.ci95 * (1 - 1e-9)


def test_shapes_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="equal shapes"):
        EpisodeScores(np.ones(3), np.ones((3, 2)), np.zeros((3, 1), np.int64))
    with pytest.raises(ValueError, match="values for"):
        EpisodeScores(np.ones(4), np.ones((3, 2)), np.zeros((3, 2), np.int64))


def test_holms_steps_by_hand() -> None:
    def with_p(chance: float) -> Estimate:
        distance = -float(stats.t.ppf(chance, 8))
        return Estimate(distance, 1.0, 100, 2.3, 9, 1.0, 8.0)

    assert with_p(0.01).p_value == pytest.approx(0.01)
    assert surely_better([with_p(0.03), with_p(0.01), with_p(0.02)], 0.05) == [True] * 3
    assert surely_better([with_p(0.03), with_p(0.01), with_p(0.03)], 0.05) == [False, True, False]
    assert surely_better([with_p(0.02)]) == [True]
    assert surely_better([with_p(0.02), with_p(0.9)]) == [False, False]
    assert surely_better([]) == []


def recurring(
    rng: np.random.Generator, documents: int, episodes: int, spread: float, of_support: float
) -> EpisodeScores:
    """Returns scores of one unit, whose documents are asked about in many episodes."""
    own = rng.normal(0.4, spread, documents)
    examples = np.stack([rng.permutation(documents)[:15] for _ in range(episodes)])
    values = own[examples] + rng.normal(0, of_support, (episodes, 1))
    mean = values.mean(1)
    units = np.zeros((episodes, 1), np.int64)
    return EpisodeScores(mean, mean[:, None], units, QueryScores(values, examples))


def test_where_documents_recur_the_interval_is_that_of_a_bootstrap_over_them() -> None:
    rng = np.random.default_rng(0)
    scores = recurring(rng, documents=120, episodes=600, spread=0.15, of_support=0.01)
    assert scores.queries is not None
    examples, values = scores.queries.examples, scores.queries.values
    sums, counts = (np.bincount(examples.ravel(), weights) for weights in (values.ravel(), None))
    drawn = rng.integers(0, 120, (4000, 120))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    found = estimate(scores)
    assert found.ci95 == pytest.approx((high - low) / 2, rel=0.05)
    assert found.ci95 > 5 * mean_with_interval(scores.values).ci95
    assert found.ci95_new is None and found.units == 1
    half = estimate(scores[:300])
    assert half.ci95 == pytest.approx(found.ci95, rel=0.1)  # more episodes do not help


def test_the_interval_over_documents_covers_the_mean_of_all_documents() -> None:
    rng = np.random.default_rng(1)
    covered = [
        abs(found.value - 0.4) <= found.ci95
        for found in (estimate(recurring(rng, 30, 60, 0.2, 0.02)) for _ in range(400))
    ]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.03)


def test_where_supports_say_more_than_documents_the_interval_is_that_of_episodes() -> None:
    scores = recurring(np.random.default_rng(2), 400, 8, 0.001, 0.2)
    assert estimate(scores).ci95 == mean_with_interval(scores.values).ci95
    assert scores.queries is not None
    alone = QueryScores(scores.queries.values, np.zeros_like(scores.queries.examples))
    assert alone.half_width() == math.inf


def test_a_paired_difference_of_documents_is_over_documents() -> None:
    rng = np.random.default_rng(3)
    one = recurring(rng, 60, 200, 0.2, 0.0)
    assert one.queries is not None
    gains = np.where(np.arange(60) < 6, 1.0, 0.0)[one.queries.examples]
    better = EpisodeScores(
        one.values + gains.mean(1),
        one.unit_values + gains.mean(1)[:, None],
        one.units,
        QueryScores(one.queries.values + gains, one.queries.examples),
    )
    found = paired_difference(better, one)
    assert found.ci95 == pytest.approx(2.0 * 0.3 / math.sqrt(59), rel=0.1)
    negative = paired_difference(one, better)
    assert (negative.value, negative.ci95) == pytest.approx((-found.value, found.ci95))
    parts = EpisodeScores.concatenated([better[:80], better[80:]])
    assert parts.queries is not None and estimate(parts).ci95 == estimate(better).ci95
    assert mean_of([better]).scaled(2.0).queries is not None
    unknown = EpisodeScores(one.values, one.unit_values, one.units)
    assert paired_difference(better, unknown).ci95 < found.ci95
