"""The objective of events: what a user had is to stand before what she had not.

    loss[t]      = -mean_{p had} log ( exp r_tp / sum_q exp r_tq )
    ndcg@10[t]   as in `core/rating.py`, the gain of what was had is 1, of all else 0
    recall@10[t] = |had among the ten highest r_tq| / min(10, |had|)
    auc[t]       = share of pairs (had, not had) that are in the right order, ties are half of one

Queries are some of what the user had and a sample of all other items. Figures on a sample are
higher than on all items, and may order methods differently (Krichene & Rendle 2020, KDD):
`benchmarks/events.py` ranks all items. The loss is the multinomial likelihood of Liang et al. 2018,
arXiv:1802.05814, eq. 2. Shapes: T tasks, N queries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from metaloop.core import metrics, scales
from metaloop.core.metric import Metric, Objective
from metaloop.core.rating import RANKED, RANKING_GAIN
from metaloop.core.scales import Scale

_HAD = 0.5  # of targets, which are 1 and 0


def ranking_loss(outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Returns the mean over tasks of the surprise at what was had, in nats, also of one task."""
    had = (targets.mean(-1) > _HAD) & mask
    chances = outputs.mean(-1).masked_fill(~mask, -torch.inf).log_softmax(-1)
    return -(torch.where(had, chances, 0.0).sum(-1) / had.sum(-1).clamp(min=1)).mean()


def recall_of_the_best(outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Returns `[T]`: the share of what was had among the ten highest, of what could be there."""
    had = (targets.mean(-1) > _HAD) & mask
    scores = outputs.double().mean(-1).masked_fill(~mask, -torch.inf)
    order = torch.sort(scores, dim=-1, descending=True, stable=True).indices
    found = had.gather(-1, order)[..., :RANKED].sum(-1).double()
    return found / had.sum(-1).clamp(1, RANKED)


def right_order(outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Returns `[T]`: the area under the curve; one half where there is nothing to compare."""
    wanted = targets.mean(-1) > _HAD
    had, other = (wanted & mask).double(), (~wanted & mask).double()
    scores = outputs.double().mean(-1).masked_fill(~mask, -torch.inf)
    ordered, order = torch.sort(scores, dim=-1)
    below = torch.searchsorted(ordered, scores.contiguous())
    upto = torch.searchsorted(ordered, scores.contiguous(), right=True)
    counted = torch.nn.functional.pad(other.gather(-1, order).cumsum(-1), (1, 0))
    right = (counted.gather(-1, below) + counted.gather(-1, upto)) / 2
    pairs = had.sum(-1) * other.sum(-1)
    return torch.where(pairs > 0, (right * had).sum(-1) / pairs.clamp(min=1), 0.5)


@dataclass(frozen=True)
class _InAnyOrder:
    """What a score is for who answers the same to all."""

    score: Callable[[Tensor, Tensor, Tensor], Tensor]

    def __call__(self, targets: Tensor, mask: Tensor, ways: int) -> float:
        return float(self.score(torch.zeros_like(targets), targets, mask).mean())


def _metric(scale: Scale, score: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Metric:
    return Metric(scale, score, metrics.OfTheTask(score), _InAnyOrder(score))


RECALL_OF_THE_BEST = _metric(scales.RECALL_OF_THE_BEST, recall_of_the_best)
RIGHT_ORDER = _metric(scales.RIGHT_ORDER, right_order)
RANKING = Objective(
    name="ranking",
    target_kind="real",
    loss=ranking_loss,
    metrics=(RANKING_GAIN, RECALL_OF_THE_BEST, RIGHT_ORDER),
)
OF_ITEMS = frozenset({"rating", RANKING.name})  # objectives of users and items
