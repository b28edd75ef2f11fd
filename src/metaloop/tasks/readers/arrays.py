"""Arrays in memory: examples `X [n, ...]` with class labels `y [n]`.

`[n, d]` is read as vectors, `[n, h, w]` and `[n, h, w, c]` as images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from metaloop.core.errors import DataError
from metaloop.core.large import pieces, room
from metaloop.tasks.readers.finish import finish, unreadable
from metaloop.tasks.readers.image_sets import decode_all
from metaloop.tasks.readers.labels import LabelTable, as_array, read_labels
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.readers.ranges import range_of_set
from metaloop.tasks.store import Reading
from metaloop.tasks.value_range import ValueRange, declared_range, to_bytes

_SHAPES = "expected X as [n, features], [n, h, w] or [n, h, w, channels] with 1, 3 or 4 channels"


def read_arrays(
    X: Any,
    y: Any,
    *,
    split: Any = None,
    group: Any = None,
    class_names: Any = None,
    name: str = "arrays",
    image_size: int | None = None,
    channels: int | None = None,
    polarity: Literal["as_is", "ink"] | None = None,
    strict: bool = False,
    value_range: ValueRange | None = None,
) -> Reading:
    """Returns the reading of arrays or whatever NumPy makes arrays of (lists, data frames).

    `y`: labels, ints or strings `[n]`; with `class_names [k]`, ints index those. `split` (train,
    val, test or 0, 1, 2) and `group` are per example `[n]` or per class `[k]`, classes in the order
    of `class_names`, else sorted. What is black and white in images is decided by the rule of
    `tasks.value_range`, or declared. Raises `DataError` for what cannot be used, such as NaN.

    >>> reading = read_arrays([[0.0], [0.1], [5.0], [5.1]], ["low", "low", "high", "high"])
    >>> [one.name for one in reading.store.classes]
    ['high', 'low']
    """
    value_range = declared_range(value_range)
    options = ReadOptions(image_size, channels, polarity, strict, value_range=value_range)
    labels = read_labels(name, as_array(name, "y", y), split, group, class_names)
    return read_examples(name, name, "arrays", as_array(name, "X", X), labels, options)


def read_examples(
    where: str,
    name: str,
    kind: str,
    inputs: np.ndarray,
    labels: LabelTable,
    options: ReadOptions,
    notes: Sequence[str] = (),
) -> Reading:
    """Returns the reading of `inputs [n, ...]`: vectors or images, by their shape."""
    if inputs.dtype.kind not in "biuf":
        raise DataError(f"{where}: X must hold numbers, got {_described(inputs)}")
    if inputs.ndim == 0:
        raise DataError(f"{where}: got X as {_described(inputs)}; {_SHAPES}")
    if len(inputs) != len(labels.targets):
        raise DataError(
            f"{where}: X has {len(inputs)} examples but y has {len(labels.targets)} labels; "
            "expected one label for each example"
        )
    _check_finite(where, inputs)
    if inputs.ndim == 2:
        return _read_vectors(where, name, kind, inputs, labels, options, notes)
    images = channels_last(where, inputs)
    extremes = np.array([images.min(), images.max()])
    images = to_bytes(images, range_of_set(extremes, images.dtype, options.value_range, where))
    decoded = decode_all(len(images), lambda i: images[i], options)
    broken = unreadable(where, [f"image {i}" for i in range(len(images))], decoded.readable)
    return finish(
        where,
        f"{kind}, images",
        decoded.images,
        labels.targets[decoded.readable],
        labels.classes,
        [*labels.left_out, *broken],
        name=name,
        polarity=decoded.polarity,
        strict=options.strict,
        notes=notes,
        example_parts=None if labels.parts is None else labels.parts[decoded.readable],
        detail=decoded.detail,
    )


def _read_vectors(
    where: str,
    name: str,
    kind: str,
    inputs: np.ndarray,
    labels: LabelTable,
    options: ReadOptions,
    notes: Sequence[str],
) -> Reading:
    """The reading of `[n, d]` as float32 vectors."""
    asked = (options.image_size, options.channels, options.polarity, options.value_range)
    if any(value is not None for value in asked):
        raise DataError(
            f"{where}: image size, channels, polarity and value range are for images, but X is "
            f"vectors {list(inputs.shape)}; reshape X to [n, h, w] or leave these options out"
        )
    if inputs.shape[1] == 0:
        raise DataError(f"{where}: X has no features, got {_described(inputs)}; {_SHAPES}")
    vectors = room(inputs.shape, np.float32)
    with np.errstate(over="ignore"):
        for piece in pieces(vectors):
            vectors[piece] = inputs[piece]
    _check_finite(where, vectors)  # float64 may overflow
    return finish(
        where,
        f"{kind}, vectors",
        vectors,
        labels.targets,
        labels.classes,
        labels.left_out,
        name=name,
        strict=options.strict,
        notes=notes,
        example_parts=labels.parts,
    )


def _check_finite(where: str, inputs: np.ndarray) -> None:
    """Raises `DataError` if a value is NaN, infinite or too large for float32."""
    if inputs.dtype.kind != "f" or inputs.size == 0:
        return
    if np.isfinite(inputs.min()) and np.isfinite(inputs.max()):  # NaN shows in both
        return
    bad = np.flatnonzero(~np.isfinite(inputs.reshape(len(inputs), -1)).all(axis=1))
    raise DataError(
        f"{where}: {len(bad)} of {len(inputs)} rows of X hold NaN, infinite or too large values, "
        f"the first is row {bad[0]}; repair or remove these rows"
    )


def channels_last(where: str, inputs: np.ndarray) -> np.ndarray:
    """Returns images as `[n, h, w]` or `[n, h, w, 3 or 4]`; also from `[n, c, h, w]`."""
    if inputs.ndim == 4 and inputs.shape[3] not in (1, 3, 4) and inputs.shape[1] in (1, 3):
        inputs = inputs.transpose(0, 2, 3, 1)
    channels = inputs.shape[3] if inputs.ndim == 4 else 1
    if inputs.ndim not in (3, 4) or channels not in (1, 3, 4) or inputs.size == 0:
        raise DataError(f"{where}: got X as {_described(inputs)}; {_SHAPES}")
    return inputs.reshape(inputs.shape[:3]) if channels == 1 else inputs


def _described(array: np.ndarray) -> str:
    """The type and shape of an array in words."""
    return f"{array.dtype} {list(array.shape)}"
