"""What one input costs a net, from its modules alone: nothing is computed, not even for a file.

Layers are met in the order in which they were registered, which in all nets of the catalogue is the
order in which images become smaller. A net on torch's `meta` device has no memory and will do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import nn

from metaloop.core.spec import Shape

MOST_PARAMETERS = 1 << 27  # numbers: half a GiB; ResNet-12 has 2^24
MOST_FEATURES = 1 << 20  # an image of 3 x 591 x 591 pixels as it is
LARGEST_LAYER = 1 << 24  # numbers after a layer, for one input
MOST_MULTIPLY_ADDS = 1 << 35  # for one input; ResNet-12 on 84 pixels has 2^32, on 224 2^35


@dataclass(frozen=True)
class NetCost:
    """Numbers in parameters and buffers, in the largest layer's output, and multiply-adds.

    `features`: how many numbers come out in the end.
    """

    parameters: int
    largest_layer: int
    multiply_adds: int
    features: int


def cost_of(module: nn.Module, input_shape: Shape) -> NetCost:
    """Returns what a net costs for one input `[*input_shape]`; pools and reshaping are free.

    A module whose layers do not follow each other tells its `own_cost`. So a net need not be tried
    to know how wide its features are: trying takes its multiply-adds.
    """
    tensors = [*module.parameters(), *module.buffers()]
    if told := getattr(module, "own_cost", None):  # layers that are used once for every pixel
        return NetCost(sum(tensor.numel() for tensor in tensors), *told)
    sides: Shape = tuple(input_shape[1:])
    channels = input_shape[0]
    largest, operations = math.prod(input_shape), 0
    features = largest
    for part in module.modules():
        shrink = getattr(part, "shrink", 1)
        if isinstance(shrink, int) and shrink > 1:
            sides = tuple(math.ceil(side / shrink) for side in sides)
        if maps := getattr(part, "as_maps", None):
            channels, sides = maps[0], tuple(maps[1:])
        if getattr(part, "rows_are_channels", False):
            channels, sides = sides[0], (1, *sides[1:])
        if isinstance(part, nn.Conv2d):
            sides = tuple(
                (side + 2 * pad - kernel) // stride + 1
                for side, pad, kernel, stride in zip(
                    sides, _pads(part), part.kernel_size, part.stride, strict=True
                )
            )
            channels = part.out_channels
            features = channels * math.prod(sides)
            operations += features * math.prod(part.weight.shape[1:])
        elif isinstance(part, nn.MaxPool2d):
            rounded = math.ceil if part.ceil_mode else math.floor
            steps = _pair(part.kernel_size)
            sides = tuple(rounded(side / step) for side, step in zip(sides, steps, strict=True))
            features = channels * math.prod(sides)
        elif isinstance(part, nn.AdaptiveAvgPool2d):
            features = channels * math.prod(_pair(part.output_size))
        elif isinstance(part, nn.Linear):
            features = part.out_features
            operations += part.in_features * part.out_features
        largest = max(largest, features)
    parameters = sum(tensor.numel() for tensor in tensors)
    return NetCost(parameters, largest, operations, features)


def _pair(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def _pads(layer: nn.Conv2d) -> tuple[int, ...]:
    assert not isinstance(layer.padding, str)  # `same` and `valid` are in no net here
    return tuple(layer.padding)
