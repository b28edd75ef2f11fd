"""Logistic regression on a few examples: the answers are those on all numbers, in less time."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from metaloop.core.examples import Examples
from metaloop.learners.logistic_regression import LogisticRegressionLearner, SpannedSpace


def task(seed: int, shots: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns inputs and labels of a support, and inputs of queries."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(5), shots)
    centres = rng.normal(size=(5, width))
    queries = centres.repeat(20, 0) + 3 * rng.normal(size=(100, width))
    inputs = centres[labels] + 3 * rng.normal(size=(len(labels), width))
    return inputs.astype(np.float32), labels, queries.astype(np.float32)


@pytest.mark.parametrize(("shots", "width"), [(1, 400), (5, 400), (5, 25), (5, 10)])
@pytest.mark.parametrize("strength", [0.01, 1.0, 100.0])
def test_predictions_are_those_of_scikit_learn_on_all_numbers(
    shots: int, width: int, strength: float
) -> None:
    inputs, labels, queries = task(0, shots, width)
    solver = LogisticRegression(C=strength, solver="newton-cholesky", tol=1e-10)
    expected = solver.fit(inputs.astype(np.float64), labels).predict_proba(queries)
    fitted = LogisticRegressionLearner(inverse_strength=strength).make(seed=0).fit(inputs, labels)
    np.testing.assert_allclose(fitted.predict_proba(queries), expected, atol=1e-4)


def test_examples_span_no_more_numbers_than_there_are_examples() -> None:
    inputs, _, queries = task(1, 2, 300)
    space = SpannedSpace().fit(inputs)
    small = space.transform(inputs)
    assert small.shape == (10, 10) and space.transform(queries).shape == (100, 10)
    np.testing.assert_allclose(small @ small.T, inputs @ inputs.T, rtol=1e-4)
    products = space.transform(queries) @ small.T
    np.testing.assert_allclose(products, queries @ inputs.T, rtol=1e-3, atol=0.1)


def test_where_there_are_more_examples_than_numbers_they_stay() -> None:
    inputs, _, _ = task(1, 2, 10)
    np.testing.assert_array_equal(SpannedSpace().fit(inputs).transform(inputs), inputs)


def test_an_example_each_of_many_classes_is_learned_without_a_warning() -> None:
    inputs = 5 * torch.eye(30)
    support = Examples(inputs, torch.arange(30), torch.ones(30, dtype=torch.bool), 30)
    learner = LogisticRegressionLearner()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        known = learner.adapt({}, support)
    assert learner.predict({}, known, inputs).argmax(1).tolist() == list(range(30))
