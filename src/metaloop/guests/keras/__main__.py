"""The process of Keras: `python -m metaloop.guests.keras`, started by a learner, never by hand.

A model is compiled once for all tasks of one shape, for TensorFlow traces what it runs; each task
begins with fresh weights and a fresh optimiser in it, and its own weights are what is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from metaloop.core.errors import GuestError
from metaloop.core.guest_serving import serve
from metaloop.core.messages import Arrays

_MODELS_KEPT = 4
_PREDICTED_AT_ONCE = 256


class Guest:
    """A Keras model for one task."""

    def __init__(
        self, recipe: Mapping[str, Any], arrays: Arrays, seed: int, num_classes: int
    ) -> None:
        self.recipe, self.arrays, self.seed = recipe, arrays, seed
        self.num_classes = num_classes

    def fit(self, inputs: np.ndarray, targets: np.ndarray) -> Guest:
        """Learns from inputs `[N, *shape]` as metaloop has them, and labels or real targets."""
        import keras  # optional extra

        inputs = _channels_last(inputs)
        outputs = self.num_classes or targets.shape[1]
        self.model = _compiled(self._architecture, inputs.shape[1:], outputs)
        _check(self.model, inputs.shape[1:], outputs, bool(self.num_classes))
        keras.utils.set_random_seed(self.seed)
        fresh = _made(self._architecture, inputs.shape[1:], outputs)
        if self.arrays:
            fresh.set_weights([self.arrays[name] for name in sorted(self.arrays)])
        fresh.optimizer.build(fresh.trainable_variables)
        _assign(self.model.variables, fresh.variables)
        _assign(self.model.optimizer.variables, fresh.optimizer.variables)
        if self.num_classes:
            self.classes_ = np.unique(targets)
        wanted = targets
        if self.num_classes and _wants_one_hot(self.model):
            wanted = np.eye(self.num_classes, dtype=np.float32)[targets]
        keras.utils.set_random_seed(self.seed)
        if self.recipe["epochs"]:  # none where it was fitted before
            self.model.fit(
                inputs, wanted, epochs=self.recipe["epochs"], batch_size=self.recipe["batch_size"],
                verbose=0,
            )  # fmt: skip
        self.fitted = [np.array(keras.ops.convert_to_numpy(v)) for v in self.model.variables]
        return self

    def __getattr__(self, name: str) -> Any:
        if name == "predict_proba" and self.__dict__.get("num_classes"):
            return self._probabilities
        raise AttributeError(name)

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """Returns the model's outputs `[N, outputs]`."""
        _assign(self.model.variables, self.fitted)
        inputs = _channels_last(inputs)
        return np.asarray(self.model.predict(inputs, batch_size=_PREDICTED_AT_ONCE, verbose=0))

    def tensors(self) -> dict[str, np.ndarray]:
        """Returns the weights of `keras_cnn`; a file that holds another model would need its code.

        Raises `GuestError` for every other model.
        """
        if self._architecture:
            raise GuestError(
                "a Keras model of your own cannot be kept: to build it again from a file could run "
                "code; 'keras_cnn' can"
            )
        return {f"weight.{place:04d}": np.asarray(each) for place, each in enumerate(self.fitted)}

    def _probabilities(self, inputs: np.ndarray) -> np.ndarray:
        outputs = self.predict(inputs).astype(np.float64)
        if (outputs < 0).any() or not np.allclose(outputs.sum(1), 1, atol=1e-3):  # logits
            outputs = np.exp(outputs - outputs.max(1, keepdims=True))
            outputs /= outputs.sum(1, keepdims=True)
        return outputs[:, self.classes_]

    @property
    def _architecture(self) -> str:
        """JSON, empty for the net of `keras_cnn`."""
        return "" if self.recipe["kind"] == "cnn" else str(self.recipe["architecture"])


@lru_cache(maxsize=_MODELS_KEPT)
def _compiled(architecture: str, shape: tuple[int, ...], outputs: int) -> Any:
    model = _made(architecture, shape, outputs)
    model.optimizer.build(model.trainable_variables)
    return model


def _made(architecture: str, shape: tuple[int, ...], outputs: int) -> Any:
    """Returns a compiled model whose weights are new."""
    import keras  # optional extra

    if not architecture:
        return _textbook(shape, outputs)
    try:
        model = keras.models.model_from_json(architecture)
    except Exception as error:  # of layers that the sender has defined: nearly any
        reason = " ".join(str(error).split())[:200]
        raise GuestError(
            f"the Keras model cannot be made in a process of its own (layers and losses of your "
            f"own do not travel): {reason}"
        ) from error
    if not model.compiled:
        raise GuestError("how the Keras model is compiled could not be written as JSON")
    return model


def _textbook(shape: tuple[int, ...], outputs: int) -> Any:
    import keras  # optional extra

    if len(shape) != 3 or min(shape[:2]) < 4:
        raise GuestError(f"keras_cnn takes images of 4 pixels or more, got inputs of shape {shape}")
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv2D(32, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(outputs, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    return model


def _check(model: Any, shape: tuple[int, ...], outputs: int, classes: bool) -> None:
    takes, gives = tuple(model.input_shape[1:]), model.output_shape
    pairs = zip(takes, shape, strict=False)
    if len(takes) != len(shape) or any(wanted not in (None, one) for wanted, one in pairs):
        raise GuestError(f"the Keras model takes inputs of shape {takes}, the task has {shape}")
    if not isinstance(gives, tuple) or tuple(gives[1:]) != (outputs,):
        what = "classes" if classes else "targets"
        raise GuestError(
            f"the Keras model has outputs of shape {gives[1:]}, the task has {outputs} {what}; "
            "give a function that makes a model for a number of them"
        )


def _wants_one_hot(model: Any) -> bool:
    loss = model.loss
    name = loss if isinstance(loss, str) else getattr(loss, "name", "")
    return "categorical" in str(name) and "sparse" not in str(name)


def _assign(variables: Any, values: Any) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value if isinstance(value, np.ndarray) else value.value)


def _channels_last(inputs: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(inputs, 1, -1)) if inputs.ndim == 4 else inputs


if __name__ == "__main__":
    serve(Guest)
