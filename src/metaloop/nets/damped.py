"""Features less what lies in a few directions, set once training ends.

    g(x) = f(x) - B^T B f(x),   B `[directions, D]`

The directions are those in which examples of one class differ most, and B is nothing until
`engine/damping.py` has measured them. A net says with `damped` how many it leaves room for.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

DAMPING = "damping"  # how the buffer is called that holds B
_LEAST_SHARE = 4  # of its features a net damps a quarter at most


class Damped(nn.Module):
    """Features `[N, D]` less what lies in some directions: `f - B^T B f`, B `[directions, D]`."""

    damping: Tensor

    def __init__(self, directions: int, num_features: int) -> None:
        super().__init__()
        self.register_buffer(DAMPING, torch.zeros(directions, num_features))

    def forward(self, features: Tensor) -> Tensor:
        """Returns the features without that."""
        return features - (features @ self.damping.T) @ self.damping


def damped_layers(directions: int, num_features: int) -> list[nn.Module]:
    """Returns a layer that damps so many of the directions, at most a quarter; or none."""
    number = min(directions, num_features // _LEAST_SHARE)
    return [Damped(number, num_features)] if number else []
