"""Which candidates a portfolio and the adaptive picks choose, from matrices with known answers."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaloop.core.randomness import numpy_stream
from metaloop.selection.adaptive import AdaptivePicks, next_pick
from metaloop.selection.portfolio import portfolio

NAN = float("nan")


def random_errors(seed: int, families: int, candidates: int, share_missing: float) -> np.ndarray:
    """Returns errors in [0, 1] with gaps."""
    rng = numpy_stream(seed, "errors")
    errors = rng.random((families, candidates))
    errors[rng.random(errors.shape) < share_missing] = NAN
    return errors


matrices = st.builds(
    random_errors,
    seed=st.integers(0, 10_000),
    families=st.integers(0, 8),
    candidates=st.integers(1, 9),
    share_missing=st.sampled_from((0.0, 0.3, 0.8, 1.0)),
)


def try_all(errors: np.ndarray, new: np.ndarray, costs: np.ndarray | None = None) -> list[int]:
    """Returns the adaptive picks for a family with the errors `new`, until none is left."""
    picks, tried = AdaptivePicks(errors, costs), {}
    for _ in range(errors.shape[1]):
        pick = picks.next(tried)
        tried[pick] = float(new[pick])
    return list(tried)


def two_kinds(of_each: int = 10) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns an archive of two kinds of families, and a new family of each kind.

    Candidate 0 is fair on both. Of 1 and 2, one is best on the first kind and 3 on the second; an
    error of 0.2 with candidate 0 says it is the first.
    """
    first, second = np.array([0.2, 0.1, 0.7, 0.6]), np.array([0.4, 0.7, 0.75, 0.3])
    rng = numpy_stream(0, "kinds")
    archive = np.repeat([first, second], of_each, axis=0)
    return archive + 0.005 * rng.random(archive.shape), first, second


def test_each_pick_lowers_the_mean_of_the_best_so_far_most() -> None:
    errors = random_errors(1, 12, 9, 0.0)
    picks = portfolio(errors, 4)
    for count, pick in enumerate(picks):
        means = [errors[:, [*picks[:count], other]].min(axis=1).mean() for other in range(9)]
        assert means[pick] == min(means)


def test_the_second_pick_helps_where_the_first_is_bad_though_it_is_bad_on_average() -> None:
    errors = np.array([[0.1, 0.12, 0.9], [0.1, 0.12, 0.9], [0.5, 0.5, 0.1]])
    assert portfolio(errors, 2) == [0, 2]


def test_a_candidate_does_not_help_a_family_it_was_not_measured_on() -> None:
    everywhere_fair = [0.3, 0.3, 0.3]
    once_perfect = [0.0, NAN, NAN]
    errors = np.array([everywhere_fair, once_perfect, [0.9, 0.9, 0.9]]).T
    assert portfolio(errors, 3) == [0, 1, 2]


def test_a_portfolio_that_nothing_helps_any_more_begins_again() -> None:
    errors = np.array([[0.0, 0.9, 0.1, 0.3, 0.9], [0.9, 0.0, 0.9, 0.3, 0.1]])
    # 3 is best on average; 0 and 1 complete it; then again: 2 and 4 are what 0 and 1 were
    assert portfolio(errors, 5) == [3, 0, 1, 2, 4]


def test_without_any_measurement_candidates_come_in_their_order() -> None:
    assert portfolio(np.empty((0, 3)), 3) == [0, 1, 2]
    assert portfolio(np.full((2, 3), NAN), 3) == [0, 1, 2]
    assert try_all(np.empty((0, 3)), np.zeros(3)) == [0, 1, 2]
    assert portfolio(np.empty((3, 0)), 2) == []


def test_of_equal_candidates_the_first_is_picked() -> None:
    assert portfolio(np.full((4, 3), 0.5), 2) == [0, 1]
    assert portfolio(np.array([[0.5, 0.1, 0.1]]), 1) == [1]


@given(matrices, st.integers(0, 12), st.booleans())
def test_picks_are_different_candidates_and_as_many_as_there_can_be(
    errors: np.ndarray, size: int, own_scale: bool
) -> None:
    picks = portfolio(errors, size, own_scale=own_scale)
    assert len(picks) == len(set(picks)) == min(size, errors.shape[1])
    assert picks == portfolio(errors, errors.shape[1], own_scale=own_scale)[:size]


@given(matrices, st.integers(0, 100))
def test_the_order_of_families_does_not_matter(errors: np.ndarray, seed: int) -> None:
    rounded = np.round(errors * 64) / 64  # sums are exact, so equal ones stay equal
    order = numpy_stream(seed, "order").permutation(len(errors))
    assert portfolio(rounded, 9) == portfolio(rounded[order], 9)


