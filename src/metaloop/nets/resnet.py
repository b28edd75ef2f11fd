"""Residual networks of the few-shot literature: ResNet-12 and a slim ResNet-10.

ResNet-12: four stages of three 3x3 convolutions with a 1x1 shortcut, leaky ReLU 0.1, a 2x2 max-pool
after each stage, average pooling at the end; widths 64/160/320/640 as in Lee et al. 2019
(MetaOptNet, arXiv:1904.03758). DropBlock, which that paper uses, is left out.
ResNet-10: four stages of one two-convolution block (He et al. 2016, arXiv:1512.03385; the backbone
of Chen et al. 2019, arXiv:1904.04232), here with a 3x3 stem for small images.
`widths` has a number for each stage, `depth` is the number of convolutions in one. `shrink`: blocks
of so many pixels a side are averaged before all else; with `mean` pooling the tensors stay the
same, so a net can begin on small images and go on with large ones (Tan and Le 2021,
arXiv:2104.00298).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from metaloop.core.spec import Shape
from metaloop.nets.blocks import (
    activation_layer,
    checked_size,
    checked_widths,
    convolution,
    pooling_layers,
)

FEWEST_STAGES, MOST_STAGES = 1, 6


class _Residual(nn.Module):
    """`depth` 3x3 convolutions beside a 1x1 shortcut, then the activation, then the pool."""

    def __init__(
        self, inputs: int, outputs: int, depth: int, normalisation: str, activation: str
    ) -> None:
        super().__init__()
        self.activation = activation_layer(activation)
        layers: list[nn.Module] = []
        previous = inputs
        for index in range(depth):
            layers += convolution(previous, outputs, 3, normalisation)
            if index < depth - 1:
                layers.append(self.activation)
            previous = outputs
        self.body = nn.Sequential(*layers)
        self.shortcut = nn.Sequential(*convolution(inputs, outputs, 1, normalisation))
        self.pool = nn.MaxPool2d(2, ceil_mode=True)

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.pool(self.activation(self.body(images) + self.shortcut(images)))
        return outputs


class _ResidualNet(nn.Sequential):
    """The stages and the pooling, on images that were shrunk."""

    def __init__(self, shrink: int, layers: Sequence[nn.Module]) -> None:
        super().__init__(*layers)
        self.shrink = shrink

    def forward(self, images: Tensor) -> Tensor:
        if self.shrink > 1:
            images = functional.avg_pool2d(images, self.shrink, ceil_mode=True)
        for layer in self:
            images = layer(images)
        return images


def resnet12(
    input_shape: Shape,
    widths: Sequence[int] = (64, 160, 320, 640),
    depth: int = 3,
    normalisation: str = "batch",
    activation: str = "leaky_relu",
    pooling: str = "mean",
    shrink: int = 1,
) -> nn.Module:
    """Returns a ResNet-12 for images `[channels, height, width]`; features `[N, widths[-1]]`.

    Raises `MetaloopError` for a wrong name, size or number of widths.
    """
    return _residual_net(input_shape, widths, depth, normalisation, activation, pooling, shrink)


def resnet10(
    input_shape: Shape,
    widths: Sequence[int] = (64, 128, 256, 512),
    depth: int = 2,
    normalisation: str = "batch",
    activation: str = "relu",
    pooling: str = "mean",
    shrink: int = 1,
) -> nn.Module:
    """Returns a ResNet-10 for images `[channels, height, width]`; features `[N, widths[-1]]`.

    Raises `MetaloopError` for a wrong name, size or number of widths.
    """
    return _residual_net(input_shape, widths, depth, normalisation, activation, pooling, shrink)


def _residual_net(
    input_shape: Shape,
    widths: Sequence[int],
    depth: int,
    normalisation: str,
    activation: str,
    pooling: str,
    shrink: int,
) -> nn.Module:
    stages: list[nn.Module] = []
    channels = input_shape[0]
    checked_size("depth", depth)
    for width in checked_widths(widths, FEWEST_STAGES, MOST_STAGES):
        stages.append(_Residual(channels, width, depth, normalisation, activation))
        channels = width
    layers = [*stages, *pooling_layers(pooling)]
    return _ResidualNet(checked_size("shrink", shrink), layers)
