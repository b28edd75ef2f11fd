"""Labels of every common kind, and what scikit-learn refuses as an error of one line.

`classes_` keeps the kind that the user gave: text stays text, whole floats stay floats. Only arrays
of objects become arrays of what they hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.utils.validation import column_or_1d

from metaloop.core.errors import InputError, MetaloopError

_EXPECTED = "expected one label for each example"


@contextmanager
def input_errors() -> Iterator[None]:
    """Makes what scikit-learn's validation refuses an `InputError` of one line."""
    try:
        yield
    except MetaloopError:
        raise
    except ValueError as error:
        raise InputError(" ".join(str(error).split())) from error


def read_labels(y: Any) -> np.ndarray:
    """Returns `y` as `[n]`; raises `InputError` for what is missing, measured or mixed."""
    if y is None:
        raise InputError("this classifier requires y to be passed, but the target y is None")
    if isinstance(y, Iterator):
        raise InputError(f"y is a {type(y).__name__}, which can be read only once; give a list")
    if isinstance(y, (list, tuple)):  # NumPy would make text of numbers and NaN among text
        _check_one_kind(y)
        if any(isinstance(label, (str, bytes)) for label in y):
            y = np.array(y, dtype=object)
    with input_errors():
        if hasattr(y, "__array__"):  # categories, whatever scikit-learn makes of them
            y = np.asarray(y)
        labels = _plain(np.asarray(column_or_1d(y, warn=True)))
    if len(labels) == 0:
        raise InputError(f"y is empty; {_EXPECTED}")
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all():
            raise InputError("y contains NaN or infinity; every example needs a label")
        measured = labels != np.trunc(labels)
        if measured.any():
            raise InputError(
                f"Unknown label type: continuous, such as {labels[measured][0]:g}; expected labels "
                f"of classes, or use FewShotRegressor to predict numbers"
            )
    if labels.dtype.kind not in "biufUSTOMm":
        raise InputError(f"Unknown label type: {labels.dtype}; expected text or whole numbers")
    distinct(labels)
    return labels


def distinct(labels: np.ndarray) -> np.ndarray:
    """Returns the classes, sorted; raises `InputError` if they are of several kinds."""
    try:
        return np.unique(labels)
    except TypeError as error:
        raise InputError(
            f"labels must be of one kind, all text or all numbers: {' '.join(str(error).split())}"
        ) from error


def check_same_kind(old: np.ndarray, new: np.ndarray) -> None:
    """Raises `InputError` if labels were of another kind; NumPy would join them, as text."""
    kinds = [_kind(labels.tolist()[0]) for labels in (old, new)]
    if kinds[0] != kinds[1]:
        raise InputError(f"labels were {kinds[0]} before and are {kinds[1]} now; use one kind")


def _plain(labels: np.ndarray) -> np.ndarray:
    """An array of objects as one of text, numbers or truth values, if they all are.

    Raises `InputError` for labels that are missing.
    """
    if labels.dtype.kind not in "OTMm":
        return labels
    values = list(labels) if labels.dtype.kind in "Mm" else labels.tolist()
    missing = [i for i, value in enumerate(values) if _is_missing(value)]
    if missing:
        raise InputError(
            f"y[{missing[0]}] is missing ({values[missing[0]]!r}); every example needs a label"
        )
    if labels.dtype.kind != "O":
        return labels
    nested = next((value for value in values if isinstance(value, (list, tuple, set, dict))), None)
    if nested is not None:
        raise InputError(f"y holds a {type(nested).__name__}, {nested!r}; {_EXPECTED}")
    _check_one_kind(values)
    plain = np.array(values)
    return plain if plain.shape == labels.shape and plain.dtype.kind in "biufUS" else labels


def _is_missing(value: Any) -> bool:
    """Whether a label stands for none: None, NaN, or the missing value of a data frame."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return bool(np.isnat(value))
    return isinstance(value, (float, np.floating)) and bool(np.isnan(value))


def _check_one_kind(values: Any) -> None:
    kinds = sorted({_kind(value) for value in values if not _is_missing(value)})
    if len(kinds) > 1:
        raise InputError(
            f"labels must be of one kind, all text or all numbers; got {' and '.join(kinds)}"
        )


def _kind(label: Any) -> str:
    return "text" if isinstance(label, str) else "bytes" if isinstance(label, bytes) else "numbers"
