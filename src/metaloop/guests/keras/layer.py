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

from metaloop.core.errors import MetaloopError
from metaloop.guests.keras.installed import keras_here

_BRIGHTEST = 2.0  # of floats from 0 to 1, whatever augmentation did to them
_ANY_SIZE = (32, 32)  # pixels of the image that a model which takes any size is tried on


def as_layer(model: Any, *, name: str = "metaloop") -> Any:
    """Returns a frozen Keras layer that computes the features of a metaloop model.

    `model`: a model file or a run's folder, or what `metaloop.load`, `train`, `learn` or `select`
    returned; of a classifier of `select` the features are those before its head. Inputs are those
    of the model, images as `(height, width, channels)`: bytes, or floats from 0 to 1. A model that
    sees images through a backbone, and a classifier, take any size and 1 or 3 channels. Raises
    `MetaloopError` for a model without features that stay the same from task to task, one whose
    inputs are no numbers, a backbone that is not here, or a backend of Keras that cannot have it.
    """
    from metaloop import load  # lazy: the front door stands above

    if isinstance(model, (str, os.PathLike)):
        model = load(model)
    for inner in ("trained", "model"):  # of a result of training; of an estimator
        found = getattr(model, inner, None)
        model = model if found is None else getattr(found, "model", found)
    if not hasattr(model, "features"):
        raise MetaloopError(
            f"expected a metaloop model of images or vectors, or its file, got "
            f"{type(model).__name__}"
        )
    return _frozen_features(model, name)


def _frozen_features(model: Any, name: str) -> Any:
    """Returns a Keras layer from inputs of the model, channels last, to its features.

    Floats are taken as the format has them (images 0 to 1), whole numbers as bytes of images.
    """
    keras = keras_here("a metaloop layer")
    backend = keras.backend.backend()
    if backend not in ("torch", "tensorflow"):
        raise MetaloopError(
            f"Keras runs on {backend}; metaloop's features are a layer on torch and TensorFlow only"
        )
    any_size = model.view is not None or hasattr(model, "classes")  # it brings images to its size
    shape = (3, *_ANY_SIZE) if any_size else tuple(model.input_format.shape)
    images = len(shape) == 3

    @torch.no_grad()
    def features(inputs: Tensor) -> Tensor:
        given = inputs.movedim(-1, 1) if images else inputs
        if images and given.is_floating_point():
            largest = float(given.max()) if given.numel() else 0.0
            if largest > _BRIGHTEST:
                raise MetaloopError(
                    f"layer '{name}' takes images as bytes (keras.Input(shape, dtype='uint8')) or "
                    f"as floats from 0 to 1, got values up to {largest:g}"
                )
        if images and (any_size or not given.is_floating_point()):
            given = _bytes(given)
        found: Tensor = model.features(given)
        return found.to(inputs.device)

    one = torch.zeros(1, *shape, dtype=torch.uint8 if images else torch.float32)
    try:
        width = int(model.features(one).shape[1])
    except MetaloopError as error:
        raise MetaloopError(f"'{name}' cannot be a layer: {error}") from error
    expected = (*shape[1:], shape[0]) if images else shape
    return _layer(keras, features, None if any_size else expected, width, name)


def _bytes(images: Tensor) -> Tensor:
    """Images 0 to 1, or whole numbers, as uint8."""
    scaled = images * 255.0 if images.is_floating_point() else images
    return scaled.clamp(0, 255).round().to(torch.uint8) if images.dtype != torch.uint8 else images


def _layer(
    keras: Any,
    features: Callable[[Tensor], Tensor],
    expected: tuple[int, ...] | None,
    width: int,
    name: str,
) -> Any:
    """`expected`: the shape of an input; None for images of any size."""
    base: Any = keras.layers.Layer

    class Features(base):  # type: ignore[misc]
        """Features of a metaloop model."""

        def build(self, input_shape: Any) -> None:
            found = tuple(input_shape[1:])
            if expected is None and (len(found) != 3 or found[2] not in (1, 3)):
                raise MetaloopError(
                    f"layer '{name}' takes images (height, width, 1 or 3) of any size, got inputs "
                    f"of shape {found}"
                )
            if expected is not None and found != expected:
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
