"""Keras: its models as nets and as learners, and a metaloop model as a frozen layer of Keras.

    metaloop.train(data, "protonet", net=keras_model)          on Keras' torch backend
    metaloop.train(data, as_learner(make_model, epochs=20))    on any backend, in a process apart
    keras.Sequential([as_layer("model.metaloop"), ...])        features that stay as they are
    classifier.fit(*as_arrays(dataset))                        tf.data, PyDataset: X and y of it

`keras_cnn` is in the table of learners: the program that textbooks begin with. None of this imports
Keras before it is used, and the process of Keras on TensorFlow does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers and editors; must agree with the table below
    from metaloop.guests.keras.batches import as_arrays as as_arrays
    from metaloop.guests.keras.layer import as_layer as as_layer
    from metaloop.guests.keras.learner import KerasCnn as KerasCnn
    from metaloop.guests.keras.learner import KerasLearner as KerasLearner
    from metaloop.guests.keras.learner import as_learner as as_learner
    from metaloop.guests.keras.net import KerasNet as KerasNet
    from metaloop.guests.keras.net import as_net as as_net
    from metaloop.guests.keras.net import is_keras_model as is_keras_model

_MODULE_OF = {  # public name -> the module of this package that defines it
    "KerasCnn": "learner",
    "KerasLearner": "learner",
    "KerasNet": "net",
    "as_arrays": "batches",
    "as_layer": "layer",
    "as_learner": "learner",
    "as_net": "net",
    "is_keras_model": "net",
}

__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> Any:
    """Returns a public name, loading its module (PEP 562); raises `AttributeError`."""
    if name in _MODULE_OF:
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
