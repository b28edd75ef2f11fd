"""Estimators that say when an input is of none of their classes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import metaloop
from metaloop.core.errors import InputError, ModelFileError
from metaloop.estimators import FewShotClassifier
from metaloop.models import Model
from metaloop.tasks.readers import read_arrays

CLASSES, EXAMPLES = 48, 12


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    means = np.repeat(rng.normal(size=(CLASSES, 8)) * 4, EXAMPLES, 0)
    values = (means + rng.normal(size=means.shape)).astype(np.float32)
    return values, np.repeat([f"class{number:02}" for number in range(CLASSES)], EXAMPLES)


@pytest.fixture(scope="module")
def classifier(data: tuple[np.ndarray, np.ndarray]) -> FewShotClassifier:
    X, y = data
    reading = read_arrays(X, y, name="clusters")
    trained = metaloop.train(reading, "nearest_centroid", budget="1steps", progress=False)
    fitted = trained.model
    assert isinstance(fitted, FewShotClassifier)
    shown = (np.arange(len(y)) % EXAMPLES < 5) & (y < "class05")
    return fitted.fit(X[shown], y[shown])


def test_others_are_none_and_own_classes_are_told(
    classifier: FewShotClassifier, data: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = data
    own, asked = y < "class05", np.arange(len(y)) % EXAMPLES >= 5
    told = classifier.predict(X, reject=0.05)
    assert (told[own & asked] == y[own & asked]).mean() > 0.8
    assert np.mean([each is None for each in told[~own]]) > 0.85
    named = classifier.predict(X[~own][:3], reject=0.05, reject_label="other")
    assert set(named.tolist()) <= {"other", *classifier.classes_.tolist()}
    assert (classifier.predict(X) == np.where(told == None, classifier.predict(X), told)).all()  # noqa: E711


def test_one_class_alone_is_told_from_everything_else(
    classifier: FewShotClassifier, data: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = data
    own = y == "class07"
    alone = FewShotClassifier(classifier.model).fit(X[own][:4], y[own][:4])
    with pytest.warns(UserWarning, match="a guess for 1 way "):
        told = alone.predict(X, reject=0.05)
    assert (told[own] == "class07").mean() > 0.7
    assert np.mean([each is None for each in told[~own]]) > 0.9
    assert (alone.predict(X) == "class07").all()
    unmeasured = replace(classifier.model, rejection=None)
    with pytest.raises(InputError, match="at least 2 classes"):
        FewShotClassifier(unmeasured).fit(X[own][:4], y[own][:4])


def test_a_higher_share_of_false_alarms_rejects_less(
    classifier: FewShotClassifier, data: tuple[np.ndarray, np.ndarray]
) -> None:
    least = [classifier.threshold(rate).value for rate in (0.01, 0.05, 0.2)]
    assert least == sorted(least, reverse=True)


@pytest.mark.parametrize("keep", [True, False])
def test_a_saved_classifier_rejects_what_it_rejected(
    classifier: FewShotClassifier,
    data: tuple[np.ndarray, np.ndarray],
    tmp_path: Path,
    keep: bool,
) -> None:
    X, y = data
    fitted = FewShotClassifier(classifier.model, keep_support=keep).fit(X[:36], y[:36])
    fitted.save(tmp_path / "adapted.metaloop")
    again = FewShotClassifier.load(tmp_path / "adapted.metaloop")
    np.testing.assert_array_equal(again.score_known(X), fitted.score_known(X))
    assert again.threshold(0.05) == fitted.threshold(0.05)


def test_more_classes_than_measured_are_warned_of(
    classifier: FewShotClassifier, data: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = data
    many = FewShotClassifier(classifier.model).fit(X, y)
    with pytest.warns(UserWarning, match="is a guess for 48 ways"):
        many.predict(X[:2], reject=0.05)


def test_without_thresholds_nothing_is_rejected_but_refused(
    classifier: FewShotClassifier,
    data: tuple[np.ndarray, np.ndarray],
) -> None:
    X, y = data
    plain = FewShotClassifier().fit(X[:36], y[:36])
    with pytest.raises(ModelFileError, match="give the estimator a model"):
        plain.predict(X[:2], reject=0.05)
    assert isinstance(classifier.model, Model)
    older = replace(classifier.model, rejection=None)
    fitted = FewShotClassifier(older).fit(X[:36], y[:36])
    with pytest.raises(ModelFileError, match="run learn or train again"):
        fitted.score_known(X[:2])


def test_a_likeness_of_other_features_is_refused(
    classifier: FewShotClassifier, tmp_path: Path
) -> None:
    assert isinstance(classifier.model, Model)
    rejection = classifier.model.rejection
    assert rejection is not None and rejection.likeness is not None
    known = rejection.likeness
    wider = replace(known, center=known.center.repeat(2), directions=known.directions.repeat(2, 1))
    replace(classifier.model, rejection=replace(rejection, likeness=wider)).save(
        tmp_path / "wide.metaloop"
    )
    with pytest.raises(ModelFileError, match="16 features, its learner has 8"):
        FewShotClassifier.load(tmp_path / "wide.metaloop")
