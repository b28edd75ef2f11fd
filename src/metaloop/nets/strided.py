"""The strided net: a Conv4-like net whose stem halves the image, for small budgets on few cores.

A 5x5 stem with stride 2 and four 3x3 convolutions, each with batch norm and ReLU; 2x2 max-pools
after the first and the third; the result is flattened. Most of a Conv4's time goes into its first
block at full resolution; here it goes into width at low resolution (benchmarks/training_step.py
times the two).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from metaloop.core.spec import Shape
from metaloop.nets.blocks import activation_layer, checked_widths, convolution, pooling_layers

FEWEST_WIDTHS, MOST_WIDTHS = 2, 9  # the stem's, and one for each convolution after it
_POOLED = (0, 2)  # convolutions after the stem that a max-pool follows


class Strided(nn.Module):
    """Stem, body and flattening; `widths` are the channels after each of the convolutions."""

    def __init__(
        self,
        channels: int,
        widths: Sequence[int],
        normalisation: str,
        activation: str,
        pooling: str,
    ) -> None:
        super().__init__()

        def block(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Module:
            layers = convolution(inputs, outputs, kernel, normalisation, stride)
            return nn.Sequential(*layers, activation_layer(activation))

        self.stem = block(channels, widths[0], kernel=5, stride=2)
        body: list[nn.Module] = []
        for index, (inputs, outputs) in enumerate(pairwise(widths)):
            body.append(block(inputs, outputs))
            if index in _POOLED:
                body.append(nn.MaxPool2d(2))
        self.body = nn.Sequential(*body, *pooling_layers(pooling))

    def forward(self, images: Tensor) -> Tensor:
        """Returns features `[N, D]`; the stem, with its one or three channels, stays in float32."""
        with torch.autocast(images.device.type, enabled=False):
            halved = self.stem(images)
        features: Tensor = self.body(halved)
        return features


def strided(
    input_shape: Shape,
    widths: Sequence[int] = (32, 64, 128, 128, 256),
    normalisation: str = "batch",
    activation: str = "relu",
    pooling: str = "flatten",
) -> nn.Module:
    """Returns the strided net for images `[channels, height, width]` of at least 16 pixels.

    `widths` are the channels of the stem and of 1 to 8 convolutions after it. Raises
    `MetaloopError` for a wrong name, size or number of widths.
    """
    checked = checked_widths(widths, FEWEST_WIDTHS, MOST_WIDTHS)
    return Strided(input_shape[0], checked, normalisation, activation, pooling)
