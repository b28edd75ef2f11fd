"""A trained learner with all that is needed to use it; training, evaluating and opening one."""

from metaloop.models.evaluating import evaluate_model, open_for
from metaloop.models.events import DataRead
from metaloop.models.model import Model, load_model
from metaloop.models.rejecting import evaluate_open
from metaloop.models.training import Trained, train_model

__all__ = [
    "DataRead",
    "Model",
    "Trained",
    "evaluate_model",
    "evaluate_open",
    "load_model",
    "open_for",
    "train_model",
]
