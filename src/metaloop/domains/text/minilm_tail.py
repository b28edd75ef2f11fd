"""`minilm_tail`: the last two layers of MiniLM as a net of the catalogue, to be fine-tuned.

    f(text) = mean of tail(front(text)) over its tokens, of length sqrt(384)

`front(text)` is what the view `minilm-front` makes, once: it is frozen and kept like any features,
so a step costs the tail alone. It begins with the package's weights, and its features are at first
those of `minilm`, but for their length, which is that of standardised inputs, and for what is cut.
Dense layers see no token that is not there: texts have half of them or fewer. `rank`: dense layers
are changed by thin matrices and nothing else is trained, see `nets/low_rank.py`; 0: all weights
are. `damped` directions are damped once training ends, see `nets/damped.py`.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from metaloop.core.errors import MetaloopError
from metaloop.core.spec import Shape
from metaloop.domains.text.bert import Layer, unpacked
from metaloop.domains.text.minilm import (
    FRONT,
    FRONT_LAYERS,
    FRONT_TOKENS,
    HEADS,
    HIDDEN,
    LAYERS,
    WIDTH,
    opened_minilm,
)
from metaloop.nets.damped import damped_layers
from metaloop.nets.low_rank import in_thin_matrices

_SMALLEST = 1e-3  # of a token's largest number; standardised and restored, zeros are nearly zeros
_DENSE = 4 * WIDTH + 2 * HIDDEN  # numbers of a token that the dense layers of one layer make


class MiniLMTail(nn.Module):
    """The last layers: tokens as `minilm-front` makes them, flat, to features `[N, 384]`."""

    vmappable = False  # how many tokens there are, the inputs say

    def __init__(self, damped: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            Layer(WIDTH, HEADS, HIDDEN) for _ in range(LAYERS - FRONT_LAYERS)
        )
        (self.damped,) = damped_layers(damped, WIDTH) or [nn.Identity()]
        largest = FRONT_TOKENS * max(3 * WIDTH, HIDDEN)
        self.own_cost = (largest, len(self.layers) * FRONT_TOKENS * _DENSE * WIDTH, WIDTH)

    def forward(self, flat: Tensor) -> Tensor:
        """Returns the features; zeros for a text without tokens."""
        tokens_NTD = flat.reshape(len(flat), FRONT_TOKENS, WIDTH)
        there_NT = tokens_NTD.detach().abs().amax(2) > _SMALLEST
        packed = not torch.compiler.is_exporting()  # a graph has no number of tokens
        seen = tokens_NTD[there_NT] if packed else tokens_NTD
        for layer in self.layers:
            seen = layer(seen, there_NT)
        if packed:
            seen = unpacked(seen, there_NT)
        total_ND = (seen * there_NT[:, :, None]).sum(1)  # its length does not matter
        features: Tensor = self.damped(functional.normalize(total_ND, dim=1) * math.sqrt(WIDTH))
        return features


def minilm_tail(input_shape: Shape, rank: int = 0, damped: int = 0) -> nn.Module:
    """Returns the last layers with the package's weights, on tokens as `minilm-front` makes them.

    Features are `[N, 384]`. On torch's device without memory no weights are read. Raises
    `MetaloopError` for inputs that are no such tokens and `MissingExtraError` without the package.
    """
    if math.prod(input_shape) != FRONT_TOKENS * WIDTH:
        raise MetaloopError(
            f"net 'minilm_tail' takes what --backbone {FRONT} makes, the data are of shape "
            f"{tuple(input_shape)}; use both together"
        )
    tail = MiniLMTail(damped)
    if not torch.empty(0).is_meta:
        tail.layers.load_state_dict(_packaged_layers())
    if rank:
        in_thin_matrices(tail.layers, rank)
    return tail


@cache
def _packaged_layers() -> dict[str, Tensor]:
    """The package's weights of the last layers, read once."""
    _, _, net = opened_minilm(None)
    return net.layers[FRONT_LAYERS:].state_dict()
