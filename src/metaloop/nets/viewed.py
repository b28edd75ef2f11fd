"""A net that is given its inputs in another view than the standardised one.

In the view `unit` inputs come at the length sqrt(features), which is that of standardised ones: the
initial weights of nets are made for it.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from metaloop.core.inputs import InputFormat
from metaloop.core.views import View, restored


class Viewed(nn.Module):
    """`net` on inputs `[N, *shape]` that were standardised, in that view of them."""

    def __init__(self, net: nn.Module, input_format: InputFormat, view: View) -> None:
        super().__init__()
        self.net = net
        self.input_format = input_format
        self.view = view
        self.directions = view == "unit" and isinstance(net, nn.Flatten)
        for told in ("vmappable", "own_cost"):  # what a net says of itself
            if hasattr(net, told):
                setattr(self, told, getattr(net, told))

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns the net's features `[N, D]`."""
        viewed = restored(inputs, self.input_format, self.view)
        if self.view == "unit":
            viewed = viewed * math.sqrt(math.prod(self.input_format.shape))
        features: Tensor = self.net(viewed)
        return features
