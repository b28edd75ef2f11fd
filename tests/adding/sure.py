"""How much probability the right class has: an objective to be added by a test."""

from __future__ import annotations

import torch
from torch import Tensor

from metaloop.core import metrics
from metaloop.core.metric import Metric, Objective
from metaloop.core.scales import Scale


def _sure(logits: Tensor, targets: Tensor) -> Tensor:
    return torch.softmax(logits.double(), -1).gather(-1, targets[..., None]).squeeze(-1)


def sureness(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Returns the mean probability of the right class, per task."""
    return (_sure(logits, targets) * mask).sum(-1) / mask.sum(-1)


def sureness_of_classes(logits: Tensor, targets: Tensor, mask: Tensor, units: int) -> Tensor:
    """Returns the same per class."""
    own = (targets[..., None] == torch.arange(units)) & mask[..., None]
    return (_sure(logits, targets)[..., None] * own).sum(-2) / own.sum(-2)


def _loss(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    return 1 - (_sure(logits, targets) * mask).sum() / mask.sum()


SURE = Objective(
    "sure",
    "classes",
    _loss,
    (
        Metric(
            Scale("sureness", "probability of the right class", True, 1.0),
            sureness,
            sureness_of_classes,
            lambda targets, mask, ways: 1 / ways,
        ),
        metrics.ACCURACY,
    ),
)
