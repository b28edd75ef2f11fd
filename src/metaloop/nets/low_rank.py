"""Dense layers that are changed by thin matrices only: fine-tuning with few numbers.

    W + B A,   A [rank, inputs] at random, B [outputs, rank] zero at first

W and whatever else the net has are kept as buffers, and A and B alone are trained. So the net is at
first what it was. Hu et al. 2021, arXiv:2106.09685, eq. 3; without their factor alpha / rank, which
a learning rate can stand for.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def in_thin_matrices(net: nn.Module, rank: int) -> None:
    """Makes of every dense layer one of low rank, and keeps all else of the net as it is.

    Dense are linear layers and 1x1 convolutions of all channels. The rank is at most a layer's
    inputs and outputs. The net is changed in place.
    """
    for name, child in list(net.named_children()):
        if isinstance(child, nn.Linear):
            setattr(net, name, _LowRankLinear(child, rank))
        elif isinstance(child, nn.Conv2d) and child.groups == 1 and child.kernel_size == (1, 1):
            setattr(net, name, _LowRankConvolution(child, rank))
        else:
            in_thin_matrices(child, rank)
    for name, parameter in list(net.named_parameters(recurse=False)):
        _keep(net, name, parameter.detach())


class _LowRankConvolution(nn.Conv2d):
    """A 1x1 convolution with weight W + B A."""

    def __init__(self, like: nn.Conv2d, rank: int) -> None:
        super().__init__(like.in_channels, like.out_channels, 1, bias=like.bias is not None)
        self.thin, self.wide = _thin_and_wide(like.in_channels, like.out_channels, rank)
        _keep_those_of(like, self)

    def forward(self, input: Tensor) -> Tensor:
        weight = self.weight + (self.wide @ self.thin)[:, :, None, None]
        return functional.conv2d(input, weight, self.bias)


class _LowRankLinear(nn.Linear):
    """A linear layer with weight W + B A: their product is never made, which saves a third."""

    def __init__(self, like: nn.Linear, rank: int) -> None:
        super().__init__(like.in_features, like.out_features, bias=like.bias is not None)
        self.thin, self.wide = _thin_and_wide(like.in_features, like.out_features, rank)
        _keep_those_of(like, self)

    def forward(self, input: Tensor) -> Tensor:
        change = functional.linear(functional.linear(input, self.thin), self.wide)
        return functional.linear(input, self.weight, self.bias) + change


def _thin_and_wide(inputs: int, outputs: int, rank: int) -> tuple[nn.Parameter, nn.Parameter]:
    rank = min(rank, inputs, outputs)
    thin = torch.randn(rank, inputs) / math.sqrt(inputs)
    return nn.Parameter(thin), nn.Parameter(torch.zeros(outputs, rank))


def _keep_those_of(like: nn.Module, module: nn.Module) -> None:
    """Gives a module the weight and the bias of another one, to be kept."""
    for name, parameter in like.named_parameters(recurse=False):
        _keep(module, name, parameter.detach())


def _keep(module: nn.Module, name: str, tensor: Tensor) -> None:
    """Makes a buffer of a parameter: it is carried along and not trained."""
    delattr(module, name)
    module.register_buffer(name, tensor)
