"""Data frames are taken by estimators as the arrays that they hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from metaloop import FewShotClassifier, FewShotRegressor
from metaloop.core.errors import InputError

NAMES = ["height", "weight", "age"]
X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
LABELS = np.array(["cat", "dog", "cow"] * 4)


def frames(columns: dict[str, Any]) -> list[Any]:
    """The same table in each library that is installed; skips the test where there is none."""
    found = []
    for library in ("pandas", "polars"):
        try:
            found.append(__import__(library).DataFrame(columns))
        except ImportError:
            continue
    if not found:
        pytest.skip("neither pandas nor polars is installed")
    return found


def test_a_classifier_takes_frames_and_columns() -> None:
    expected = FewShotClassifier().fit(X, LABELS).predict_proba(X)
    columns = {name: X[:, place] for place, name in enumerate(NAMES)}
    for frame in frames({**columns, "kind": LABELS}):
        inputs = frame[NAMES]
        classifier = FewShotClassifier().fit(inputs, frame["kind"])
        assert classifier.classes_.tolist() == ["cat", "cow", "dog"]
        assert_array_equal(classifier.predict_proba(inputs), expected)
        assert classifier.feature_names_in_.tolist() == NAMES
        with pytest.raises((InputError, ValueError), match="feature names"):
            classifier.predict(frame[NAMES[::-1]])


def test_a_regressor_takes_frames_and_columns() -> None:
    y = X @ [1.0, 2.0, 3.0] + 100
    expected = FewShotRegressor().fit(X, y).predict(X)
    columns = {name: X[:, place] for place, name in enumerate(NAMES)}
    for frame in frames({**columns, "y": y}):
        regressor = FewShotRegressor().fit(frame[NAMES], frame["y"])
        np.testing.assert_allclose(regressor.predict(frame[NAMES]), expected, rtol=1e-6)
