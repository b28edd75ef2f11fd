"""What an estimator is without a model: a plain learner on raw inputs, scaled by the support.

Nearest centroid or ridge regression on inputs standardised feature by feature. As nothing was
learned before, the support also decides the scale of inputs (and of real targets).
"""

from __future__ import annotations

import torch
from torch import Tensor

from metaloop.catalogue import build_learner
from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Candidate, Choice, Plan
from metaloop.core.spec import TaskSpec
from metaloop.modelfile import TrainingRecord
from metaloop.models import Model

_LEARNERS = {"classification": "nearest_centroid", "regression": "ridge"}
_NOT_TRAINED = TrainingRecord(0, "none", 0, 0.0, 0.0, "", "the support itself")
_CONSTANT = 1e-7  # deviation / magnitude: below, a float32 feature holds nothing but rounding


def baseline_model(
    inputs: Tensor, objective: str, num_classes: int = 0, num_targets: int = 0
) -> Model:
    """Returns the untrained model for support inputs `[N, features]`, scaled by them."""
    mean, deviation = standardisation(inputs)
    input_format = InputFormat(
        "vector", tuple(inputs.shape[1:]), tuple(mean.tolist()), tuple(deviation.tolist())
    )
    spec = TaskSpec(
        ways=max(num_classes, 2) if objective == "classification" else 0,
        shots=1,
        queries=1,
        input_shape=input_format.shape,
        objective=objective,
        target_shape=(num_targets,) if num_targets else (),
    )
    candidate = Candidate(Choice(_LEARNERS[objective]), Choice("raw"), Plan("none"))
    learner = build_learner(candidate, input_format, objective)
    meta_params = learner.init(spec, torch_stream(0, "init"))
    return Model(learner, meta_params, candidate, spec, input_format, {}, _NOT_TRAINED)


def is_baseline(model: Model) -> bool:
    """Whether `baseline_model` made the model, now or before it was saved."""
    return model.training == _NOT_TRAINED


def standardisation(values: Tensor) -> tuple[Tensor, Tensor]:
    """Returns mean and deviation `[D]`, float64, of `[N, D]`; the deviation of a constant is 1."""
    values = values.double()
    mean, deviation = values.mean(0), values.std(0, correction=0)
    constant = deviation <= _CONSTANT * values.abs().amax(0)
    return mean, torch.where(constant, 1.0, deviation)
