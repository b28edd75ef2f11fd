"""The strided net: a Conv4-like net whose stem halves the image, for small budgets on few cores.

A 5x5 stem with stride 2 and four 3x3 convolutions, each with batch norm and ReLU; 2x2 max-pools
after the first and the third; the result is flattened. Most of a Conv4's time goes into its first
block at full resolution; here it goes into width at low resolution (benchmarks/training_step.py
times the two).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metaloop.core.spec import Shape
from metaloop.nets.norm import BatchNorm


def _block(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, BatchNorm(outputs), nn.ReLU())


class Strided(nn.Module):
    """Stem, body and flattening; `widths` are the channels after each of the five convolutions."""

    def __init__(self, channels: int, widths: tuple[int, int, int, int, int]) -> None:
        super().__init__()
        stem, first, second, third, last = widths
        self.stem = _block(channels, stem, kernel=5, stride=2)
        self.body = nn.Sequential(
            _block(stem, first),
            nn.MaxPool2d(2),
            _block(first, second),
            _block(second, third),
            nn.MaxPool2d(2),
            _block(third, last),
            nn.Flatten(),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Returns features `[N, D]`; the stem, with its one or three channels, stays in float32."""
        with torch.autocast(images.device.type, enabled=False):
            halved = self.stem(images)
        features: Tensor = self.body(halved)
        return features


def strided(
    input_shape: Shape, widths: tuple[int, int, int, int, int] = (32, 64, 128, 128, 256)
) -> nn.Module:
    """Returns the strided net for images `[channels, height, width]` of at least 16 pixels."""
    stem, first, second, third, last = widths
    return Strided(input_shape[0], (stem, first, second, third, last))
