"""The mean of a net's weights over the last steps of its training.

    mean <- mean + (weights - mean) / n   at each of n steps

It lies nearer the middle of a valley than any of the weights in it. The statistics of a batch norm
belong to the weights that they were measured with, so they are measured again, as the mean over
a few batches. Izmailov et al. 2018, arXiv:1803.05407.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from metaloop.nets.norm import BatchNorm


class WeightAverage:
    """The mean of what is trained in a net, over as many steps as were added."""

    def __init__(self, net: nn.Module) -> None:
        self.number = 0
        self._weights = [weight for weight in net.parameters() if weight.requires_grad]
        self._norms = [part for part in net.modules() if isinstance(part, BatchNorm)]
        self._mean: list[Tensor] = []

    @torch.no_grad()
    def add(self) -> None:
        """Adds the weights as they are now."""
        self.number += 1
        if self.number == 1:
            self._mean = [weight.detach().clone() for weight in self._weights]
        for mean, weight in zip(self._mean, self._weights, strict=True):
            mean.lerp_(weight.detach(), 1 / self.number)

    @torch.no_grad()
    def put(self, batches: Iterable[Tensor], look: Callable[[Tensor], object]) -> None:
        """Puts the mean into the net; `look` passes a batch through it, with batch statistics."""
        for mean, weight in zip(self._mean, self._weights, strict=True):
            weight.copy_(mean)
        usual = [norm.momentum for norm in self._norms]
        for place, batch in enumerate(batches):
            for norm in self._norms:
                norm.momentum = 1 / (place + 1)  # the mean over all batches so far
            look(batch)
        for norm, momentum in zip(self._norms, usual, strict=True):
            norm.momentum = momentum
