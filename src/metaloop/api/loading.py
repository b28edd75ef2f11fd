"""`load`: the estimator in a model file, whichever it is."""

from __future__ import annotations

import os
from pathlib import Path

from torch import nn

from metaloop.core.black_box import BlackBoxLearner
from metaloop.core.encoder import Encoder
from metaloop.core.objective import objective
from metaloop.estimators import (
    FewShotClassifier,
    FewShotGenerator,
    FewShotRegressor,
    TrainedClassifier,
    TrainedTable,
)
from metaloop.modelfile import read_model
from metaloop.models import Model
from metaloop.models.classifier import classifier_from_file
from metaloop.models.tabular import tabular_from_file
from metaloop.tasks.value_range import ValueRange

MODEL_NAME = "model.metaloop"

FewShot = FewShotClassifier | FewShotRegressor | FewShotGenerator

_ESTIMATORS: dict[
    str, type[FewShotClassifier] | type[FewShotRegressor] | type[FewShotGenerator]
] = {
    "classes": FewShotClassifier,
    "inputs": FewShotGenerator,
    "real": FewShotRegressor,
}  # by what an objective's targets are


def load(
    path: str | os.PathLike[str],
    *,
    net: nn.Module | None = None,
    value_range: ValueRange | None = None,
    learner: BlackBoxLearner | None = None,
    backbone: Encoder | None = None,
) -> FewShotClassifier | FewShotRegressor | FewShotGenerator | TrainedClassifier | TrainedTable:
    """Returns the few-shot estimator in a model file, or in a run's folder.

    It is a `FewShotClassifier`, a `FewShotRegressor`, or of a model that makes images a
    `FewShotGenerator`. Of a run of `select` it is a `TrainedClassifier`, which knows its classes,
    or a `TrainedTable`. One that `fit` or an estimator's `save` wrote is fitted already. `net`: the
    module that a model with a net of your own needs, `learner` and `backbone` the learner and the
    encoder, where those are your own; `value_range`: see the estimators. Raises `ModelFileError` if
    the file is damaged or missing.

    >>> import metaloop as ml
    >>> ml.FewShotClassifier().fit([[0.0, 1.0], [1.0, 0.0]], ["up", "right"]).save("two.metaloop")
    >>> classifier = ml.load("two.metaloop")
    >>> classifier.predict([[0.1, 0.9]]).tolist()
    ['up']
    """
    file = Path(path)
    if file.is_dir() and (file / MODEL_NAME).exists():
        file = file / MODEL_NAME
    content = read_model(file)
    if content.kind == "classifier":
        return TrainedClassifier(classifier_from_file(content, backbone), value_range)
    if content.kind == "table":
        return TrainedTable(tabular_from_file(content))
    kind = _ESTIMATORS[objective(content.spec.objective).target_kind]
    return kind.load(file, net, value_range, learner, backbone)


def estimator_of(model: Model) -> FewShot:
    """Returns a new, unfitted estimator that adapts the model."""
    return _ESTIMATORS[objective(model.spec.objective).target_kind](model)
