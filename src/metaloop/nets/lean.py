"""The lean net: what a few minutes of a processor teach to tell photographs apart.

    stem: relu(whitened patches), 4x4 in steps of 2, or what brings maps to some 40 pixels a side
    stage: h = relu(norm(max-pool(conv(x)))),   relu(h + norm(conv(h)))
    the mean over the picture; directions of it are damped once training ends (`damped.py`)

The stem is not trained but computed of training images (`whitened.py`), so that the first trained
layer sees decorrelated inputs. A stage is pooled before it is normalised: half of its work is done
on a quarter of the places, and its shortcut costs nothing. A step takes a fraction of that of a
narrow ResNet-10, and a minute has so many more of them (LOG.md). Stem and order are those of the
nets that learn CIFAR-10 in seconds of a GPU: Page 2019
(https://myrtle.ai/how-to-train-your-resnet), Jordan 2024, arXiv:2404.00498; the shortcut: He et al.
2016, arXiv:1512.03385.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
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
from metaloop.nets.damped import damped_layers
from metaloop.nets.whitened import whitening

FEWEST_WIDTHS, MOST_WIDTHS = 2, 7  # the stem's, and one for each stage
_LARGEST_MAP = 40  # pixels of the shorter side, after the stem


class _Stem(nn.Conv2d):
    """A convolution whose weights are a buffer: they are computed, not trained."""

    weight: Tensor

    def __init__(self, channels: int, width: int, stride: int) -> None:
        kernel = 2 * stride if stride > 1 else 3
        self.components = min(-(-width // 2), channels * kernel * kernel)
        padding = stride // 2 if stride > 1 else 1
        super().__init__(channels, 2 * self.components, kernel, stride, padding, bias=False)
        drawn = torch.nn.init.orthogonal_(torch.empty(self.components, channels * kernel * kernel))
        del self.weight
        self.register_buffer(
            "weight", torch.cat([drawn, -drawn]).view(-1, channels, kernel, kernel)
        )


class _Stage(nn.Module):
    """A convolution that is pooled to half the side, and one beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, normalisation: str, activation: str) -> None:
        super().__init__()
        first, norm = convolution(inputs, outputs, 3, normalisation)
        pool = nn.MaxPool2d(2, ceil_mode=True)
        self.halved = nn.Sequential(first, pool, norm, activation_layer(activation))
        self.beside = nn.Sequential(*convolution(outputs, outputs, 3, normalisation))
        self.activation = activation_layer(activation)

    def forward(self, maps: Tensor) -> Tensor:
        halved = self.halved(maps)
        outputs: Tensor = self.activation(halved + self.beside(halved))
        return outputs


class Lean(nn.Module):
    """Stem, stages and pooling; `widths` are the channels after the stem and after each stage."""

    def __init__(
        self,
        channels: int,
        stride: int,
        widths: Sequence[int],
        normalisation: str,
        activation: str,
        pooling: str,
        shrink: int,
        damped: int,
    ) -> None:
        super().__init__()
        self.shrink = checked_size("shrink", shrink)
        self.stem = _Stem(channels, widths[0], stride)
        ends = [self.stem.out_channels, *widths[1:]]
        stages = (_Stage(*pair, normalisation, activation) for pair in pairwise(ends))
        last = damped_layers(damped, widths[-1]) if pooling == "mean" else []
        self.body = nn.Sequential(*stages, *pooling_layers(pooling), *last)

    def forward(self, images: Tensor) -> Tensor:
        """Returns features `[N, D]`; the stem, with its one or three channels, stays in float32."""
        if self.shrink > 1:
            images = functional.avg_pool2d(images, self.shrink, ceil_mode=True)
        with torch.autocast(images.device.type, enabled=False):
            patches = functional.relu(self.stem(images))
        features: Tensor = self.body(patches)
        return features

    def computed(self, images: Tensor) -> dict[str, Tensor]:
        """Returns the stem's weights for normalised training images `[N, channels, H, W]`.

        None for images with numbers that are not finite: training on them ends by itself.
        """
        if not images.isfinite().all():
            return {}
        kernel, components = self.stem.kernel_size[0], self.stem.components
        return {"stem.weight": whitening(images, kernel, components)}


def stem_stride(input_shape: Shape) -> int:
    """Returns how many pixels of an image `[channels, height, width]` the stem makes one of."""
    return -(-min(input_shape[1:]) // _LARGEST_MAP)


def lean(
    input_shape: Shape,
    widths: Sequence[int] = (24, 32, 64, 128),
    normalisation: str = "batch",
    activation: str = "relu",
    pooling: str = "mean",
    shrink: int = 1,
    damped: int = 0,
) -> nn.Module:
    """Returns the lean net for images `[channels, height, width]`; features `[N, widths[-1]]`.

    `widths` are the channels of the stem (at most twice the numbers in a patch) and of 1 to 6
    stages after it. `shrink`: blocks of so many pixels a side are averaged before all else; with
    `mean` pooling the tensors stay the same, so a net can begin on small images. `damped`: how
    many directions of the features, at most a quarter, are damped in the end, with `mean` pooling.
    Raises `MetaloopError` for a wrong name, size or number of widths.
    """
    checked = checked_widths(widths, FEWEST_WIDTHS, MOST_WIDTHS)
    stride = stem_stride(input_shape)
    return Lean(input_shape[0], stride, checked, normalisation, activation, pooling, shrink, damped)
