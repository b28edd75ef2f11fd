"""`TrainedClassifier`: what `select` has trained, in scikit-learn's habits: it only predicts."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from metaloop.core.encoder import Encoder
from metaloop.core.errors import InputError
from metaloop.estimators.images import read_pictures
from metaloop.modelfile import read_model
from metaloop.models.classifier import Classifier, classifier_from_file
from metaloop.tasks.value_range import ValueRange, declared_range

_AT_ONCE = 512


class TrainedClassifier:
    """A classifier of the classes it was trained on; it is fitted already.

    `X` is `[n, height, width]`, `[n, height, width, channels]`, or a list of paths, encoded bytes
    or PIL images; they are brought to the model's size, channels and polarity. `classes_` are the
    classes, in the order of the columns of `predict_proba`. `value_range`: what is black and white
    in arrays of images, where it is not 0 to 255 or 0 to 1.
    """

    def __init__(self, model: Classifier, value_range: ValueRange | None = None) -> None:
        self.model = model
        self.value_range = declared_range(value_range)
        self.classes_ = np.array(model.classes, object)
        self.n_features_in_ = int(np.prod(model.input_format.shape))

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        value_range: ValueRange | None = None,
        backbone: Encoder | None = None,
    ) -> TrainedClassifier:
        """Returns the classifier in a model file; `ModelFileError` if it is damaged or none.

        `backbone`: the encoder that it sees images through, where that is your own.
        """
        return cls(classifier_from_file(read_model(path), backbone), value_range)

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Writes the model file; raises `OutputError` if it cannot be written."""
        self.model.save(path, overwrite=overwrite)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Returns probabilities `[n, classes]`, in the order of `classes_`."""
        pictures = read_pictures(X, self.model.read_format, None, self.value_range)
        found = [
            self.model.log_probabilities(pictures[start : start + _AT_ONCE]).exp().numpy()
            for start in range(0, len(pictures), _AT_ONCE)
        ]
        shares = np.concatenate(found)
        return np.asarray(shares / shares.sum(1, keepdims=True))

    def predict(self, X: Any) -> np.ndarray:
        """Returns the most probable class of each."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(1)])

    def score(self, X: Any, y: Any) -> float:
        """Returns the share of `X` that is told right; `InputError` unless `y` is as long."""
        predicted, labels = self.predict(X), np.asarray(y)
        if predicted.shape != labels.shape:
            raise InputError(f"X has {len(predicted)} examples, y {labels.shape}; give one each")
        return float((predicted.astype(str) == labels.astype(str)).mean())

    def __repr__(self) -> str:
        return f"<TrainedClassifier of {len(self.classes_)} classes>"
