"""Averages of pipelines, and decisions for balanced accuracy, against known answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaloop.selection.ensembling import (
    balanced_error,
    best_power,
    class_shares,
    decide,
    greedy_average,
    greedy_weights,
    row_weights,
    tempered,
)


def test_of_a_good_pipeline_and_a_guess_the_good_one_gets_the_weight() -> None:
    targets = np.array([0, 1] * 20)
    good = np.where(np.arange(2) == targets[:, None], 0.9, 0.1)
    guess = np.full((40, 2), 0.5)
    weights = greedy_weights(np.stack([guess, good]), targets, class_shares(targets, 2))
    np.testing.assert_allclose(weights, [0.0, 1.0])


def test_two_pipelines_that_err_on_other_rows_are_both_used() -> None:
    targets = np.zeros(40, int)
    targets[20:] = 1
    right = np.where(np.arange(2) == targets[:, None], 0.9, 0.1)
    first, second = right.copy(), right.copy()
    first[::4] = first[::4, ::-1]
    second[1::4] = second[1::4, ::-1]
    weights = greedy_weights(np.stack([first, second]), targets, class_shares(targets, 2))
    np.testing.assert_allclose(weights, [0.5, 0.5], atol=0.03)


def test_a_start_is_worth_so_many_rounds() -> None:
    targets = np.array([0, 1] * 20)
    good = np.where(np.arange(2) == targets[:, None], 0.9, 0.1)
    both = np.stack([np.full((40, 2), 0.5), good])
    weights = greedy_weights(
        both, targets, class_shares(targets, 2), start=np.array([25.0, 0.0]), rounds=25
    )
    np.testing.assert_allclose(weights, [0.5, 0.5])


def test_bags_give_weights_that_sum_to_one_and_are_the_same_again() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), size=(5, 30))
    targets = rng.integers(0, 3, 30)
    shares = class_shares(targets, 3)
    weights = greedy_weights(probabilities, targets, shares, bags=8)
    assert weights.sum() == pytest.approx(1.0) and (weights >= 0).all()
    np.testing.assert_array_equal(weights, greedy_weights(probabilities, targets, shares, bags=8))


def test_a_rare_class_is_chosen_where_it_is_likelier_than_usual() -> None:
    shares = class_shares(np.array([0] * 9 + [1]), 2)
    np.testing.assert_allclose(shares, [0.9, 0.1])
    probabilities = np.array([[0.95, 0.05], [0.85, 0.15]])
    assert decide(probabilities, shares).tolist() == [0, 1]
    assert decide(probabilities, class_shares(np.array([0, 1]), 2, balanced=False)).tolist() == [
        0,
        0,
    ]


def test_rows_of_every_class_weigh_the_same_together() -> None:
    targets = np.array([0] * 9 + [1])
    weights = row_weights(targets, class_shares(targets, 2))
    assert weights[:9].sum() == pytest.approx(weights[9]) == pytest.approx(0.5)
    assert balanced_error(np.zeros(10, int), targets) == pytest.approx(0.5)


def test_overconfident_probabilities_are_made_softer() -> None:
    rng = np.random.default_rng(0)
    true = rng.dirichlet(np.ones(2), size=2000)
    targets = (rng.random(2000) < true[:, 1]).astype(int)
    assert best_power(true, targets) == pytest.approx(1.0, abs=0.3)
    assert best_power(tempered(true, 3.0), targets) < 0.5


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.floats(0.2, 5.0))
def test_tempering_keeps_the_order_of_classes(seed: int, power: float) -> None:
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(4), size=5)
    changed = tempered(probabilities, power)
    np.testing.assert_allclose(changed.sum(axis=1), 1.0)
    np.testing.assert_array_equal(changed.argsort(axis=1), probabilities.argsort(axis=1))


def test_an_average_of_numbers_is_nearer_than_its_parts() -> None:
    targets = np.linspace(0, 1, 50)
    predictions = np.stack([targets + 0.3, targets - 0.3, targets + 5.0])
    np.testing.assert_allclose(greedy_average(predictions, targets), [0.5, 0.5, 0.0], atol=0.03)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="need 4 targets and 2 shares"):
        greedy_weights(np.ones((1, 4, 2)) / 2, np.zeros(3, int), np.ones(2) / 2)
