"""Residual networks of the few-shot literature: ResNet-12 and a slim ResNet-10.

ResNet-12: four stages of three 3x3 convolutions with a 1x1 shortcut, leaky ReLU 0.1, a 2x2 max-pool
after each stage, average pooling at the end; widths 64/160/320/640 as in Lee et al. 2019
(MetaOptNet, arXiv:1904.03758). DropBlock, which that paper uses, is left out.
ResNet-10: four stages of one two-convolution block (He et al. 2016, arXiv:1512.03385; the backbone
of Chen et al. 2019, arXiv:1904.04232), here with a 3x3 stem for small images.
"""

from __future__ import annotations

from torch import Tensor, nn

from metaloop.core.spec import Shape
from metaloop.nets.norm import BatchNorm


class _Residual(nn.Module):
    """`depth` 3x3 convolutions beside a 1x1 shortcut, then the activation, then the pool."""

    def __init__(
        self, inputs: int, outputs: int, depth: int, activation: nn.Module, pool: nn.Module
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        previous = inputs
        for index in range(depth):
            layers += [nn.Conv2d(previous, outputs, 3, padding=1, bias=False), BatchNorm(outputs)]
            if index < depth - 1:
                layers.append(activation)
            previous = outputs
        self.body = nn.Sequential(*layers)
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), BatchNorm(outputs))
        self.activation = activation
        self.pool = pool

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.pool(self.activation(self.body(images) + self.shortcut(images)))
        return outputs


def _stages(widths: tuple[int, ...], channels: int, depth: int, slope: float) -> nn.Module:
    stages: list[nn.Module] = []
    for width in widths:
        pool = nn.MaxPool2d(2, ceil_mode=True)
        stages.append(_Residual(channels, width, depth, nn.LeakyReLU(slope), pool))
        channels = width
    return nn.Sequential(*stages, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def resnet12(
    input_shape: Shape, widths: tuple[int, int, int, int] = (64, 160, 320, 640)
) -> nn.Module:
    """Returns a ResNet-12 for images `[channels, height, width]`; features `[N, widths[-1]]`."""
    return _stages(tuple(widths), input_shape[0], depth=3, slope=0.1)


def resnet10(
    input_shape: Shape, widths: tuple[int, int, int, int] = (64, 128, 256, 512)
) -> nn.Module:
    """Returns a ResNet-10 for images `[channels, height, width]`; features `[N, widths[-1]]`."""
    return _stages(tuple(widths), input_shape[0], depth=2, slope=0.0)
