"""Conv4: the four-block convolutional network of the few-shot literature.

Each block: 3x3 convolution, batch norm, ReLU, 2x2 max-pool; the result is flattened. With 64
channels and 28x28 inputs the features are 64, with 32x32 256, with 84x84 1,600.
Vinyals et al. 2016, arXiv:1606.04080, section 4.1; Snell et al. 2017, arXiv:1703.05175.
Options vary it: fewer blocks, or more of them (those after the fourth do not pool).
"""

from __future__ import annotations

from torch import nn

from metaloop.core.spec import Shape
from metaloop.nets.blocks import activation_layer, checked_size, convolution, pooling_layers

_POOLED_BLOCKS = 4


def conv4(
    input_shape: Shape,
    channels: int = 64,
    depth: int = 4,
    normalisation: str = "batch",
    activation: str = "relu",
    pooling: str = "flatten",
) -> nn.Module:
    """Returns a Conv4 for inputs `[channels, height, width]` of at least 16 pixels a side.

    Raises `MetaloopError` for a wrong name or size.
    """
    checked_size("channels", channels)
    blocks: list[nn.Module] = []
    previous = input_shape[0]
    for index in range(checked_size("depth", depth)):
        blocks += convolution(previous, channels, 3, normalisation)
        blocks.append(activation_layer(activation))
        if index < _POOLED_BLOCKS:
            blocks.append(nn.MaxPool2d(2))
        previous = channels
    return nn.Sequential(*blocks, *pooling_layers(pooling))
