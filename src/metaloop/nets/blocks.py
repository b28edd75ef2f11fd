"""The pieces that nets are put together from, and the names they are chosen by.

`ACTIVATIONS`, `NORMALISATIONS` and `POOLINGS` are the tables. A normalisation called `batch` is
metaloop's own (`norm.py`), whose policy can be stated; `group` treats every input alone, so it is
the same in training and in use, and for every learner.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from torch import nn

from metaloop.core.errors import MetaloopError, unknown_name
from metaloop.nets.norm import BatchNorm

LEAKY_SLOPE = 0.1  # of ResNet-12 in the few-shot literature (Lee et al. 2019, arXiv:1904.03758)
_MOST_GROUPS = 8
_TIMES = 6  # stretches of columns that rows are averaged in, where columns are times
_SMALLEST_GROUP = 4  # channels: alone, a channel of one pixel would always become zero


def _group_norm(channels: int) -> nn.Module:
    groups = math.gcd(channels, min(_MOST_GROUPS, max(1, channels // _SMALLEST_GROUP)))
    return nn.GroupNorm(groups, channels)


ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {
        "relu": nn.ReLU,
        "gelu": nn.GELU,
        "leaky_relu": lambda: nn.LeakyReLU(LEAKY_SLOPE),
        "silu": nn.SiLU,
    }
)
NORMALISATIONS: Mapping[str, Callable[[int], nn.Module]] = MappingProxyType(
    {
        "batch": BatchNorm,
        "group": _group_norm,
        "none": lambda channels: nn.Identity(),
    }
)
POOLINGS: Mapping[str, Callable[[], Sequence[nn.Module]]] = MappingProxyType(
    {
        "flatten": lambda: [nn.Flatten()],
        "mean": lambda: [nn.AdaptiveAvgPool2d(1), nn.Flatten()],
        "times": lambda: [nn.AdaptiveAvgPool2d((1, _TIMES)), nn.Flatten()],
    }
)


def activation_layer(name: str) -> nn.Module:
    """Returns a new activation; raises `UnknownNameError` for a wrong name."""
    if name not in ACTIVATIONS:
        raise unknown_name("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]()


def norm_layer(name: str, channels: int) -> nn.Module:
    """Returns a new normalisation of so many channels; raises `UnknownNameError`."""
    if name not in NORMALISATIONS:
        raise unknown_name("normalisation", name, NORMALISATIONS)
    return NORMALISATIONS[name](channels)


def pooling_layers(name: str) -> Sequence[nn.Module]:
    """Returns what makes features `[N, D]` of maps `[N, channels, height, width]`."""
    if name not in POOLINGS:
        raise unknown_name("pooling", name, POOLINGS)
    return POOLINGS[name]()


def convolution(
    inputs: int, outputs: int, kernel: int | tuple[int, int], normalisation: str, stride: int = 1
) -> list[nn.Module]:
    """Returns a convolution that keeps the size (at stride 1), and its normalisation.

    The convolution has a bias only where no normalisation follows that has one.
    """
    bias = normalisation == "none"
    sides = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = (sides[0] // 2, sides[1] // 2)
    return [
        nn.Conv2d(inputs, outputs, sides, stride, padding, bias=bias),
        norm_layer(normalisation, outputs),
    ]


def checked_size(option: str, value: int, smallest: int = 1) -> int:
    """Returns the value of a net's option; raises `MetaloopError` if it is below the smallest."""
    if value < smallest:
        raise MetaloopError(f"a net's {option} is at least {smallest}, got {value}; raise {option}")
    return value


def checked_widths(widths: Sequence[int], shortest: int, longest: int) -> tuple[int, ...]:
    """Returns the channels after each layer or stage; raises `MetaloopError` on a wrong number."""
    if not shortest <= len(widths) <= longest:
        raise MetaloopError(
            f"this net takes {shortest} to {longest} widths, got {len(widths)}; "
            f"give a number of channels for each layer"
        )
    return tuple(checked_size("widths", width) for width in widths)
