"""How `X` of an estimator is read, for each kind of inputs that a model may take.

`reading_of(model)` is the only place where the kinds are told apart: a line of `READINGS` for each,
and vectors for all others. Without a model there is the baseline, which takes arrays of any shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.utils.validation import validate_data

from metaloop.core.errors import InputError
from metaloop.estimators.documents import (
    DocumentRows,
    Worth,
    extracts,
    length_of,
    read_documents,
    worth_of,
)
from metaloop.estimators.images import image_sources, read_pictures
from metaloop.estimators.items import read_items
from metaloop.estimators.labels import input_errors
from metaloop.estimators.pictures_seen import read_seen_pictures
from metaloop.estimators.recordings import read_recording_rows
from metaloop.estimators.sparse import SparseRows
from metaloop.estimators.task import RawInputs
from metaloop.estimators.texts import read_texts
from metaloop.models import Model
from metaloop.tasks.value_range import ValueRange


@dataclass(frozen=True)
class Asked:
    """What an estimator is asked to read: its model, if it has one, and what is known of `X`.

    `first`: `X` is what it learns from; else the scale and features `known` from before hold.
    `declared`: the numbers that are black and white, where the user said so.
    """

    model: Model | None
    first: bool
    known: ValueRange | None = None
    declared: ValueRange | None = None


@dataclass(frozen=True)
class Reading:
    """One kind of inputs: how it is read, and what scikit-learn is told of it.

    `read(estimator, X, asked)` returns them, raw, and notes on the estimator what scikit-learn's
    users find there (`n_features_in_`, `value_range_`). `tag(tags)` sets the input tags.
    `counted`: an input is so many numbers. `ranged`: what is black and white has to be known, for
    inputs are pixels. Where targets are no numbers, `answers(y, inputs, model)` are those, and what
    they would be at other lengths; `told(outputs, inputs, model)` is what is predicted then.
    """

    read: Callable[[Any, Any, Asked], RawInputs]
    tag: Callable[[Any], None]
    counted: bool = True
    ranged: bool = False
    answers: Callable[[Any, Any, Model], tuple[torch.Tensor, Worth]] | None = None
    told: Callable[[torch.Tensor, Any, Model], np.ndarray] | None = None


def reading_of(model: Model | None) -> Reading:
    """Returns how the inputs of a model are read; None stands for the baseline."""
    return BASELINE if model is None else READINGS.get(model.takes, VECTORS)


def num_features(model: Model) -> int:
    """Returns the numbers in one input, as it is read."""
    return int(np.prod(model.read_format.shape))


def _read_images(estimator: Any, X: Any, asked: Asked) -> RawInputs:
    model = _given(asked)
    view, known = model.view, None if asked.first else asked.known
    pictures = (
        read_pictures(X, model.input_format, known, asked.declared)
        if view is None
        else read_seen_pictures(X, view, model.input_format, known, asked.declared)
    )
    if asked.first:
        estimator.__dict__.pop("feature_names_in_", None)
        estimator.n_features_in_ = num_features(model)
        estimator.value_range_ = pictures.value_range
    return pictures


def _read_texts(_: Any, X: Any, asked: Asked) -> RawInputs:
    view = _given(asked).view
    assert view is not None
    return read_texts(X, view)


def _read_recordings(_: Any, X: Any, asked: Asked) -> RawInputs:
    view = _given(asked).view
    assert view is not None
    return read_recording_rows(X, view)


def _read_items(_: Any, X: Any, asked: Asked) -> RawInputs:
    view = _given(asked).view
    assert view is not None
    return read_items(X, view)


def _read_documents(_: Any, X: Any, asked: Asked) -> RawInputs:
    view = _given(asked).view
    assert view is not None
    return read_documents(X, view)


def _worth(y: Any, rows: DocumentRows, model: Model) -> tuple[torch.Tensor, Worth]:
    assert model.view is not None
    worth = worth_of(y, rows, model.view)
    return worth.targets(length_of(model.view)), worth


def _summaries(outputs: torch.Tensor, rows: DocumentRows, model: Model) -> np.ndarray:
    assert model.view is not None
    found = extracts(outputs, rows, length_of(model.view))
    return np.array([each.summary for each in found], dtype=object)


def _read_vectors(estimator: Any, X: Any, asked: Asked) -> RawInputs:
    model = _given(asked)
    vectors = _rows(estimator, X, asked, f"vectors of {num_features(model)} features")
    if vectors.shape[1:] != tuple(model.input_format.shape):
        raise InputError(
            f"X has {vectors.shape[1]} features, but the model takes {num_features(model)}"
        )
    return SparseRows(vectors) if issparse(vectors) else _tensor(vectors)


def _read_anything(estimator: Any, X: Any, asked: Asked) -> RawInputs:
    """Rows for the baseline: arrays of more dimensions are flattened."""
    vectors = _rows(estimator, X, asked, "numbers")
    return SparseRows(vectors) if issparse(vectors) else _tensor(vectors)


def _rows(estimator: Any, X: Any, asked: Asked, takes: str) -> Any:
    """`X` as scikit-learn checks it: float32 `[n, features]`, dense or sparse by rows."""
    if image_sources(X) is not None:
        raise InputError(
            f"X is a list of files or images, but this estimator takes {takes}; give it a "
            f"model that was trained on images"
        )
    if isinstance(X, Iterator):
        raise InputError(
            f"X is a {type(X).__name__}, which can be read only once; give a list or an array"
        )
    with input_errors():
        dimensions = X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim
        if dimensions > 2 and asked.model is None:
            X = np.asarray(X).reshape(len(X), -1)
        elif dimensions != 2:
            raise InputError(
                f"X must be [n, features], got {dimensions} dimensions. Reshape your data: "
                f"X.reshape(-1, 1) if it has a single feature, X.reshape(1, -1) if it is a "
                f"single example"
            )
        with np.errstate(over="ignore"):  # what is too large becomes infinite and is refused
            return validate_data(
                estimator, X, dtype=np.float32, reset=asked.first, accept_sparse="csr"
            )


def _tensor(vectors: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.require(vectors, requirements=["C", "W"]))


def _given(asked: Asked) -> Model:
    assert asked.model is not None  # only the baseline has none
    return asked.model


def _tag(**shapes: bool) -> Callable[[Any], None]:
    def tag(tags: Any) -> None:
        for name, can_be in shapes.items():
            setattr(tags.input_tags, name, can_be)

    return tag


_ROWS = {"two_d_array": True, "three_d_array": False, "sparse": True}

BASELINE = Reading(_read_anything, _tag(**{**_ROWS, "three_d_array": True}))
VECTORS = Reading(_read_vectors, _tag(**_ROWS))
READINGS: Mapping[str, Reading] = MappingProxyType(
    {
        "documents": Reading(
            _read_documents,
            _tag(two_d_array=False, string=True),
            counted=False,
            answers=_worth,
            told=_summaries,
        ),
        "images": Reading(
            _read_images,
            _tag(two_d_array=False, three_d_array=True, sparse=False),
            ranged=True,
        ),
        "items": Reading(_read_items, _tag(two_d_array=False, string=True), counted=False),
        "recordings": Reading(_read_recordings, _tag(**{**_ROWS, "sparse": False}), counted=False),
        "texts": Reading(_read_texts, _tag(two_d_array=False, string=True), counted=False),
    }
)
