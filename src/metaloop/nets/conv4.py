"""Conv4: the four-block convolutional network of the few-shot literature.

Each block: 3x3 convolution, batch norm, ReLU, 2x2 max-pool; the result is flattened. With 64
channels and 28x28 inputs the features are 64, with 32x32 256, with 84x84 1,600.
Vinyals et al. 2016, arXiv:1606.04080, section 4.1; Snell et al. 2017, arXiv:1703.05175.
"""

from __future__ import annotations

from torch import nn

from metaloop.core.spec import Shape
from metaloop.nets.norm import BatchNorm


def conv4(input_shape: Shape, channels: int = 64) -> nn.Module:
    """Returns a Conv4 for inputs `[channels, height, width]` of at least 16 pixels a side."""
    blocks: list[nn.Module] = []
    previous = input_shape[0]
    for _ in range(4):
        blocks += [
            nn.Conv2d(previous, channels, 3, padding=1, bias=False),
            BatchNorm(channels),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
        previous = channels
    return nn.Sequential(*blocks, nn.Flatten())
