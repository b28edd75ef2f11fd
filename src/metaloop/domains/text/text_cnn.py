"""`text_cnn`: learned vectors of words, their weighted sum, and convolutions over their order.

    v_t = w_t (E[word] + E[its beginning] + E[its end]),     b = sum of v_t, of one length
    f(text) = b + W max over t of relu(conv(v))_t,           W zero at first

With E at random and W zero, features are at first a random projection of the words' idf weights:
a bag of words, which is good where nothing was learned. From there E learns which words are alike,
and W what their order says. Convolutions over words: Kim 2014, arXiv:1408.5882.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional

from metaloop.core.errors import MetaloopError
from metaloop.core.spec import Shape
from metaloop.domains.text.words import BUCKETS, PARTS, SHAPE
from metaloop.nets.blocks import checked_size

_KERNEL = 3  # words


class TextCNN(nn.Module):
    """Features `[N, width]` of words as `domains/text/words.py` makes them."""

    def __init__(self, width: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.words = nn.Embedding(BUCKETS, width)
        nn.init.normal_(self.words.weight, std=1 / math.sqrt(width))
        self.order = nn.Conv1d(width, channels, _KERNEL, padding=_KERNEL // 2)
        self.dropout = nn.Dropout(dropout)
        self.correction = nn.Linear(channels, width, bias=False)
        nn.init.zeros_(self.correction.weight)
        largest = SHAPE[1] * max(PARTS * width, channels)
        self.own_cost = (largest, (SHAPE[1] * _KERNEL + 1) * width * channels, width)

    def forward(self, words: Tensor) -> Tensor:
        """Returns features `[N, width]` of `[N, 4, 40]`; zeros for a text without any word."""
        weights_NT = words[:, PARTS]
        parts_NTD = self.words(words[:, :PARTS].long()).sum(1)
        each_NTD = parts_NTD * weights_NT.unsqueeze(-1)
        bag_ND = functional.normalize(each_NTD.sum(1), dim=-1) * math.sqrt(each_NTD.shape[-1])
        said_NCT = functional.relu(self.order(each_NTD.transpose(1, 2)))
        said_NC = (said_NCT * (weights_NT > 0).unsqueeze(1)).amax(-1)
        features: Tensor = self.dropout(bag_ND) + self.correction(self.dropout(said_NC))
        return features


def text_cnn(
    input_shape: Shape, width: int = 256, channels: int = 128, dropout: float = 0.3
) -> nn.Module:
    """Returns the net for texts as words `[4, 40]`: the view `tokens`.

    `width`: numbers of a word's vector and of the features; `channels`: of the convolution;
    `dropout`: the share of them left out in training. Raises `MetaloopError` for other inputs and
    for wrong values.
    """
    if tuple(input_shape) != SHAPE:
        raise MetaloopError(
            f"net 'text_cnn' takes texts as words of shape {SHAPE}, the data have "
            f"{tuple(input_shape)}; use it with --view tokens"
        )
    if not 0 <= dropout < 1:
        raise MetaloopError(f"dropout is a share from 0 to below 1, got {dropout}; lower it")
    return TextCNN(checked_size("width", width), checked_size("channels", channels), dropout)
