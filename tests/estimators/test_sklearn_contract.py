"""scikit-learn's own checks of estimators, and its habits where those checks cannot reach."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from metaloop.estimators import FewShotClassifier, FewShotRegressor
from metaloop.models import Model

# Every check of scikit-learn that cannot apply, with the reason: none for the default estimators.
# With a model the checks cannot run: its inputs have the shape it was trained on, and the checks
# make up their own (scikit-learn itself gives up on estimators of images). What they would check
# is tested below and in test_trained.py.
_NOT_KEPT = "partial_fit after fit needs the support, and keep_support=False is to forget it"
CANNOT_APPLY_WITHOUT_SUPPORT = {
    "check_fit_score_takes_y": _NOT_KEPT,
    "check_n_features_in_after_fitting": _NOT_KEPT,
}

ESTIMATORS = [
    FewShotClassifier(),
    FewShotRegressor(),
    FewShotClassifier(keep_support=False),
    FewShotRegressor(keep_support=False),
]


@parametrize_with_checks(
    ESTIMATORS,
    expected_failed_checks=lambda estimator: (
        {} if estimator.keep_support else CANNOT_APPLY_WITHOUT_SUPPORT
    ),
)
def test_estimator_passes_the_check_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.filterwarnings("ignore:Can't test estimator")
def test_scikit_learn_finds_the_tags_of_an_image_model_in_order(image_model: Model) -> None:
    for estimator, check in estimator_checks_generator(FewShotClassifier(image_model)):
        check(estimator)


def test_clone_keeps_a_loaded_model_as_it_is(image_model: Model) -> None:
    original = FewShotClassifier(image_model, keep_support=False)
    copied = clone(original)
    assert copied is not original
    assert copied.model is image_model
    assert copied.keep_support is False
    assert clone(FewShotRegressor("a/path")).model == "a/path"


def test_clone_of_a_fitted_estimator_is_not_fitted(
    image_model: Model, task: dict[str, Any]
) -> None:
    fitted = FewShotClassifier(image_model).fit(task["support"], task["labels"])
    with pytest.raises(NotFittedError):
        clone(fitted).predict(task["queries"])


def test_parameters_are_shown_in_one_short_line(image_model: Model) -> None:
    shown = repr(FewShotClassifier(image_model))
    assert shown == "FewShotClassifier(model=<Model protonet / strided on inputs (1, 16, 16)>)"


def test_cross_validation_works_on_images_with_a_model(
    image_model: Model, task: dict[str, Any]
) -> None:
    scores = cross_val_score(FewShotClassifier(image_model), task["queries"], task["truth"], cv=3)
    assert scores.mean() > 0.9


def test_predict_does_not_change_the_estimator(image_model: Model, task: dict[str, Any]) -> None:
    estimator = FewShotClassifier(image_model).fit(task["support"], task["labels"])
    before = dict(vars(estimator))
    estimator.predict_proba(task["queries"])
    assert vars(estimator) == before


def test_fit_is_idempotent_and_repeatable(image_maml: Model, task: dict[str, Any]) -> None:
    estimator = FewShotClassifier(image_maml).fit(task["support"], task["labels"])
    first = estimator.predict_proba(task["queries"])
    again = estimator.fit(task["support"], task["labels"]).predict_proba(task["queries"])
    assert_array_equal(again, first)


def test_a_fitted_estimator_can_be_copied(image_model: Model, task: dict[str, Any]) -> None:
    estimator = FewShotClassifier(image_model).fit(task["support"], task["labels"])
    copied = copy.deepcopy(estimator)
    assert_allclose(copied.predict_proba(task["queries"]), estimator.predict_proba(task["queries"]))


def test_predict_before_fit_is_refused(image_model: Model, sinusoid_model: Model) -> None:
    for estimator in (FewShotClassifier(image_model), FewShotRegressor(sinusoid_model)):
        with pytest.raises(NotFittedError):
            estimator.predict(np.zeros((1, 1)))
        with pytest.raises(NotFittedError):
            estimator.save("never.metaloop")
