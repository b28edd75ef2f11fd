"""The table of objectives: what tasks are learned with, and what they are reported in."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from metaloop.core import metrics
from metaloop.core.errors import unknown_name
from metaloop.core.extraction import EXTRACTION
from metaloop.core.generation import GENERATION
from metaloop.core.metric import Metric, errors
from metaloop.core.metric import Objective as Objective
from metaloop.core.ranking import RANKING
from metaloop.core.rating import RATING


def _cross_entropy(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    losses = functional.cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none")
    # Not a product: the loss of padding may be infinite.
    return torch.where(mask.flatten(), losses, 0.0).sum() / mask.sum().clamp(min=1)


def _mean_squared_error(outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    of_queries = (errors(outputs, targets) ** 2).mean(-1)
    return (of_queries * mask).sum() / mask.sum().clamp(min=1)


CLASSIFICATION = Objective(
    name="classification",
    target_kind="classes",
    loss=_cross_entropy,
    metrics=(metrics.ACCURACY, metrics.LOG_LOSS, metrics.CALIBRATION),
)
REGRESSION = Objective(
    name="regression",
    target_kind="real",
    loss=_mean_squared_error,
    metrics=(metrics.SQUARED_ERROR, metrics.ABSOLUTE_ERROR, metrics.EXPLAINED),
    averages=True,
)
_KNOWN = (CLASSIFICATION, REGRESSION, RATING, RANKING, GENERATION, EXTRACTION)
OBJECTIVES = {each.name: each for each in _KNOWN}


def objective(name: str) -> Objective:
    """Returns the objective of this name; raises `UnknownNameError`."""
    if name not in OBJECTIVES:
        raise unknown_name("objective", name, OBJECTIVES)
    return OBJECTIVES[name]


def metric(name: str) -> Metric:
    """Returns the metric of this name of any objective; raises `UnknownNameError`."""
    known = {each.name: each for one in OBJECTIVES.values() for each in one.metrics}
    if name not in known:
        raise unknown_name("metric", name, known)
    return known[name]


def higher_is_better(name: str) -> bool:
    """Returns whether more of this metric is better; raises `UnknownNameError`."""
    return metric(name).scale.higher_is_better


def probabilities(logits: Tensor) -> Tensor:
    """Returns class probabilities `[..., classes]` of a classifier's outputs."""
    return torch.softmax(logits, dim=-1)
