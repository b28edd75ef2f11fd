"""A fitted classifier as bytes and back, by skops: loading builds types of a list, runs no code.

`_KEPT` are the estimators that a model file may hold, alone or as steps of a pipeline: they predict
by NumPy alone, or what their compiled code is given is checked. Others can be measured, not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from metaloop.core.errors import GuestError
from metaloop.modelfile.trusted_objects import check_trees, object_of, skops_for

_KERNELS = ("linear", "poly", "rbf", "sigmoid")
_WHAT = "a scikit-learn classifier"


def kept(fitted: Any) -> bytes:
    """Returns the bytes of a fitted classifier, of a search the best that it has found.

    Raises `GuestError` for one that a model file does not hold, and `MissingExtraError` without
    skops.
    """
    fitted = getattr(fitted, "best_estimator_", fitted)
    skops_io = skops_for(_WHAT)
    try:
        _check(fitted)
        data = bytes(skops_io.dumps(fitted))
        restored(data)
    except GuestError:
        raise
    except Exception as error:  # skops raises whatever the content makes it raise
        reason = " ".join(str(error).split())[:200]
        raise GuestError(f"{type(fitted).__name__} cannot be kept: {reason}") from error
    return data


def restored(data: bytes) -> Any:
    """Returns the classifier in these bytes.

    Raises `ModelFileError` for what is damaged, or is none of those that are kept, and
    `MissingExtraError` without skops.
    """
    return object_of(data, _WHAT, _checked)


def _checked(fitted: Any) -> Any:
    _check(fitted)
    return fitted


def _check(fitted: Any) -> None:
    """Raises `GuestError` unless it is a classifier of `_KEPT`, or a pipeline that ends in one."""
    steps = [step for _, step in fitted.steps] if _name(fitted) == "Pipeline" else [fitted]
    for place, step in enumerate(steps):
        if isinstance(step, str) and step == "passthrough":
            continue
        table = _KEPT if place == len(steps) - 1 else _BEFORE
        if _name(step) not in table:
            raise GuestError(
                f"{_name(step)} is none of the estimators that a model file holds "
                f"({', '.join(sorted(table))})"
            )
        table[_name(step)](step)


def _name(fitted: Any) -> str:
    """The name of a type of scikit-learn's; others have none of the table."""
    kind = type(fitted)
    return kind.__name__ if kind.__module__.startswith("sklearn.") else f"your {kind.__name__}"


def _nothing(fitted: Any) -> None:
    """By NumPy alone."""


def _check_machine(machine: Any) -> None:
    """The arrays of support vectors fit together: libsvm reads them without looking."""
    vectors, classes = machine.support_vectors_, len(machine.classes_)
    pairs, number = classes * (classes - 1) // 2, len(machine.support_vectors_)
    shapes = {
        "support_vectors_": (number, machine.n_features_in_),
        "support_": (number,),
        "_n_support": (classes,),
        "_dual_coef_": (classes - 1, number),
        "_intercept_": (pairs,),
    }
    fits = all(np.shape(getattr(machine, name)) == shape for name, shape in shapes.items())
    counts = np.asarray(machine._n_support)
    fits = fits and bool((counts >= 0).all()) and int(counts.sum()) == number
    fits = fits and all(len(each) in (0, pairs) for each in (machine._probA, machine._probB))
    if not fits or machine.kernel not in _KERNELS or machine._sparse or vectors.ndim != 2:
        raise GuestError("support vectors that do not fit together are not kept")


_Check = Callable[[Any], None]

_BEFORE: Mapping[str, _Check] = dict.fromkeys(
    ("MaxAbsScaler", "MinMaxScaler", "Normalizer", "PCA", "RobustScaler", "StandardScaler"),
    _nothing,
)
_KEPT: Mapping[str, _Check] = {
    **dict.fromkeys(
        (
            *("GaussianNB", "LinearDiscriminantAnalysis", "LinearSVC", "LogisticRegression"),
            *("MLPClassifier", "QuadraticDiscriminantAnalysis", "RidgeClassifier"),
            "SGDClassifier",
        ),
        _nothing,
    ),
    "ExtraTreesClassifier": check_trees,
    "HistGradientBoostingClassifier": check_trees,
    "RandomForestClassifier": check_trees,
    "SVC": _check_machine,
}
