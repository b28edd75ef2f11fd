"""Estimators without a model: plain learners on raw inputs."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import StandardScaler

import metaloop
from metaloop.estimators import FewShotClassifier, FewShotRegressor


def test_the_package_offers_both_estimators() -> None:
    assert metaloop.FewShotClassifier is FewShotClassifier
    assert metaloop.FewShotRegressor is FewShotRegressor


def test_classifier_is_the_nearest_centroid_of_scikit_learn_on_iris() -> None:
    X, y = load_iris(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    assert_array_equal(
        FewShotClassifier().fit(X, y).predict(X), NearestCentroid().fit(X, y).predict(X)
    )


def test_digits_are_told_apart_as_vectors_and_as_images_alike() -> None:
    X, y = load_digits(return_X_y=True)
    scores = cross_val_score(FewShotClassifier(), X, y)
    assert scores.mean() > 0.84
    assert_array_equal(cross_val_score(FewShotClassifier(), X.reshape(-1, 8, 8), y), scores)


def test_regressor_is_a_ridge_regression_on_standardised_values() -> None:
    X, y = load_diabetes(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    # features are divided by sqrt(D) in the learner: its lambda of 1 is D on standardised ones
    theirs = Ridge(alpha=X.shape[1]).fit(X, y).predict(X)
    ours = FewShotRegressor().fit(X, y).predict(X)
    assert_allclose(ours, theirs, rtol=1e-4)


def test_regressor_does_not_depend_on_the_units_of_anything() -> None:
    X, y = load_diabetes(return_X_y=True)
    plain = FewShotRegressor().fit(X, y).predict(X)
    scaled = FewShotRegressor().fit(1e3 * X + 7, 1e-3 * y + 5000).predict(1e3 * X + 7)
    assert_allclose(scaled, 1e-3 * plain + 5000, atol=1e-4)


def test_regressor_learns_several_targets_at_once() -> None:
    X, y = load_diabetes(return_X_y=True)
    both = FewShotRegressor().fit(X, np.stack([y, -2 * y], axis=1)).predict(X)
    assert both.shape == (len(X), 2)
    assert_allclose(both[:, 0], FewShotRegressor().fit(X, y).predict(X), rtol=1e-4)
    assert_allclose(both[:, 1], -2 * both[:, 0], rtol=1e-4)


@pytest.mark.parametrize("labels", [["b", "a", "c"], [True, False, True], [3, -1, 10]])
def test_labels_come_back_as_they_were_given(labels: list[object]) -> None:
    X = np.array([[0.0], [5.0], [9.0]])
    estimator = FewShotClassifier().fit(X, labels)
    assert estimator.classes_.tolist() == sorted(set(labels))  # type: ignore[type-var]
    assert estimator.predict([[5.1]]).tolist() == labels[1:2]
    assert estimator.predict_proba(X).shape == (3, len(set(labels)))


@pytest.mark.parametrize("cuts", [[50], [10, 60, 90]])
def test_partial_fit_in_pieces_equals_fit_on_all(cuts: list[int]) -> None:
    X, _, y, _ = train_test_split(*load_iris(return_X_y=True), random_state=0, test_size=0.1)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    pieces = FewShotClassifier()
    for part in np.split(np.arange(len(X)), cuts):
        pieces.partial_fit(X[part], names[part])
    whole = FewShotClassifier().fit(X, names)
    assert_array_equal(pieces.predict_proba(X), whole.predict_proba(X))
    regressor = FewShotRegressor()
    for part in np.split(np.arange(len(X)), cuts):
        regressor.partial_fit(X[part], y[part])
    assert_array_equal(regressor.predict(X), FewShotRegressor().fit(X, y).predict(X))


def test_partial_fit_takes_classes_one_by_one() -> None:
    X, y = load_iris(return_X_y=True)
    estimator = FewShotClassifier().partial_fit(X[y == 2], y[y == 2], classes=[0, 1, 2])
    assert_array_equal(estimator.predict(X), np.full(len(X), 2))
    assert_array_equal(estimator.predict_proba(X), np.ones((len(X), 1)))
    for label in (0, 1):
        estimator.partial_fit(X[y == label], y[y == label], classes=[0, 1, 2])
    assert estimator.classes_.tolist() == [0, 1, 2]
    assert estimator.score(X, y) == FewShotClassifier().fit(X, y).score(X, y)


def test_constant_features_do_no_harm() -> None:
    X, y = load_iris(return_X_y=True)
    with_constant = np.hstack([X, np.full((len(X), 1), 1e6)])
    assert FewShotClassifier().fit(with_constant, y).score(with_constant, y) > 0.8
    assert np.isfinite(FewShotRegressor().fit(with_constant, y).predict(with_constant)).all()
