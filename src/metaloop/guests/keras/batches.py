"""What Keras trains on, batch by batch, as the arrays that estimators learn from.

A few examples of each class are no stream: they are gathered, and learned from together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from metaloop.core.errors import InputError

_ENDLESS = -1  # what tf.data calls the number of batches of one that never ends


def as_arrays(dataset: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns `X [n, ...]` and `y [n]` of all examples of a data set, to `fit` and `predict` on.

    `dataset`: a `tf.data.Dataset`, a `keras.utils.PyDataset`, or whatever yields batches
    `(x, y)` or `(x, y, weights)`; weights are left away. A `tf.data.Dataset` of single examples is
    taken, too. Labels that are one-hot become whole numbers. Raises `InputError` for a data set
    that never ends, for batches that are none of these, and for images of several sizes.

    >>> X, y = as_arrays([([[0.0], [1.0]], [3, 4]), ([[2.0]], [3])])
    >>> X.tolist(), y.tolist()
    ([[0.0], [1.0], [2.0]], [3, 4, 3])
    """
    if _is_endless(dataset):
        raise InputError(
            "the data set never ends; leave .repeat() away, or cut it: dataset.take(BATCHES)"
        )
    if not isinstance(dataset, Iterable):
        raise InputError(
            "expected a tf.data.Dataset, a keras.utils.PyDataset or other batches (x, y), got "
            f"{type(dataset).__name__}"
        )
    pairs = [_batch(batch, place) for place, batch in enumerate(dataset)]
    if not pairs:
        raise InputError("the data set has no batches; give one with examples of each class")
    try:
        inputs, labels = (np.concatenate(each) for each in zip(*pairs, strict=True))
    except ValueError as error:
        shapes = sorted({x.shape[1:] for x, _ in pairs})
        raise InputError(
            f"batches do not fit together: examples have shapes {' and '.join(map(str, shapes))}; "
            "bring them to one, such as with .map(...)"
        ) from error
    return inputs, _labels(labels)


def _is_endless(dataset: Any) -> bool:
    """Whether a data set says that it has no last batch."""
    if hasattr(dataset, "cardinality"):
        return int(dataset.cardinality()) == _ENDLESS
    try:
        return getattr(dataset, "num_batches", 0) is None
    except NotImplementedError:  # a PyDataset that does not say how many there are
        return True


def _batch(batch: Any, place: int) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
        number = f" of {len(batch)}" if isinstance(batch, (tuple, list)) else ""
        raise InputError(
            f"batch {place} is a {type(batch).__name__}{number}; expected (x, y), one input and "
            "one label for each example"
        )
    for part in batch[:2]:
        if isinstance(part, (dict, tuple)):
            raise InputError(
                f"batch {place} has a {type(part).__name__} of several inputs or labels; choose "
                "one: dataset.map(lambda x, y: (x['image'], y))"
            )
    inputs, labels = _array(batch[0]), _array(batch[1])
    if not labels.ndim:  # a single example
        inputs, labels = inputs[None], labels[None]
    if not inputs.ndim or len(inputs) != len(labels):
        raise InputError(
            f"batch {place} has inputs {list(inputs.shape)} and labels {list(labels.shape)}; give "
            "one label for each example"
        )
    return inputs, labels


def _array(part: Any) -> np.ndarray:
    """A tensor of any library as an array: those of torch lose gradients and device."""
    return np.asarray(part.detach().cpu() if hasattr(part, "detach") else part)


def _labels(labels: np.ndarray) -> np.ndarray:
    """Labels `[n]` of `[n]`, of a column, or of one-hot rows."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        return labels[:, 0]
    if labels.ndim == 2 and np.isin(labels, (0, 1)).all() and (labels.sum(1) == 1).all():
        return np.asarray(labels.argmax(1))
    if labels.ndim != 1:
        raise InputError(
            f"labels are {list(labels.shape)}; expected one for each example, [n] or one-hot"
        )
    return labels
