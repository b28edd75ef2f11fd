"""Objectives: the loss a task is learned with and the metric it is reported in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from metaloop.core.errors import unknown_name


@dataclass(frozen=True)
class Objective:
    """Loss and metric of a task.

    `loss(outputs, targets, mask)` is a scalar for one task (`[N, ...]`) and for stacked ones.
    `score(outputs, targets, mask)` is the metric per task: `[T]` for stacks, a scalar for one.
    `unit_scores(outputs, targets, mask, units)` is the metric of the queries of each of so many
    units of a task, `[T, units]`, not a number for one that has none: of classes, or of the
    task itself where targets are real values.
    `perfect` is the metric of who is always right, `constant(targets, mask, ways)` that of who
    answers the same to every query: between them is what there is to gain.
    """

    name: str
    metric: str
    higher_is_better: bool
    target_kind: str  # "classes" or "real"
    loss: Callable[[Tensor, Tensor, Tensor], Tensor]
    score: Callable[[Tensor, Tensor, Tensor], Tensor]
    unit_scores: Callable[[Tensor, Tensor, Tensor, int], Tensor]
    perfect: float
    constant: Callable[[Tensor, Tensor, int], float]


def _cross_entropy(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    losses = functional.cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none")
    # Not a product: the loss of padding may be infinite.
    return torch.where(mask.flatten(), losses, 0.0).sum() / mask.sum().clamp(min=1)


def _accuracy(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    correct = (logits.argmax(-1) == targets) & mask
    return correct.sum(-1).double() / mask.sum(-1).clamp(min=1)


def _accuracy_of_classes(logits: Tensor, targets: Tensor, mask: Tensor, units: int) -> Tensor:
    own = functional.one_hot(targets, units).bool() & mask.unsqueeze(-1)
    correct = own & (logits.argmax(-1) == targets).unsqueeze(-1)
    return correct.sum(-2).double() / own.sum(-2)  # 0 / 0 is not a number


def _squared_errors(outputs: Tensor, targets: Tensor) -> Tensor:
    if outputs.shape != targets.shape:
        raise ValueError(f"outputs {tuple(outputs.shape)} and targets {tuple(targets.shape)}")
    return (outputs - targets) ** 2


def _mean_squared_error(outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    errors = _squared_errors(outputs, targets).mean(-1)
    return (errors * mask).sum() / mask.sum().clamp(min=1)


def _mean_squared_error_per_task(outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    errors = _squared_errors(outputs.double(), targets.double()).mean(-1)
    return (errors * mask).sum(-1) / mask.sum(-1).clamp(min=1)


def _mean_squared_error_of_task(
    outputs: Tensor, targets: Tensor, mask: Tensor, units: int
) -> Tensor:
    return _mean_squared_error_per_task(outputs, targets, mask).unsqueeze(-1)


def _accuracy_of_guessing(targets: Tensor, mask: Tensor, ways: int) -> float:
    return 1 / ways


def _variance(targets: Tensor, mask: Tensor, ways: int) -> float:
    """The squared error of the mean over all queries of all tasks."""
    values = targets[mask].double()
    return float((values - values.mean(0)).square().mean())


CLASSIFICATION = Objective(
    name="classification",
    metric="accuracy",
    higher_is_better=True,
    target_kind="classes",
    loss=_cross_entropy,
    score=_accuracy,
    unit_scores=_accuracy_of_classes,
    perfect=1.0,
    constant=_accuracy_of_guessing,
)
REGRESSION = Objective(
    name="regression",
    metric="mse",
    higher_is_better=False,
    target_kind="real",
    loss=_mean_squared_error,
    score=_mean_squared_error_per_task,
    unit_scores=_mean_squared_error_of_task,
    perfect=0.0,
    constant=_variance,
)
OBJECTIVES = {objective.name: objective for objective in (CLASSIFICATION, REGRESSION)}


def objective(name: str) -> Objective:
    """Returns the objective of this name; raises `UnknownNameError`."""
    if name not in OBJECTIVES:
        raise unknown_name("objective", name, OBJECTIVES)
    return OBJECTIVES[name]


def higher_is_better(metric: str) -> bool:
    """Returns whether more of this metric is better; raises `UnknownNameError`."""
    for known in OBJECTIVES.values():
        if known.metric == metric:
            return known.higher_is_better
    raise unknown_name("metric", metric, [known.metric for known in OBJECTIVES.values()])


def probabilities(logits: Tensor) -> Tensor:
    """Returns class probabilities `[..., classes]` of a classifier's outputs."""
    return torch.softmax(logits, dim=-1)
