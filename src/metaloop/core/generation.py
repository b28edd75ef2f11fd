"""The objective of generation: how likely new examples of a class are, given a few of it.

    bits[t] = - mean over queries q of  log p(x_q | support of t) / (D log 2)

D is the number of values in an example: pixels times channels. A model that finds every value of
every pixel equally likely has log2(levels): 1 for black and white, 8 for 256 levels.

Learners tell *nats*: `log_prob` is the natural logarithm of the probability of a whole example,
and their outputs `[N, 1]` are that divided by D. Figures are told in *bits per dimension*. One bit
per dimension is 0.693 nats, so on 28 x 28 pixels 0.16 bits per dimension are 87 nats an image.
Targets `[N, levels]` are how often each level occurs in an example: what is to be known of it
without looking at places. Shapes: T tasks, N queries.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from metaloop.core import metrics, scales
from metaloop.core.metric import Metric, Objective


def nats_per_dimension(outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Returns the mean of minus the outputs over all queries: a scalar, what is descended."""
    return torch.where(mask, -outputs[..., 0], 0.0).sum() / mask.sum().clamp(min=1)


def bits_per_dimension(outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Returns `[T]`: the mean over a task's queries of minus the outputs, in bits."""
    bits = torch.where(mask, -outputs[..., 0].double() / math.log(2), 0.0)
    return bits.sum(-1) / mask.sum(-1).clamp(min=1)


def _bits_of_one_histogram(targets: Tensor, mask: Tensor, ways: int) -> float:
    """The bits of who knows how often each level occurs, and nothing else: its entropy."""
    shares = targets[mask].double().mean(0)
    return float(-(shares * shares.clamp(min=1e-300).log2()).sum())


BITS_PER_DIM = Metric(
    scales.BITS_PER_DIM,
    bits_per_dimension,
    metrics.OfTheTask(bits_per_dimension),
    _bits_of_one_histogram,
)
GENERATION = Objective(
    name="generation",
    target_kind="inputs",
    loss=nats_per_dimension,
    metrics=(BITS_PER_DIM,),
    told_late=True,  # who looks at the support takes fewer steps, and is ahead after minutes
)
