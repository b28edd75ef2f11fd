"""Metrics: what is said of a learner's outputs on the queries of tasks, per task and per unit.

Most are means over queries. Two are about a whole list of episodes and are told through per-task
values whose mean they are, so that they have intervals like any other (the delta method):

    calibration = sum_b |mean_t g_tb|        g_tb: confidence minus correctness of task t in bin b
                = mean_t sum_b s_b g_tb      s_b the sign of mean_t g_tb
    r2          = 1 - A / B                  A, B: means of squared errors a_t and variances b_t
                = mean_t 1 - (A / B + (a_t - A / B * b_t) / B)

Guo et al. 2017, arXiv:1706.04599, eq. 3 (bins of equal width); Cochran 1977, section 2.9.
Shapes: T tasks, N queries, C classes, U units, B bins.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from metaloop.core import scales
from metaloop.core.metric import Metric, errors

BINS = 15  # of confidence, as in the paper
LEAST_LOG_PROBABILITY = math.log(1e-15)  # a certainty that is wrong costs this much, not infinity


def accuracy(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Returns the share of queries whose class has the largest logit, also of one task."""
    correct = (logits.argmax(-1) == targets) & mask
    return correct.sum(-1).double() / mask.sum(-1).clamp(min=1)


def accuracy_of_classes(logits: Tensor, targets: Tensor, mask: Tensor, units: int) -> Tensor:
    """Returns the accuracy on the queries of each class."""
    own = functional.one_hot(targets, units).bool() & mask.unsqueeze(-1)
    correct = own & (logits.argmax(-1) == targets).unsqueeze(-1)
    return correct.sum(-2).double() / own.sum(-2)  # 0 / 0 is not a number


