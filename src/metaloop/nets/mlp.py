"""Multi-layer perceptron for vectors, and for images as a plain baseline.

    plain:     f(x) = h(x)          h: `depth` layers of `width` units
    residual:  f(x) = x + W h(x)    W starts at zero: training starts at the inputs themselves

Where inputs are good features already (text, embeddings of a large model), few classes cannot
teach a plain perceptron to be as good again; the residual one need not. `unit_inputs` first scales
every input to one length, sqrt(features), as a cosine does. `damped` directions of the features
are damped once training ends, see `damped.py`.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional

from metaloop.core.errors import MetaloopError
from metaloop.core.spec import Shape
from metaloop.nets.blocks import activation_layer, checked_size, norm_layer
from metaloop.nets.damped import damped_layers


class _UnitLength(nn.Module):
    """Inputs `[N, features]` scaled to the length sqrt(features): that of standardised ones."""

    def forward(self, inputs: Tensor) -> Tensor:
        return functional.normalize(inputs, dim=-1) * math.sqrt(inputs.shape[-1])


class _Residual(nn.Module):
    """Inputs `[N, features]` plus a correction by the layers, which is nothing at first."""

    def __init__(self, layers: nn.Module, num_inputs: int, width: int) -> None:
        super().__init__()
        self.layers = layers
        self.correction = nn.Linear(width, num_inputs, bias=False)
        nn.init.zeros_(self.correction.weight)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = inputs + self.correction(self.layers(inputs))
        return outputs


def mlp(
    input_shape: Shape,
    width: int = 64,
    depth: int = 2,
    normalisation: str = "none",
    activation: str = "relu",
    dropout: float = 0.0,
    residual: bool = False,
    unit_inputs: bool = False,
    damped: int = 0,
) -> nn.Module:
    """Returns `depth` layers of `width` units on flattened inputs.

    Features are `[N, width]`, with `residual` as wide as the inputs. `dropout` is the share of
    units left out in training, after each layer (learners with an inner loop train without).
    `damped`: how many directions of the features are damped in the end, at most a quarter.
    Raises `MetaloopError` for a wrong name or value.
    """
    if not 0 <= dropout < 1:
        raise MetaloopError(f"dropout is a share from 0 to below 1, got {dropout}; lower it")
    checked_size("width", width)
    first: list[nn.Module] = [nn.Flatten()]
    if unit_inputs:
        first.append(_UnitLength())
    layers: list[nn.Module] = []
    previous = num_inputs = math.prod(input_shape)
    for _ in range(checked_size("depth", depth)):
        layers.append(nn.Linear(previous, width))
        if normalisation != "none":
            layers.append(norm_layer(normalisation, width))
        layers.append(activation_layer(activation))
        if dropout:
            layers.append(nn.Dropout(dropout))
        previous = width
    if residual:
        layers = [_Residual(nn.Sequential(*layers), num_inputs, width)]
    num_features = num_inputs if residual else width
    return nn.Sequential(*first, *layers, *damped_layers(damped, num_features))


def raw(input_shape: Shape) -> nn.Module:
    """Returns the net that does nothing: the flattened inputs are the features."""
    return nn.Flatten()


def projection(input_shape: Shape) -> nn.Module:
    """Returns a linear map of flattened inputs that is the identity at first: `x + W x`, W zero.

    The gentlest thing that can be learned about features that are good already.
    """
    size = math.prod(input_shape)
    return nn.Sequential(nn.Flatten(), _Residual(nn.Sequential(), size, size))
