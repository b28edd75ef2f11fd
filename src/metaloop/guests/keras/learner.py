"""Keras models as black boxes: fitted on the support of a task, in a process of Keras' own.

Keras sets global seeds and TensorFlow bears no fork, so neither is run here. A model travels as its
architecture (JSON) and its weights; code never does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import numpy as np
import torch

from metaloop.core.black_box import BlackBoxLearner
from metaloop.core.errors import MetaloopError
from metaloop.core.messages import Arrays
from metaloop.core.remote_guest import TIME_LIMIT_SECONDS, RemoteGuest
from metaloop.guests.keras.installed import BACKENDS as BACKENDS
from metaloop.guests.keras.installed import Backend, backend_apart, keras_here

_PROGRAM = "metaloop.guests.keras"
_CHOLLET = """@misc{chollet2015keras,
  title = {Keras},
  author = {Chollet, Fran{\\c{c}}ois and others},
  howpublished = {https://keras.io},
  year = {2015},
}"""

Make = Callable[[tuple[int, ...], int], Any]
"""`(input_shape, num_outputs) -> compiled keras.Model`; images are `(height, width, channels)`."""


@final
@dataclass(frozen=True)
class KerasCnn(BlackBoxLearner):
    """The convolutional net that textbooks begin with, from new weights for every task.

    Conv 32 3x3 ReLU, max-pool 2x2, Flatten, Dense 128 ReLU, Dense n softmax; Adam, cross-entropy.
    Pixels are 0 to 1. `backend`: what Keras runs on; `auto` is that of Keras in this process, or
    TensorFlow if it is installed, or torch.
    """

    epochs: int = 10
    batch_size: int = 32
    backend: Backend = "auto"

    target_kinds: ClassVar[frozenset[str]] = frozenset({"classes"})
    flattens: ClassVar[bool] = False
    citation: ClassVar[str] = _CHOLLET

    @property
    def recipe(self) -> dict[str, Any]:
        """What the process of Keras is told: which net, and how it is fitted."""
        return {"kind": "cnn", "epochs": self.epochs, "batch_size": self.batch_size}

    def make(self, seed: int) -> Any:
        """Returns the net in a process of Keras' own; raises `MissingExtraError` without Keras."""
        return _apart(self.recipe, {}, seed, self.backend, "learner 'keras_cnn'")


def fitted_cnn(weights: Arrays, input_shape: tuple[int, ...], num_classes: int) -> RemoteGuest:
    """Returns the net of `keras_cnn` with weights that it has learned, in a process of Keras' own.

    `weights` are what `RemoteGuest.tensors` has returned. Raises `MissingExtraError` without Keras.
    """
    recipe = {"kind": "cnn", "epochs": 0, "batch_size": 32}
    made = _apart(recipe, weights, 0, "auto", "a model file with 'keras_cnn'")
    nothing = np.zeros((num_classes, *input_shape), np.float32)
    return made.adapt(nothing, np.arange(num_classes), num_classes)


@final
@dataclass(frozen=True)
class KerasLearner(BlackBoxLearner):
    """A compiled Keras model of your own, or a function that makes one; made by `as_learner`."""

    described: str
    epochs: int = 10
    batch_size: int = 32
    backend: Backend = "auto"
    limit_seconds: float = TIME_LIMIT_SECONDS
    model: Any = field(default=None, repr=False)

    target_kinds: ClassVar[frozenset[str]] = frozenset({"classes", "real"})
    flattens: ClassVar[bool] = False
    citation: ClassVar[str] = _CHOLLET

    def make(self, seed: int) -> Any:
        """Returns the model in a process of Keras' own."""
        return _OwnModel(self, seed)


def as_learner(
    model: Any,
    *,
    epochs: int = 10,
    batch_size: int = 32,
    backend: Backend = "auto",
    limit_seconds: float = TIME_LIMIT_SECONDS,
) -> KerasLearner:
    """Returns a learner that fits a compiled Keras model on every task, for so many epochs.

    `model`: a compiled `keras.Model`, whose weights every task begins with and whose outputs must
    be as many as a task has classes or targets; or a function `(input_shape, num_outputs)` that
    returns one, whose weights are drawn anew for every task. Images come as
    `(height, width, channels)`, 0 to 1, class labels as whole numbers (one-hot for
    `categorical_crossentropy`), real targets standardised. A task that takes longer than
    `limit_seconds` is given up. Raises `MetaloopError` for what is no such thing.
    """
    if epochs < 1 or batch_size < 1:
        raise MetaloopError(f"epochs and batch_size are at least 1, got {epochs} and {batch_size}")
    keras = keras_here("a Keras learner")
    if isinstance(model, keras.Model):
        recipe, arrays = _packed(model)
        sha = hashlib.sha256(recipe["architecture"].encode())
        for name in sorted(arrays):
            sha.update(arrays[name].tobytes())
        described = f"{model.name} {sha.hexdigest()[:16]}"
    elif callable(model):
        described = f"function {getattr(model, '__qualname__', type(model).__name__)}"
    else:
        raise MetaloopError(
            f"expected a compiled keras.Model, or a function (input_shape, num_outputs) that "
            f"returns one, got {type(model).__name__}"
        )
    return KerasLearner(
        described=described, epochs=epochs, batch_size=batch_size, backend=backend,
        limit_seconds=limit_seconds, model=model,
    )  # fmt: skip


@dataclass(frozen=True)
class _OwnModel:
    """A guest that says to its process what is to be fitted once it knows the task."""

    learner: KerasLearner
    seed: int

    def adapt(self, inputs: np.ndarray, targets: np.ndarray, num_classes: int) -> Any:
        keras, learner = keras_here("a Keras learner"), self.learner
        if isinstance(learner.model, keras.Model):
            recipe, arrays = _packed(learner.model)
        else:
            shape = inputs.shape[1:]
            shape = (*shape[1:], shape[0]) if len(shape) == 3 else shape
            made = learner.model(shape, num_classes or targets.shape[1])
            if not isinstance(made, keras.Model):
                raise MetaloopError(
                    f"{learner.described} returned a {type(made).__name__}, no keras.Model"
                )
            recipe, arrays = _packed(made)
            arrays = {}  # drawn anew, by the task's seed
        recipe |= {"kind": "model", "epochs": learner.epochs, "batch_size": learner.batch_size}
        apart = _apart(
            recipe, arrays, self.seed, learner.backend, "a Keras learner", learner.limit_seconds
        )
        return apart.adapt(inputs, targets, num_classes)

    def predict(self, state: RemoteGuest, inputs: np.ndarray) -> np.ndarray:
        return state.predict(state, inputs)


def _packed(model: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The model as JSON and arrays; raises `MetaloopError` if it is not compiled or built."""
    if not model.compiled:
        raise MetaloopError("the Keras model is not compiled; call model.compile(optimizer, loss)")
    if not model.built:
        raise MetaloopError("the Keras model is not built yet; begin it with keras.Input(shape)")
    try:
        architecture = model.to_json()
        json.loads(architecture)
    except (TypeError, ValueError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:200]
        raise MetaloopError(f"the Keras model cannot be written as JSON: {reason}") from error
    to_numpy = keras_here("a Keras learner").ops.convert_to_numpy
    arrays = {f"weight.{n:04d}": np.array(to_numpy(w)) for n, w in enumerate(model.weights)}
    return {"architecture": architecture}, arrays


def _apart(
    recipe: Mapping[str, Any],
    arrays: Arrays,
    seed: int,
    backend: Backend,
    what: str,
    limit_seconds: float = TIME_LIMIT_SECONDS,
) -> RemoteGuest:
    threads = str(torch.get_num_threads())
    environment = {
        "KERAS_BACKEND": backend_apart(backend, what),
        "OMP_NUM_THREADS": threads,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_NUM_INTRAOP_THREADS": threads,
        "TF_NUM_INTEROP_THREADS": "1",
    }
    return RemoteGuest(_PROGRAM, recipe, seed, arrays, environment, limit_seconds)
