"""The objective of ratings: a user's error and the order of what was rated, per task and per unit.

    rmse[t]    = sqrt(mean_q (r_tq - y_tq)^2),   the mean over users of each one's error
    ndcg@10[t] = DCG of the ten highest r_tq / DCG of the ten highest y_tq,
                 DCG = sum_k (2^y_k - 1) / log2(k + 1),   k from 1, over what the user has rated

What is trained is the mean over users of the root, not the root of a mean: users who are hard to
predict do not have more say than others. Järvelin & Kekäläinen 2002, ACM TOIS 20(4), with the gains
of Burges et al. 2005. Shapes: T tasks, N queries.
"""

from __future__ import annotations

import torch
from torch import Tensor

from metaloop.core import metrics, scales
from metaloop.core.metric import Metric, Objective, errors

RANKED = 10  # places that count
_SOFTENING = 4e-3  # of standardised targets: the root has no slope of its own at zero
_LARGEST_GAIN = 60.0  # as a power of two: ratings in percent do not overflow


def rating_loss(outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Returns the mean over tasks of the root of their mean squared error, also of one task."""
    return (_squares(outputs, targets, mask) + _SOFTENING).sqrt().mean()


def root_squared_error(outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Returns `[T]`: the root of the mean squared error over a task's queries."""
    return _squares(outputs.double(), targets.double(), mask).sqrt()


def ranking_gain(outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Returns `[T]`: NDCG@10 of the queries of a task, in the order of the outputs.

    1 where no query has any gain. Equal outputs stay in the order of the queries, which is random.
    """
    predicted, wanted = outputs.double().mean(-1), targets.double().mean(-1)
    ideal = _discounted(wanted, wanted, mask)
    found = _discounted(predicted, wanted, mask)
    return torch.where(ideal > 0, found / ideal.clamp(min=1e-300), 1.0)


def _discounted(scores: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    there = scores.masked_fill(~mask, -torch.inf)
    order = torch.sort(there, dim=-1, descending=True, stable=True).indices
    gains = (wanted.clamp(0, _LARGEST_GAIN).exp2() - 1) * mask
    best = gains.gather(-1, order)[..., :RANKED]
    places = torch.arange(best.shape[-1], dtype=torch.float64, device=best.device)
    return (best / (places + 2).log2()).sum(-1)


def _squares(outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    of_queries = torch.where(mask, errors(outputs, targets).square().mean(-1), 0.0)
    return of_queries.sum(-1) / mask.sum(-1).clamp(min=1)


def _error_of_the_mean(targets: Tensor, mask: Tensor, ways: int) -> float:
    """The error a user of who answers the mean of all queries of all tasks."""
    mean = targets[mask].double().mean(0)
    return float(root_squared_error(mean.expand_as(targets), targets, mask).mean())


def _gain_of_any_order(targets: Tensor, mask: Tensor, ways: int) -> float:
    """The gain of the order in which queries came."""
    return float(ranking_gain(torch.zeros_like(targets), targets, mask).mean())


ROOT_SQUARED_ERROR = Metric(
    scales.ROOT_SQUARED_ERROR,
    root_squared_error,
    metrics.OfTheTask(root_squared_error),
    _error_of_the_mean,
)
RANKING_GAIN = Metric(
    scales.RANKING_GAIN, ranking_gain, metrics.OfTheTask(ranking_gain), _gain_of_any_order
)
RATING = Objective(
    name="rating",
    target_kind="real",
    loss=rating_loss,
    metrics=(ROOT_SQUARED_ERROR, metrics.ABSOLUTE_ERROR, RANKING_GAIN),
    averages=True,
)
