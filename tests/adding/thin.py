"""One layer on the flat inputs: a net to be added by a test."""

from __future__ import annotations

import math

from torch import nn

from metaloop.core.spec import Shape


def thin(input_shape: Shape, width: int = 8) -> nn.Module:
    """Returns a net with `width` features."""
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), width))
