"""EfficientNet-Lite0: a small convolutional net for photographs, as a frozen encoder.

Inverted residual blocks: 1x1 convolution that widens, k x k convolution of each channel alone, 1x1
convolution that narrows; ReLU6 between them. It is TensorFlow's net, and so are its borders: where
a step of two does not come out even, the extra border is below and to the right. Batch norm is
folded into the convolutions, for what is trained here, the last block (`lite0_tail.py`), is changed
too little to need one.
Tan and Le 2019, arXiv:1905.11946; the Lite variants: tensorflow/tpu, efficientnet/lite, 2020.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from metaloop.core.errors import DataError

NUM_FEATURES = 1280
FRONT_CHANNELS, TAIL_BLOCKS = 192, 1  # where the net is cut in two: before its last block
SHRINKS_BY = 32  # pixels of an image's side that are a place of these maps
_STEM, _LAST_BLOCK = 32, 320
_NORM_EPSILON = 1e-3  # TensorFlow's
_CLASSES = 1000
_OF_A_LAYER = 6  # tensors in a checkpoint: convolution; weight, bias, mean, variance, batches seen


class _Stage(NamedTuple):
    blocks: int
    kernel: int
    stride: int  # of the first block
    expansion: int
    channels: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, _LAST_BLOCK),
)


class EfficientNetLite0(nn.Module):
    """Images float32 `[N, 3, height, width]`, about -1 to 1, to features `[N, 1280]`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Layer(3, _STEM, kernel=3, stride=2)
        self.blocks = nn.Sequential(*_blocks())
        self.last = Layer(_LAST_BLOCK, NUM_FEATURES)

    def forward(self, images: Tensor) -> Tensor:
        """Returns the mean of the last maps over all places."""
        maps: Tensor = self.last(self.blocks(self.stem(images)))
        return maps.mean((2, 3))


class Front(nn.Module):
    """The net without its tail: images to its maps before that, `[N, height * width * 192]`.

    The channels of a place are beside each other, which is how convolutions like them best.
    """

    def __init__(self, net: EfficientNetLite0) -> None:
        super().__init__()
        self.stem = net.stem
        self.blocks = net.blocks[:-TAIL_BLOCKS]

    def forward(self, images: Tensor) -> Tensor:
        """Returns the maps, flat."""
        maps: Tensor = self.blocks(self.stem(images))
        return maps.permute(0, 2, 3, 1).flatten(1)


class Tail(nn.Module):
    """The last block and layer: maps `[N, 192, height, width]` to features `[N, 1280]`."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*list(_blocks())[-TAIL_BLOCKS:])
        self.last = Layer(_LAST_BLOCK, NUM_FEATURES)
        self.mean = nn.AdaptiveAvgPool2d(1)

    def forward(self, maps: Tensor) -> Tensor:
        """Returns the mean of the last maps over all places."""
        features: Tensor = self.mean(self.last(self.blocks(maps)))
        return features.flatten(1)


def tail_tensors(net: EfficientNetLite0) -> dict[str, Tensor]:
    """Returns the tensors of the net's tail, as `Tail` names them."""
    parts = {"blocks": nn.Sequential(*list(net.blocks)[-TAIL_BLOCKS:]), "last": net.last}
    return {
        f"{part}.{name}": tensor
        for part, module in parts.items()
        for name, tensor in module.state_dict().items()
    }


class Layer(nn.Module):
    """A convolution with TensorFlow's borders, and ReLU6 unless it is `linear`."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__()
        padding = kernel // 2 if stride == 1 else 0
        self.convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups)
        self.linear = linear

    def forward(self, maps: Tensor) -> Tensor:
        """Returns the maps of the next layer."""
        kernel, stride = self.convolution.kernel_size[0], self.convolution.stride[0]
        if stride > 1:
            below, right = (_border(side, kernel, stride) for side in maps.shape[2:])
            maps = functional.pad(
                maps, (right // 2, right - right // 2, below // 2, below - below // 2)
            )
        maps = self.convolution(maps)
        return maps if self.linear else functional.relu6(maps, inplace=True)


class _Block(nn.Module):
    """Layers one after the other, added to their input where the shapes are the same."""

    def __init__(self, inputs: int, stage: _Stage, stride: int) -> None:
        super().__init__()
        wide = inputs * stage.expansion
        widening = [Layer(inputs, wide)] if stage.expansion > 1 else []
        each = Layer(wide, wide, stage.kernel, stride, groups=wide)
        narrowing = Layer(wide, stage.channels, linear=True)
        self.layers = nn.Sequential(*widening, each, narrowing)
        self.residual = stride == 1 and inputs == stage.channels

    def forward(self, maps: Tensor) -> Tensor:
        """Returns the maps of the next block."""
        changed: Tensor = self.layers(maps)
        return changed + maps if self.residual else changed


def folded(tensors: Sequence[tuple[str, Tensor]], source: str) -> EfficientNetLite0:
    """Returns the net with the tensors of a checkpoint, in its order: 49 layers and the classifier.

    Their names do not matter, so that timm's checkpoint and the original one are the same. Raises
    `DataError` if the tensors are those of another net, or not all finite.
    """
    with torch.device("meta"):
        net = EfficientNetLite0()
    layers = [module for module in net.modules() if isinstance(module, Layer)]
    expected = [shape for layer in layers for shape in _shapes(layer)]
    expected += [(_CLASSES, NUM_FEATURES), (_CLASSES,)]
    if len(tensors) != len(expected):
        raise DataError(
            f"{source} is no EfficientNet-Lite0: it has {len(tensors)} tensors, {len(expected)} "
            f"were expected; give it the weights it is made for"
        )
    for (name, tensor), shape in zip(tensors, expected, strict=True):
        if tuple(tensor.shape) != shape:
            raise DataError(
                f"{source} is no EfficientNet-Lite0: '{name}' is {list(tensor.shape)}, "
                f"{list(shape)} was expected; give it the weights it is made for"
            )
        if not bool(torch.isfinite(tensor).all()):
            raise DataError(f"{source}: '{name}' has values that are not finite; get the file anew")
    values = [tensor.double() for _, tensor in tensors]
    for place, layer in enumerate(layers):
        _fold(layer, values[place * _OF_A_LAYER : (place + 1) * _OF_A_LAYER])
    return net.requires_grad_(False).eval()


def _fold(layer: Layer, tensors: Sequence[Tensor]) -> None:
    """Gives a layer its convolution, multiplied and shifted as batch norm would do it after it."""
    weight, gain, shift, mean, variance, _ = tensors
    factor = gain / (variance + _NORM_EPSILON).sqrt()
    layer.convolution.weight = nn.Parameter((weight * factor[:, None, None, None]).float())
    layer.convolution.bias = nn.Parameter((shift - mean * factor).float())


def _shapes(layer: Layer) -> list[tuple[int, ...]]:
    weight = tuple(layer.convolution.weight.shape)
    return [weight, *[weight[:1]] * 4, ()]


def _blocks() -> Iterator[_Block]:
    inputs = _STEM
    for stage in _STAGES:
        for place in range(stage.blocks):
            yield _Block(inputs, stage, stage.stride if place == 0 else 1)
            inputs = stage.channels


def _border(side: int, kernel: int, stride: int) -> int:
    """Pixels that are added on both sides together, so that ceil(side / stride) places are seen."""
    return max((-(-side // stride) - 1) * stride + kernel - side, 0)
