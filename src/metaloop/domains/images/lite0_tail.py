"""`lite0_tail`: the last block of EfficientNet-Lite0 as a net of the catalogue, to be fine-tuned.

    f(x) = tail(front(image)),   x = front(image): what the view `lite0-front` makes, once

The front is frozen and its maps are kept like any features, so a step costs the tail alone. It
begins with the package's weights, batch norm folded into them, and its features are at first those
of `lite0`. `rank`: dense convolutions are changed by thin matrices and nothing else is trained, see
`nets/low_rank.py`; 0: all weights are. `damped` directions are damped once training ends, see
`nets/damped.py`.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor, nn

from metaloop.core.errors import MetaloopError
from metaloop.core.spec import Shape
from metaloop.domains.images.efficientnet import (
    FRONT_CHANNELS,
    NUM_FEATURES,
    Tail,
    tail_tensors,
)
from metaloop.domains.images.lite0 import packaged_net
from metaloop.nets.damped import damped_layers
from metaloop.nets.low_rank import in_thin_matrices


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
        in_thin_matrices(tail, rank)
    return nn.Sequential(_Maps(side), tail, *damped_layers(damped, NUM_FEATURES))


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
