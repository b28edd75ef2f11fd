"""The temporal net: convolutions over time alone, which see all bands of pitch as channels.

The first layer looks at all bands of five frames at once, so that a sound is known by its whole
spectrum at the second layer, for little work: on Arabic words it was above convolutions over bands
and times after equal seconds (LOG.md). Two max-pools halve the frames; at the end times are pooled
to six, in their order. After Tang and Lin 2018, arXiv:1710.10361, and Choi et al. 2019,
arXiv:1904.03814 (temporal convolutions for keywords).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from metaloop.core.errors import MetaloopError
from metaloop.core.spec import Shape
from metaloop.nets.blocks import activation_layer, checked_widths, convolution, pooling_layers

FEWEST_WIDTHS, MOST_WIDTHS = 1, 12
_FIRST_KERNEL, _KERNEL = 5, 3  # frames
_POOLED = (1, 3)  # convolutions that a max-pool follows


class Temporal(nn.Module):
    """Convolutions over the last axis; the one before it is the channels."""

    rows_are_channels = True  # what a net costs is told by its layers and this

    def __init__(
        self,
        bands: int,
        widths: Sequence[int],
        normalisation: str,
        activation: str,
        pooling: str,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index, (inputs, outputs) in enumerate(pairwise((bands, *widths))):
            kernel = (1, _KERNEL if index else _FIRST_KERNEL)
            layers += convolution(inputs, outputs, kernel, normalisation)
            layers.append(activation_layer(activation))
            if index in _POOLED:
                layers.append(nn.MaxPool2d((1, 2), ceil_mode=True))
        self.body = nn.Sequential(*layers, *pooling_layers(pooling))

    def forward(self, spectrograms: Tensor) -> Tensor:
        """Returns features `[N, D]` of `[N, 1, bands, frames]`."""
        features: Tensor = self.body(spectrograms.transpose(1, 2))
        return features


def temporal(
    input_shape: Shape,
    widths: Sequence[int] = (256, 256, 256, 256, 384),
    normalisation: str = "batch",
    activation: str = "relu",
    pooling: str = "times",
) -> nn.Module:
    """Returns the temporal net for spectrograms `[1, bands, frames]`; a width for each layer.

    Raises `MetaloopError` for inputs of another kind and a wrong name, size or number of widths.
    """
    if len(input_shape) != 3 or input_shape[0] != 1:
        raise MetaloopError(
            f"net 'temporal' takes spectrograms of shape (1, bands, frames), the data have "
            f"{tuple(input_shape)}; use another net"
        )
    checked = checked_widths(widths, FEWEST_WIDTHS, MOST_WIDTHS)
    return Temporal(input_shape[1], checked, normalisation, activation, pooling)