@given(matrices, st.integers(0, 100))
def test_in_its_own_scale_the_unit_of_a_family_does_not_matter(
    errors: np.ndarray, seed: int
) -> None:
    units = 2.0 ** numpy_stream(seed, "units").integers(-8, 8, (len(errors), 1))
    assert portfolio(errors * units, 9, own_scale=True) == portfolio(errors, 9, own_scale=True)


def test_without_own_scales_the_family_with_the_largest_errors_decides() -> None:
    errors = np.array([[0.1, 0.9], [0.1, 0.9], [900.0, 100.0]])
    assert portfolio(errors, 1) == [1]
    assert portfolio(errors, 1, own_scale=True) == [0]


def test_the_first_adaptive_pick_is_that_of_the_portfolio() -> None:
    for seed in range(20):
        errors = random_errors(seed, 7, 9, 0.3)
        assert next_pick(errors, {}) == portfolio(errors, 1)[0]


def test_what_was_seen_decides_which_specialist_is_next() -> None:
    errors, first, second = two_kinds()
    assert try_all(errors, first)[:2] == [0, 1]
    assert try_all(errors, second)[:2] == [0, 3]
    assert portfolio(errors, 2) in ([0, 1], [0, 3])  # it serves one kind at a time


def test_a_family_unlike_all_others_gets_the_picks_of_the_portfolio() -> None:
    errors, _, _ = two_kinds()
    assert try_all(errors, np.full(4, 50.0)) == portfolio(errors, 4)


def test_a_failed_candidate_is_not_picked_again_and_tells_nothing() -> None:
    errors, first, _ = two_kinds()
    assert next_pick(errors, {2: NAN, 0: first[0]}) == next_pick(errors, {0: first[0]})
    without = np.delete(errors, portfolio(errors, 1), axis=1)
    expected = np.delete(np.arange(4), portfolio(errors, 1))[portfolio(without, 1)[0]]
    assert next_pick(errors, {portfolio(errors, 1)[0]: NAN}) == expected


def test_a_dear_candidate_waits_when_costs_are_known() -> None:
    errors, first, _ = two_kinds()
    assert next_pick(errors, {0: first[0]}) == 1
    assert next_pick(errors, {0: first[0]}, costs=np.array([1.0, 1e6, 1.0, 1.0])) != 1


@given(matrices, st.integers(0, 100))
def test_equal_costs_change_nothing(errors: np.ndarray, seed: int) -> None:
    new = numpy_stream(seed, "new").random(errors.shape[1])
    assert try_all(errors, new, np.full(errors.shape[1], 4.0)) == try_all(errors, new)


@given(matrices, st.integers(0, 100), st.sampled_from((0.0, 0.4, 1.0)))
def test_adaptive_picks_try_every_candidate_once_however_little_was_measured(
    errors: np.ndarray, seed: int, share_failing: float
) -> None:
    rng = numpy_stream(seed, "new")
    new = rng.random(errors.shape[1])
    new[rng.random(len(new)) < share_failing] = NAN
    assert sorted(try_all(errors, new)) == list(range(errors.shape[1]))


@given(matrices, st.integers(0, 100))
def test_picks_of_one_archived_family_are_its_own_order(errors: np.ndarray, seed: int) -> None:
    new = numpy_stream(seed, "new").random(errors.shape[1])
    assert portfolio(errors[:1], 9) == try_all(errors[:1], new)


def test_neither_changes_the_matrix_it_was_given() -> None:
    errors = random_errors(3, 5, 6, 0.3)
    before = errors.copy()
    portfolio(errors, 6, own_scale=True)
    try_all(errors, np.linspace(0, 1, 6))
    np.testing.assert_array_equal(errors, before)


@pytest.mark.parametrize(
    ("errors", "size", "message"),
    [
        (np.zeros(3), 1, "[families, candidates], got shape (3,)"),
        (np.array([[0.1, np.inf]]), 1, "got infinity"),
        (np.zeros((2, 2)), -1, "got size -1"),
    ],
)
def test_a_bad_portfolio_is_refused(errors: np.ndarray, size: int, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        portfolio(errors, size)


@pytest.mark.parametrize(
    ("tried", "costs", "message"),
    [
        ({3: 0.1}, None, "candidates are 0 to 2"),
        ({-1: 0.1}, None, "candidates are 0 to 2"),
        ({0: 0.1, 1: 0.1, 2: NAN}, None, "none is left"),
        ({0: float("inf")}, None, "got infinity"),
        ({}, np.ones(2), "3 positive costs"),
        ({}, np.array([1.0, 0.0, 1.0]), "3 positive costs"),
        ({}, np.array([1.0, NAN, 1.0]), "3 positive costs"),
    ],
)
def test_a_bad_question_for_the_next_pick_is_refused(
    tried: dict[int, float], costs: np.ndarray | None, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        next_pick(np.zeros((2, 3)), tried, costs)
