"""Objectives: the loss a task is learned with and the metrics it is reported in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from metaloop.core import metrics
from metaloop.core.errors import unknown_name
from metaloop.core.metrics import Metric, Scores, errors


@dataclass(frozen=True)
class Objective:
    """Loss and metrics of a task; the first metric is the primary one, which decides.

    `loss(outputs, targets, mask)` is a scalar for one task (`[N, ...]`) and for stacked ones.
    `target_kind` is `classes` or `real`: what a learner must be able to learn.
    """

    name: str
    target_kind: str
    loss: Callable[[Tensor, Tensor, Tensor], Tensor]
    metrics: tuple[Metric, ...]

    @property
    def primary(self) -> Metric:
        """The metric that the loop goes by and that every figure is in."""
        return self.metrics[0]

    @property
    def metric(self) -> str:
        """The name of the primary metric."""
        return self.primary.name

    def scores(
        self, outputs: Tensor, targets: Tensor, mask: Tensor, units: int
    ) -> dict[str, Scores]:
        """Returns what every metric that needs tensors alone says of stacked tasks, by its name.

        A pair each: of the tasks `[T]`, of their units `[T, units]`, with a further dimension for
        metrics of the whole list.
        """
        return {
            metric.name: (
                metric.score(outputs, targets, mask),
                metric.unit_scores(outputs, targets, mask, units),
            )
            for metric in self.metrics
            if metric.score is not None and metric.unit_scores is not None
        }

    def shown(self, outputs: Tensor, targets: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Returns the mean of the primary metric by its name, to be shown while training.

        Empty where the metric needs more than tensors.
        """
        score = self.primary.score
        return {} if score is None else {self.metric: score(outputs, targets, mask).mean()}


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
)
OBJECTIVES = {objective.name: objective for objective in (CLASSIFICATION, REGRESSION)}


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
