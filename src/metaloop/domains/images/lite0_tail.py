"""`lite0_tail`: the last block of EfficientNet-Lite0 as a net of the catalogue, to be fine-tuned.

    f(x) = tail(front(image)),   x = front(image): what the view `lite0-front` makes, once

The front is frozen and its maps are kept like any features, so a step costs the tail alone. It
begins with the package's weights, batch norm folded into them, and its features are at first those
of `lite0`. `rank`: of every dense convolution W the change is a product of thin matrices, W + B A,
with B zero at first, and nothing else is trained; 0: all weights are (Hu et al. 2021,
arXiv:2106.09685). `damped` directions are damped once training ends, see `nets/mlp.py`.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from metaloop.core.errors import MetaloopError
from metaloop.core.spec import Shape
from metaloop.domains.images.efficientnet import (
    FRONT_CHANNELS,
    NUM_FEATURES,
    Layer,
    Tail,
    tail_tensors,
)
from metaloop.domains.images.lite0 import packaged_net
from metaloop.nets.mlp import Damped


def lite0_tail(input_shape: Shape, rank: int = 0, damped: int = 0) -> nn.Module:
    """Returns the last block with the package's weights, on maps as `lite0-front` makes them.

    Features are `[N, 1280]`. On torch's device without memory no weights are read. Raises
    `MetaloopError` for inputs that are no such maps and `MissingExtraError` without the package.
    """
    side = math.isqrt(math.prod(input_shape) // FRONT_CHANNELS)
    if not side or side * side * FRONT_CHANNELS != math.prod(input_shape):
        raise MetaloopError(
            f"net 'lite0_tail' takes what --backbone lite0-front makes, the data are of shape "
            f"{tuple(input_shape)}; use both together"
        )
    tail = Tail()
    if not torch.empty(0).is_meta:
        tail.load_state_dict(_packaged_tail())
    if rank:
        _in_thin_matrices(tail, rank)
    layers: list[nn.Module] = [_Maps(side), tail]
    if damped:
        layers.append(Damped(min(damped, NUM_FEATURES // 4), NUM_FEATURES))
    return nn.Sequential(*layers)


@cache
def _packaged_tail() -> dict[str, Tensor]:
    """The package's weights of the tail, read once."""
    return tail_tensors(packaged_net())


class _Maps(nn.Module):
    """Flat maps as maps `[N, 192, side, side]`; `as_maps` says so to those who count costs."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.as_maps = (FRONT_CHANNELS, side, side)

    def forward(self, flat: Tensor) -> Tensor:
        channels, *sides = self.as_maps
        return flat.reshape(len(flat), *sides, channels).permute(0, 3, 1, 2)


class _LowRank(nn.Conv2d):
    """A 1x1 convolution with weight W + B A: W and the bias are kept, A and B are trained."""

    def __init__(self, like: nn.Conv2d, rank: int) -> None:
        super().__init__(like.in_channels, like.out_channels, 1)
        rank = min(rank, like.in_channels, like.out_channels)
        self.thin = nn.Parameter(torch.randn(rank, like.in_channels) / math.sqrt(like.in_channels))
        self.wide = nn.Parameter(torch.zeros(like.out_channels, rank))
        for name in ("weight", "bias"):
            _keep(self, name, getattr(like, name).detach())

    def forward(self, input: Tensor) -> Tensor:
        weight = self.weight + (self.wide @ self.thin)[:, :, None, None]
        return functional.conv2d(input, weight, self.bias)


def _in_thin_matrices(tail: Tail, rank: int) -> None:
    """Makes of every dense convolution one of low rank, and keeps the others as they are."""
    for layer in [module for module in tail.modules() if isinstance(module, Layer)]:
        convolution = layer.convolution
        if convolution.groups == 1:
            layer.convolution = _LowRank(convolution, rank)
        else:
            for name in ("weight", "bias"):
                _keep(convolution, name, getattr(convolution, name).detach())


def _keep(module: nn.Module, name: str, tensor: Tensor) -> None:
    """Makes a buffer of a parameter: it is carried along and not trained."""
    delattr(module, name)
    module.register_buffer(name, tensor)
