"""`Metric` and `Objective`: what tasks are learned with, and what is said of outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from metaloop.core.scales import Scale

# Of tasks `[T]`, of their units `[T, units]`, and of queries `[T, N]` where those are a sample.
Scores = tuple[Tensor, Tensor] | tuple[Tensor, Tensor, Tensor]
Pooled = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Metric:
    """One thing to be said of outputs, its scale and how it is computed.

    `score(outputs, targets, mask)` is the metric per task, `[T]`. `unit_scores(outputs, targets,
    mask, units)` is that of the queries of each of so many units of a task, `[T, units]`, not a
    number for one that has none: of classes, or of the task itself where targets are real values.
    None, both: it needs more than tensors and comes from `TaskFamily.score`.
    `constant(targets, mask, ways)` is the metric of who answers the same to every query: between
    it and `scale.perfect` is what there is to gain. Where a metric is about the whole list, both
    scores have a further dimension, and `pooled` makes one number each of it.
    """

    scale: Scale
    score: Callable[[Tensor, Tensor, Tensor], Tensor] | None
    unit_scores: Callable[[Tensor, Tensor, Tensor, int], Tensor] | None
    constant: Callable[[Tensor, Tensor, int], float]
    pooled: Pooled | None = None

    @property
    def name(self) -> str:
        """What records call it."""
        return self.scale.name


@dataclass(frozen=True)
class Objective:
    """Loss and metrics of a task; the first metric is the primary one, which decides.

    `loss(outputs, targets, mask)` is a scalar for one task (`[N, ...]`) and for stacked ones.
    `target_kind` is what a learner must be able to learn: `classes`, `real`, or `inputs`, where
    what is to be predicted are examples themselves. `averages`: outputs are targets as they are
    expected to be, so that the mean of what several learners say is one more prediction.
    `told_late`: seconds of training do not tell what a learner comes to; the loop trains longer
    before it chooses.
    """

    name: str
    target_kind: str
    loss: Callable[[Tensor, Tensor, Tensor], Tensor]
    metrics: tuple[Metric, ...]
    averages: bool = False
    told_late: bool = False

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


def errors(outputs: Tensor, targets: Tensor) -> Tensor:
    """Returns outputs minus targets; `ValueError` where their shapes differ."""
    if outputs.shape != targets.shape:
        raise ValueError(f"outputs {tuple(outputs.shape)} and targets {tuple(targets.shape)}")
    return outputs - targets
