"""A metaloop model as a frozen layer of Keras: raw inputs in, its features out.

On the torch backend features are computed in the graph of the program, on TensorFlow by
`numpy_function`: the same numbers, outside of TensorFlow's graph. Nothing of it is trained, and no
gradient passes through to its inputs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metaloop.core.black_box import BlackBoxLearner
from metaloop.core.errors import MetaloopError
from metaloop.core.inputs import InputFormat
from metaloop.core.learner import EmbeddingLearner, MetaParams
from metaloop.guests.keras.installed import keras_here

_BRIGHTEST = 2.0  # of floats from 0 to 1, whatever augmentation did to them


def as_layer(model: Any, *, name: str = "metaloop") -> Any:
    """Returns a frozen Keras layer that computes the features of a metaloop model.

    `model`: a model file or a run's folder, or what `metaloop.load`, `train` or `learn` returned.
    Inputs are those of the model, images as `(height, width, channels)`: bytes, or floats from 0 to
    1. Raises `MetaloopError` for a model without features that stay the same from task to task,
    one of texts, or a backend of Keras that cannot have them.
    """
    from metaloop import load  # lazy: the front door stands above

    if isinstance(model, (str, os.PathLike)):
        model = load(model)
    for inner in ("trained", "model"):  # of a result of training; of an estimator
        found = getattr(model, inner, None)
        model = model if found is None else getattr(found, "model", found)
    if not hasattr(model, "meta_params"):
        raise MetaloopError(f"expected a metaloop model or its file, got {type(model).__name__}")
    if model.view is not None:
        raise MetaloopError(
            f"layer '{name}' would have to read texts, which come to Keras as numbers; use the "
            "estimator of metaloop.load"
        )
    return _frozen_features(model.learner, model.meta_params, model.input_format, name)


def _frozen_features(
    learner: Any, meta_params: MetaParams, input_format: InputFormat, name: str
) -> Any:
    """Returns a Keras layer from inputs of the format, channels last, to the learner's features.

    Floats are taken as the format has them (images 0 to 1), whole numbers as bytes of images.
    Raises `MetaloopError` for a learner without features, or a backend that cannot have them.
    """
    keras = keras_here("a metaloop layer")
    backend = keras.backend.backend()
    if isinstance(learner, BlackBoxLearner) or not isinstance(learner, EmbeddingLearner):
        raise MetaloopError(
            f"'{name}' is of a learner that changes its features from task to task, or has none; "
            "a layer needs one on an embedding: protonet, ridge, rfs, simpleshot"
        )
    if backend not in ("torch", "tensorflow"):
        raise MetaloopError(
            f"Keras runs on {backend}; metaloop's features are a layer on torch and TensorFlow only"
        )
    shape = tuple(input_format.shape)
    expected = (*shape[1:], shape[0]) if len(shape) == 3 else shape
    width = int(getattr(learner, "net").num_features)  # noqa: B009

    @torch.no_grad()
    def features(inputs: Tensor) -> Tensor:
        given = inputs.movedim(-1, 1) if len(shape) == 3 else inputs
        largest = float(given.max()) if len(shape) == 3 and given.numel() else 0.0
        if given.is_floating_point() and largest > _BRIGHTEST:
            raise MetaloopError(
                f"layer '{name}' takes images as bytes (keras.Input(shape, dtype='uint8')) or as "
                f"floats from 0 to 1, got values up to {largest:g}"
            )
        return learner.embed(meta_params, input_format.to_float(given))

    return _layer(keras, features, expected, width, name)


def _layer(
    keras: Any,
    features: Callable[[Tensor], Tensor],
    expected: tuple[int, ...],
    width: int,
    name: str,
) -> Any:
    base: Any = keras.layers.Layer

    class Features(base):  # type: ignore[misc]
        """Features of a metaloop model."""

        def build(self, input_shape: Any) -> None:
            found = tuple(input_shape[1:])
            if found != expected:
                raise MetaloopError(f"layer '{name}' takes inputs of shape {expected}, got {found}")

        def compute_output_spec(self, inputs: Any, *args: Any, **options: Any) -> Any:
            return keras.KerasTensor((inputs.shape[0], width), "float32")

        def call(self, inputs: Any) -> Any:
            if keras.backend.backend() == "torch":
                return features(inputs)
            import tensorflow  # optional extra

            def apart(array: np.ndarray) -> np.ndarray:
                return np.asarray(features(torch.from_numpy(np.array(array))).numpy())

            outputs = tensorflow.numpy_function(apart, [inputs], tensorflow.float32)
            outputs.set_shape((inputs.shape[0], width))
            return outputs

        def get_config(self) -> dict[str, Any]:
            raise MetaloopError(
                f"layer '{name}' is a metaloop model, which Keras cannot save; save the layers "
                "above it, and make it again with as_layer"
            )

    layer = Features(name=name, trainable=False, dtype="float32", autocast=False)
    layer.supports_jit = False
    return layer
