"""A small convolutional classifier that begins with whitened patches and goes far in few steps.

    relu(whitened patches) -> blocks of (conv, max-pool, norm, relu, conv, norm, relu)
    -> the largest value of each channel over the picture -> linear

The first layer is computed, not trained: the principal components of patches of training images,
scaled to unit variance, each with both signs, so that the first trained layer sees decorrelated
inputs. After Page 2019 (https://myrtle.ai/how-to-train-your-resnet) and Jordan 2024,
arXiv:2404.00498, who trained far larger nets of this kind on a GPU. Batch norm is metaloop's own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from metaloop.nets.blocks import activation_layer, checked_size, checked_widths
from metaloop.nets.norm import BatchNorm

_MOMENTUM = 0.3  # of running statistics: trainings have few steps
_SMOOTHING = 5e-4  # of the variances of patches: where there is nothing, nothing is blown up
_LARGEST_WHOLE = 40  # pixels: larger pictures are first looked at in steps of several pixels
_MOST_NUMBERS = 1 << 25  # of patches that are looked at: 256 MiB
_SMALLEST_MAP = 3  # what is smaller is not pooled any more


class Block(nn.Module):
    """Two convolutions, the first of which is pooled to half the side where that is possible."""

    def __init__(self, inputs: int, outputs: int, activation: str) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.first_norm = BatchNorm(outputs, momentum=_MOMENTUM)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = BatchNorm(outputs, momentum=_MOMENTUM)
        self.activation = activation_layer(activation)

    def forward(self, maps: Tensor) -> Tensor:
        """Returns maps of about half the side."""
        maps = self.first(maps)
        if min(maps.shape[-2:]) >= _SMALLEST_MAP:
            maps = functional.max_pool2d(maps, 2)
        maps = self.activation(self.first_norm(maps))
        rectified: Tensor = self.activation(self.second_norm(self.second(maps)))
        return rectified


class WhitenedNet(nn.Module):
    """Logits `[N, classes]` of normalised images `[N, channels, side, side]`.

    `stem.weight` is not trained: `whiten` sets it from patches of training images.
    """

    def __init__(
        self,
        channels: int,
        side: int,
        classes: int,
        widths: Sequence[int] = (32, 64, 128),
        patches: int = 24,
        stride: int = 0,
        activation: str = "relu",
    ) -> None:
        """Makes the net; `stride` 0: one for small pictures, else what makes them small."""
        super().__init__()
        widths = checked_widths(widths, 1, 6)
        stride = stride or -(-side // _LARGEST_WHOLE)
        kernel = min(side, 2 * stride if channels > 1 or stride > 1 else 3)
        self.components = min(checked_size("patches", patches, 2) // 2, channels * kernel * kernel)
        self.stem = nn.Conv2d(channels, 2 * self.components, kernel, stride)
        self.stem.weight.requires_grad_(False)
        self.activation = activation_layer(activation)
        ends = [2 * self.components, *widths]
        self.blocks = nn.Sequential(
            *(Block(inputs, outputs, activation) for inputs, outputs in zip(ends, widths))  # noqa: B905
        )
        self.head = nn.Linear(widths[-1], classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        nn.init.zeros_(self.stem.bias if self.stem.bias is not None else torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits."""
        logits: Tensor = self.head(self.features(images))
        return logits

    def features(self, images: Tensor) -> Tensor:
        """Returns what the head is given, `[N, widths[-1]]`."""
        maps: Tensor = self.blocks(self.activation(self.stem(images)))
        return maps.amax((2, 3))

    @torch.no_grad()
    def whiten(self, images: Tensor) -> None:
        """Sets the first layer from patches of normalised images `[N, channels, side, side]`."""
        self.stem.weight.copy_(whitening(images, self.stem.kernel_size[0], self.components))


def whitening(images: Tensor, kernel: int, components: int) -> Tensor:
    """Returns filters `[2 * components, channels, kernel, kernel]` that whiten patches of images.

    They are the first principal components of patches of normalised `images [N, channels, height,
    width]`, scaled to unit variance, each with both signs. Of large images some are enough.
    """
    step = max(1, kernel // 2)
    places = math.prod((side - kernel) // step + 1 for side in images.shape[2:])
    numbers = len(images) * places * images.shape[1] * kernel**2
    some = images[:: max(1, math.ceil(numbers / _MOST_NUMBERS))]
    patches_NLP = functional.unfold(some, kernel, stride=step).mT
    centred = patches_NLP.reshape(-1, patches_NLP.shape[-1]).double()
    centred -= centred.mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
    filters = (vectors / torch.sqrt(values.clamp(min=0) + _SMOOTHING)).T.flip(0)
    chosen = filters[:components].to(images.dtype)
    return torch.cat([chosen, -chosen]).view(2 * components, images.shape[1], kernel, kernel)


def operations(net: WhitenedNet, side: int) -> float:
    """Returns about how many multiplications and additions a look at one image takes."""
    kernel, stride = net.stem.kernel_size[0], net.stem.stride[0]
    at = (side - kernel) // stride + 1
    total = net.stem.weight.numel() * at * at
    for block in net.blocks:
        assert isinstance(block, Block)
        total += block.first.weight.numel() * at * at
        at = at // 2 if at >= _SMALLEST_MAP else at
        total += block.second.weight.numel() * at * at
    return 2.0 * total
