"""Keras: its models as nets and as learners, and a metaloop model as a frozen layer of Keras.

    metaloop.train(data, "protonet", net=keras_model)          on Keras' torch backend
    metaloop.train(data, as_learner(make_model, epochs=20))    on any backend, in a process apart
    keras.Sequential([as_layer("model.metaloop"), ...])        features that stay as they are

`keras_cnn` is in the table of learners: the program that textbooks begin with. None of this imports
Keras before it is used.
"""

from metaloop.guests.keras.layer import as_layer
from metaloop.guests.keras.learner import KerasCnn, KerasLearner, as_learner
from metaloop.guests.keras.net import KerasNet, as_net, is_keras_model

__all__ = [
    "KerasCnn",
    "KerasLearner",
    "KerasNet",
    "as_layer",
    "as_learner",
    "as_net",
    "is_keras_model",
]
