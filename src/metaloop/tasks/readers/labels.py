"""Label arrays: which example is of which class, with groups and a split where they are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metaloop.core.errors import DataError
from metaloop.tasks.readers.names import tidy
from metaloop.tasks.readers.parts import PART_NAMES, published_parts
from metaloop.tasks.store import ClassInfo, LeftOut, PublishedPart

_CODED_PARTS: tuple[PublishedPart, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class LabelTable:
    """The classes and the class of every example: `targets [n]` index `classes`.

    `parts [n]`: the published part of every example, None where there is no split.
    """

    targets: np.ndarray
    classes: list[ClassInfo]
    left_out: list[LeftOut]
    parts: np.ndarray | None = None


def read_labels(
    where: str, y: np.ndarray, split: Any = None, group: Any = None, class_names: Any = None
) -> LabelTable:
    """Returns the table of labels `y [n]`; `split` and `group` are per example or per class.

    Raises `DataError` for labels that are not ints or strings, and for lengths that do not fit.
    """
    targets, names = _classes(where, as_labels(where, "y", y), class_names)
    of_examples = None if split is None else example_parts(where, split, targets, len(names))
    parts, notices = _parts_of_classes(targets, of_examples, len(names))
    groups, notice = _groups(where, targets, len(names), group)
    classes = [
        ClassInfo(name, group=of_group, part=part)
        for name, of_group, part in zip(names, groups, parts, strict=True)
    ]
    return LabelTable(targets, classes, notices + notice, of_examples)


def as_labels(where: str, what: str, y: np.ndarray) -> np.ndarray:
    """Returns labels `[n]`: text, ints or truth values; bytes and strings of any kind become text.

    Understands columns `[n, 1]`, whole floats and one-hot rows `[n, classes]`. Raises `DataError`
    for measured numbers and other shapes.
    """
    if y.ndim == 2 and y.shape[1] > 1 and y.dtype.kind in "biuf":
        one_hot = ((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all()
        y = np.asarray(y.argmax(axis=1)) if one_hot else y
    y = _ints_if_whole(_flat(where, what, y))
    if y.dtype.kind == "T":  # NumPy's StringDType
        y = y.astype(str)
    if y.dtype.kind not in "biuUS":
        raise DataError(
            f"{where}: labels must be ints or strings, got {y.dtype}; "
            "numbers that are measured are not classes"
        )
    return np.array([_text(value) for value in y.tolist()], str) if y.dtype.kind in "US" else y


def label_values(where: str, y: np.ndarray, class_names: Any = None) -> list[Any]:
    """Returns the label of every example as text or number; with `class_names` always their names.

    Raises `DataError` as `read_labels` does.
    """
    labels = as_labels(where, "y", y)
    targets, names = _classes(where, labels, class_names)
    if class_names is None:
        return list(labels.tolist())
    return [names[target] for target in targets.tolist()]


def as_array(where: str, what: str, values: Any) -> np.ndarray:
    """Returns the values as an array; raises `DataError` for ragged lists and the like."""
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise DataError(
            f"{where}: {what} cannot be made into an array: {' '.join(str(error).split())}"
        ) from error
    if array.dtype == object and array.size and all(isinstance(v, str) for v in array.flat):
        return array.astype(str)  # a column of a data frame
    return array


def _classes(where: str, y: np.ndarray, class_names: Any) -> tuple[np.ndarray, list[str]]:
    """The index of every example's class and the names of the classes."""
    if len(y) == 0:
        raise DataError(f"{where}: there are no examples; y is empty")
    if class_names is None:
        values, targets = np.unique(y, return_inverse=True)
        return targets, _distinct([_text(value) for value in values])
    known = [
        _text(value)
        for value in _flat(where, "class_names", as_array(where, "class_names", class_names))
    ]
    if y.dtype.kind in "US":
        index = {name: i for i, name in enumerate(known)}
        unknown = sorted({_text(value) for value in np.unique(y)} - set(known))
        if unknown:
            raise DataError(
                f"{where}: label {unknown[0]!r} is not among the {len(known)} class names"
            )
        return np.array([index[_text(value)] for value in y], np.int64), _distinct(known)
    targets = y.astype(np.int64)
    if targets.min() < 0 or targets.max() >= len(known):
        raise DataError(
            f"{where}: labels run from {targets.min()} to {targets.max()}, but there are "
            f"{len(known)} class names; expected labels 0 to {len(known) - 1}"
        )
    return targets, _distinct(known)


