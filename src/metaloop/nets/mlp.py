"""Multi-layer perceptron for vectors, and for images as a plain baseline."""

from __future__ import annotations

import math

from torch import nn

from metaloop.core.spec import Shape


def mlp(input_shape: Shape, width: int = 64, depth: int = 2) -> nn.Module:
    """Returns `depth` layers of `width` ReLU units on flattened inputs; features `[N, width]`."""
    layers: list[nn.Module] = [nn.Flatten()]
    previous = math.prod(input_shape)
    for _ in range(depth):
        layers += [nn.Linear(previous, width), nn.ReLU()]
        previous = width
    return nn.Sequential(*layers)


def raw(input_shape: Shape) -> nn.Module:
    """Returns the net that does nothing: flattened, standardised inputs are the features."""
    return nn.Flatten()
