"""What a choice of algorithm costs, counted by hand, and the gap that it closes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaloop.selection.per_instance import (
    Presolver,
    Scenario,
    best_presolver,
    chosen_by_means,
    gap_closed,
    scores_of_choice,
    single_best,
)


def scenario(
    costs: list[list[float]],
    limit: float | None = 100.0,
    features: float = 0.0,
    presolved: tuple[int, ...] = (),
) -> Scenario:
    array = np.array(costs, float)
    count = len(array)
    early = np.zeros(count, bool)
    early[list(presolved)] = True
    return Scenario(
        "s",
        tuple(f"i{place}" for place in range(count)),
        tuple(f"a{place}" for place in range(array.shape[1])),
        array,
        np.isfinite(array),
        limit,
        np.zeros((count, 1)),
        ("f",),
        np.full(count, features),
        early,
        np.arange(count) % 2,
    )


NEVER = float("nan")


def test_a_timeout_costs_ten_times_the_limit() -> None:
    made = scenario([[1.0, NEVER], [NEVER, 2.0], [50.0, 3.0]])
    np.testing.assert_array_equal(made.scores, [[1, 1000], [1000, 2], [50, 3]])
    assert single_best(made) == 1


def test_features_are_paid_and_may_make_a_run_too_late() -> None:
    made = scenario([[1.0, 5.0], [95.0, 5.0]], features=10.0)
    np.testing.assert_array_equal(scores_of_choice(made, np.array([0, 0])), [11.0, 1000.0])


def test_an_instance_that_features_solve_costs_their_seconds_alone() -> None:
    made = scenario([[NEVER, 5.0]], features=10.0, presolved=(0,))
    np.testing.assert_array_equal(scores_of_choice(made, np.array([0])), [10.0])


def test_a_presolver_solves_early_or_is_paid_in_vain() -> None:
    made = scenario([[1.0, 50.0], [NEVER, 50.0], [NEVER, 95.0]], features=2.0)
    before = Presolver(0, 4.0)
    got = scores_of_choice(made, np.array([1, 1, 1]), before)
    np.testing.assert_array_equal(got, [1.0, 56.0, 1000.0])


def test_a_presolver_is_taken_where_it_surely_helps_and_only_there() -> None:
    helps = scenario([[0.05, 90.0], [NEVER, 90.0]] * 20)
    found = best_presolver(helps, np.ones(40, int))
    assert found is not None and found.algorithm == 0
    assert best_presolver(scenario([[50.0, 1.0]] * 10), np.ones(10, int)) is None
    assert best_presolver(scenario([[0.5, 0.1]] * 10, limit=None), np.ones(10, int)) is None


def test_without_a_limit_a_choice_costs_what_it_costs() -> None:
    made = scenario([[0.3, 0.1]], limit=None, features=9.0)
    np.testing.assert_array_equal(scores_of_choice(made, np.array([1])), [0.1])


def test_shrinking_wholly_gives_the_single_best() -> None:
    means, overall = np.array([[9.0, 1.0]]), np.array([3.0, 5.0])
    assert chosen_by_means(means, overall).tolist() == [1]
    assert chosen_by_means(means, overall, 1.0).tolist() == [0]


@settings(max_examples=30)
@given(st.integers(0, 2**31))
def test_no_choice_is_better_than_the_oracle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    made = scenario(rng.uniform(1, 150, (12, 3)).tolist())
    chosen = rng.integers(0, 3, 12)
    oracle = made.scores.min(axis=1)
    assert (scores_of_choice(made, chosen) >= np.minimum(oracle, 1000.0) - 1e-9).all()


def test_the_gap_is_closed_wholly_by_the_oracle_and_not_by_the_single_best() -> None:
    single, oracle = np.array([10.0, 20.0, 30.0] * 10), np.array([10.0, 5.0, 5.0] * 10)
    assert gap_closed(single, oracle, oracle).closed == pytest.approx(1.0)
    assert gap_closed(single, single, oracle).closed == pytest.approx(0.0)
    half = gap_closed(single, (single + oracle) / 2, oracle)
    assert half.low <= half.closed <= half.high and half.closed == pytest.approx(0.5)
    with pytest.raises(ValueError, match="no gap to close"):
        gap_closed(oracle, oracle, oracle)


def test_shapes_that_do_not_fit_are_refused() -> None:
    made = scenario([[1.0, 2.0]])
    with pytest.raises(ValueError, match="do not fit"):
        Scenario(**{**made.__dict__, "algorithms": ("a",)})