def _parts_of_classes(
    targets: np.ndarray, of_examples: np.ndarray | None, num_classes: int
) -> tuple[Sequence[PublishedPart | None], list[LeftOut]]:
    """The published part of every class, with a notice where the split is of no use."""
    if of_examples is None:
        return [None] * num_classes, []
    return published_parts(targets, of_examples.tolist(), num_classes)


def example_parts(where: str, split: Any, targets: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns the published part of every example, from `split` per example or per class.

    Raises `DataError` for what names no part.
    """
    values = _per_example(where, "split", split, targets, num_classes)
    unique, inverse = np.unique(values, return_inverse=True)
    # with only two codes, as in 0 = train and 1 = test, there is no val
    codes = {"0": "train", "1": "val" if "2" in map(_text, unique) else "test", "2": "test"}
    meant: list[PublishedPart] = []
    for value in unique:
        part = PART_NAMES.get(codes.get(_text(value), _text(value)).lower())
        if part is None:
            raise DataError(
                f"{where}: split holds {_text(value)!r}; expected 'train', 'val' and 'test', "
                "or 0, 1 and 2"
            )
        meant.append(part)
    return np.array(meant)[inverse]


def _groups(
    where: str, targets: np.ndarray, num_classes: int, group: Any
) -> tuple[list[str], list[LeftOut]]:
    """The group of every class; groups that cut through classes are of no use."""
    groups = [""] * num_classes
    if group is None:
        return groups, []
    unique, inverse = np.unique(
        _per_example(where, "group", group, targets, num_classes), return_inverse=True
    )
    pairs = np.unique(np.stack([targets, inverse]), axis=1)
    several = len(pairs[0]) - len(np.unique(pairs[0]))
    if several:
        reason = "not used: examples of one class belong to different groups"
        return groups, [LeftOut("the groups", reason)]
    for target, index in pairs.T.tolist():
        groups[target] = _text(unique[index])
    return groups, []


def _per_example(
    where: str, what: str, values: Any, targets: np.ndarray, num_classes: int
) -> np.ndarray:
    """The values per example, where they were given per example or per class."""
    array = _ints_if_whole(_flat(where, what, as_array(where, what, values)))
    if array.dtype.kind not in "biuUS":
        array = array.astype(str)
    if len(array) == len(targets):
        return array
    if len(array) == num_classes:
        return np.asarray(array[targets])
    raise DataError(
        f"{where}: {what} has {len(array)} values; expected one for each of the {len(targets)} "
        f"examples or one for each of the {num_classes} classes"
    )


def _flat(where: str, what: str, array: np.ndarray) -> np.ndarray:
    """`[n]`, also from a column `[n, 1]`."""
    if array.ndim == 2 and array.shape[1] == 1:
        return array[:, 0]
    if array.ndim != 1:
        raise DataError(f"{where}: {what} must be [n], got shape {list(array.shape)}")
    return array


def _ints_if_whole(array: np.ndarray) -> np.ndarray:
    """Floats that are whole numbers as ints, anything else as it is."""
    whole = array.dtype.kind == "f" and np.array_equal(array, np.rint(array))
    return array.astype(np.int64) if whole else array


def _text(value: Any) -> str:
    """A label as text: bytes are decoded."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return tidy(text)


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, with a number added to those that occur twice (two cranes of ImageNet)."""
    twice = {name for name in names if names.count(name) > 1} if _repeats(names) else set()
    return [f"{name} ({i})" if name in twice else name for i, name in enumerate(names)]


def _repeats(names: Sequence[str]) -> bool:
    """Whether any name occurs twice."""
    return len(set(names)) < len(names)