def log_loss(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Returns the mean of minus the log probability of the right class, in nats."""
    return _mean(_surprise(logits, targets), mask)


def log_loss_of_classes(logits: Tensor, targets: Tensor, mask: Tensor, units: int) -> Tensor:
    """Returns the log loss on the queries of each class."""
    return _summed(_surprise(logits, targets) * mask, targets, units) / _sizes(targets, mask, units)


def overconfidence(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Returns `[T, B]`: confidence minus correctness in each bin, over the task's queries."""
    gaps, bins = _gaps(logits, targets, mask)
    return _summed(gaps, bins, BINS) / mask.sum(-1, keepdim=True).clamp(min=1)


def overconfidence_of_classes(logits: Tensor, targets: Tensor, mask: Tensor, units: int) -> Tensor:
    """Returns `[T, U, B]`: the same over the queries of each class."""
    gaps, bins = _gaps(logits, targets, mask)
    summed = _summed(gaps, targets * BINS + bins, units * BINS).view(-1, units, BINS)
    return summed / _sizes(targets, mask, units).unsqueeze(-1)


def expected_error(values: np.ndarray, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns values `[T]`, whose mean is the expected calibration error, and those of units."""
    signs = np.sign(values.mean(0))
    return values @ signs, units @ signs


def squared_error(outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Returns the mean squared error over queries and target values, also of one task."""
    return _mean(errors(outputs.double(), targets.double()).square().mean(-1), mask)


def absolute_error(outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Returns the mean absolute error over queries and target values."""
    return _mean(errors(outputs.double(), targets.double()).abs().mean(-1), mask)


def error_and_variance(outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Returns `[T, 2]`: the squared error, and the variance of the targets within the task."""
    targets, there = targets.double(), mask.unsqueeze(-1)
    means = (targets * there).sum(-2, keepdim=True) / there.sum(-2, keepdim=True).clamp(min=1)
    variance = _mean((targets - means).square().mean(-1), mask)
    return torch.stack([squared_error(outputs, targets, mask), variance], -1)


def explained(values: np.ndarray, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns values `[T]`, whose mean is the explained share of variance, and those of units.

    They are not numbers where no task has any variance.
    """
    error, variance = values.mean(0)
    if not variance > 0:
        return np.full(len(values), math.nan), np.full(units.shape[:2], math.nan)
    ratio = error / variance

    def shares(pairs: np.ndarray) -> np.ndarray:
        shared: np.ndarray = 1 - ratio - (pairs[..., 0] - ratio * pairs[..., 1]) / variance
        return shared

    return shares(values), shares(units)


@dataclass(frozen=True)
class OfTheTask:
    """The scores of units where a task is one unit: those of the task."""

    score: Callable[[Tensor, Tensor, Tensor], Tensor]

    def __call__(self, outputs: Tensor, targets: Tensor, mask: Tensor, units: int) -> Tensor:
        """Returns `[T, 1]`."""
        return self.score(outputs, targets, mask).unsqueeze(1)


def _right_by_guessing(targets: Tensor, mask: Tensor, ways: int) -> float:
    return 1 / ways


def _surprise_by_guessing(targets: Tensor, mask: Tensor, ways: int) -> float:
    return math.log(ways)


def _nothing(targets: Tensor, mask: Tensor, ways: int) -> float:
    return 0.0


def _variance(targets: Tensor, mask: Tensor, ways: int) -> float:
    """The squared error of the mean over all queries of all tasks."""
    values = targets[mask].double()
    return float((values - values.mean(0)).square().mean())


def _deviation(targets: Tensor, mask: Tensor, ways: int) -> float:
    """The absolute error of the median over all queries of all tasks."""
    values = targets[mask].double()
    return float((values - values.median(0).values).abs().mean())


def _explained_by_one_value(targets: Tensor, mask: Tensor, ways: int) -> float:
    """One minus all variance over that within tasks: not above 0; 0 where there is none."""
    within = float(error_and_variance(targets, targets, mask)[:, 1].mean())
    return 1 - _variance(targets, mask, ways) / within if within > 0 else 0.0


def _surprise(logits: Tensor, targets: Tensor) -> Tensor:
    known = torch.log_softmax(logits.double(), -1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    return -known.clamp(min=LEAST_LOG_PROBABILITY)


def _gaps(logits: Tensor, targets: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Returns confidence minus correctness of every query, 0 of padding, and its bin."""
    confidence, answers = torch.softmax(logits.double(), -1).max(-1)
    bins = (confidence * BINS).long().clamp(max=BINS - 1)
    return (confidence - (answers == targets).double()) * mask, bins


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, values, 0.0).sum(-1) / mask.sum(-1).clamp(min=1)


def _summed(values: Tensor, places: Tensor, number: int) -> Tensor:
    """Returns `[T, number]`: the sums of the values `[T, N]` at each place."""
    return values.new_zeros(len(values), number).scatter_add(1, places, values)


def _sizes(targets: Tensor, mask: Tensor, units: int) -> Tensor:
    return _summed(mask.double(), targets, units)


# Functions with names: learners that hold an objective are pickled (scikit-learn's `n_jobs`).
ACCURACY = Metric(scales.ACCURACY, accuracy, accuracy_of_classes, _right_by_guessing)
LOG_LOSS = Metric(scales.LOG_LOSS, log_loss, log_loss_of_classes, _surprise_by_guessing)
CALIBRATION = Metric(  # who finds all classes equally likely is calibrated, and knows nothing
    scales.CALIBRATION,
    overconfidence,
    overconfidence_of_classes,
    _nothing,
    expected_error,
)
SQUARED_ERROR = Metric(scales.SQUARED_ERROR, squared_error, OfTheTask(squared_error), _variance)
ABSOLUTE_ERROR = Metric(
    scales.ABSOLUTE_ERROR, absolute_error, OfTheTask(absolute_error), _deviation
)
EXPLAINED = Metric(
    scales.EXPLAINED,
    error_and_variance,
    OfTheTask(error_and_variance),
    _explained_by_one_value,
    explained,
)
