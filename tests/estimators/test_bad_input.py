"""What users get wrong: one line that says what was expected."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from metaloop.core.errors import DivergenceError, InputError, MetaloopError, ModelFileError
from metaloop.estimators import FewShotClassifier, FewShotRegressor
from metaloop.models import Model

X = np.arange(12.0).reshape(6, 2)
Y = [0, 0, 1, 1, 2, 2]


def _refused(message: str, action: Any, kind: type[MetaloopError] = InputError) -> None:
    with pytest.raises(kind, match=message) as caught:
        action()
    assert "\n" not in str(caught.value)
    if kind is InputError:
        assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        (X, [3] * 6, "at least 2 classes, got one class: 3"),
        (X, Y[:5], "X has 6 examples but y has 5"),
        (X, None, "target y is None"),
        (X, [], "y is empty"),
        (X, [0.5, 0.1, 0.2, 0.3, 0.4, 0.6], "continuous"),
        (X, [0.0, np.nan, 1.0, 1.0, 2.0, 2.0], "y contains NaN"),
        (X, np.eye(6, dtype=int), "y should be a 1d array"),
        (X * np.nan, Y, "NaN"),
        (X * 1e300, Y, "infinity or a value too large"),
        (X[:, 0], Y, "Reshape your data"),
        (X[:0], Y[:0], "y is empty"),
        (["a.png"] * 6, Y, "X is a list of files or images, but this estimator takes numbers"),
        ([[1.0, 2.0], [1.0]] * 3, Y, "inhomogeneous"),
    ],
)
def test_classifier_refuses(inputs: Any, labels: Any, message: str) -> None:
    _refused(message, lambda: FewShotClassifier().fit(inputs, labels))


def test_labels_of_mixed_kinds_are_refused() -> None:
    _refused(
        "labels must be of one kind, all text or all numbers",
        lambda: FewShotClassifier().fit(X[:2], np.array(["a", 1], dtype=object)),
    )
    estimator = FewShotClassifier().fit(X, Y)
    _refused(
        "labels were numbers before and are text now",
        lambda: estimator.partial_fit(X[:1], ["a"]),
    )
    _refused(
        "label 9 of y is not among `classes`",
        lambda: estimator.partial_fit(X[:1], [9], classes=[0, 1, 2]),
    )


def test_a_failed_fit_leaves_the_fitted_estimator_as_it_was() -> None:
    estimator = FewShotClassifier().fit(X, Y)
    before = estimator.predict_proba(X)
    _refused("NaN", lambda: estimator.partial_fit(X * np.nan, Y))
    _refused("features", lambda: estimator.partial_fit(X[:, :1], Y))
    assert np.array_equal(estimator.predict_proba(X), before)


@pytest.mark.parametrize(
    ("inputs", "targets", "message"),
    [
        (X, Y[:5], "X has 6 examples but y has 5"),
        (X, None, "target y is None"),
        (X, [np.nan] * 6, "y contains NaN"),
        (X, [1e300] * 6, "y contains infinity or a value too large"),
        (X, ["a"] * 6, "could not convert"),
        (X, np.zeros((6, 2, 2)), "targets of one example have shape"),
    ],
)
def test_regressor_refuses(inputs: Any, targets: Any, message: str) -> None:
    _refused(message, lambda: FewShotRegressor().fit(inputs, targets))


def test_inputs_must_have_the_shape_of_the_model(image_model: Model, sinusoid_model: Model) -> None:
    regressor = FewShotRegressor(sinusoid_model)
    _refused("X has 2 features, but the model takes 1", lambda: regressor.fit(X, Y))
    _refused("Reshape your data", lambda: regressor.fit(np.zeros((6, 2, 2)), Y))
    _refused("takes vectors of 1 features", lambda: regressor.fit([b"x"] * 6, Y))
    _refused(
        r"shape \(2,\), expected \(1,\)",
        lambda: regressor.fit(X[:, :1], np.zeros((6, 2))),
    )
    classifier = FewShotClassifier(image_model)
    for inputs, message in [
        (X, r"the model takes images: expected \[n, height, width\].*float64 \[6, 2\]"),
        (np.zeros((6, 4, 4, 2)), "the model takes images"),
        (np.zeros((6, 0, 4)), "no pixels"),
        (np.full((6, 4, 4), np.nan), "NaN"),
        (np.full((6, 4, 4), 1j), "must hold numbers"),
        ([np.zeros((3, 3)), np.zeros((4, 4))] * 3, "images of one size"),
        ("folder", "X is a single path or image"),
    ]:
        _refused(message, lambda i=inputs: classifier.fit(i, Y))
    mixed = [Image.new("L", (4, 4)), 3] * 3
    _refused(r"X\[1\] is a int", lambda: classifier.fit(mixed, Y))


def test_what_is_no_model_is_refused() -> None:
    _refused("model must be a path", lambda: FewShotClassifier(42).fit(X, Y))  # type: ignore[arg-type]
    _refused(
        "there is no model file", lambda: FewShotClassifier("nowhere").fit(X, Y), ModelFileError
    )


def test_an_adaptation_that_diverges_is_an_error(sinusoid_model: Model) -> None:
    x = np.linspace(-5, 5, 6)[:, None]
    estimator = FewShotRegressor(sinusoid_model).fit(x, np.full(6, 3e38))
    _refused("diverged; check that", lambda: estimator.predict(x), DivergenceError)


def test_tensors_are_taken_as_arrays(sinusoid_model: Model) -> None:
    x = torch.linspace(-5, 5, 6)[:, None]
    found = FewShotRegressor(sinusoid_model).fit(x, x[:, 0]).predict(x)
    expected = FewShotRegressor(sinusoid_model).fit(x.numpy(), x[:, 0].numpy()).predict(x.numpy())
    assert np.array_equal(found, expected)
