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
    """

    name: str
    metric: str
    higher_is_better: bool
    target_kind: str  # "classes" or "real"
    loss: Callable[[Tensor, Tensor, Tensor], Tensor]
    score: Callable[[Tensor, Tensor, Tensor], Tensor]


def _cross_entropy(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    losses = functional.cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none")
    # Not a product: the loss of padding may be infinite.
    return torch.where(mask.flatten(), losses, 0.0).sum() / mask.sum().clamp(min=1)


def _accuracy(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    correct = (logits.argmax(-1) == targets) & mask
    return correct.sum(-1).double() / mask.sum(-1).clamp(min=1)


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


CLASSIFICATION = Objective("classification", "accuracy", True, "classes", _cross_entropy, _accuracy)
REGRESSION = Objective(
    "regression", "mse", False, "real", _mean_squared_error, _mean_squared_error_per_task
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
