"""A net for documents: every sentence by itself, beside what it was known by.

    f(d)[s] = there_s, o_s, 7 a_s, n_s, h(a_s, n_s)

a are the directions that tell how alike sentences are (of length 1), o what a sentence and each
other one have of a likely summary, with their sizes, n the other numbers, h two layers of `width`
units; `width` 0 leaves h out. Inputs are `[N, columns, S]`: there, a, o, n (`domains/summaries`).
Features are flat, `[N, channels * S]`; `sentences_in` takes them apart.

Shapes: N documents, S sentences, D features of a sentence, L directions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from metaloop.core.errors import MetaloopError
from metaloop.core.extraction import PLACES, told_size
from metaloop.core.spec import Shape

DIRECTIONS = 48  # columns that tell how alike sentences are
TENS = 10.0  # in which sizes are told
_PAIRED = PLACES + 3  # columns of o: with every sentence, size, that of a summary, what is scarce
AS_THEY_ARE = 1 + DIRECTIONS + _PAIRED  # columns that are not standardised
_SCALE = math.sqrt(DIRECTIONS)  # so that they are as large as standardised numbers
_PLAIN = ("by_lead", "by_length", "by_centroid", "by_textrank")
_SHARPNESS = 4.0  # of who is taken before whom, in scores


class _Sentences(nn.Module):
    def __init__(self, columns: int, width: int, dropout: float) -> None:
        super().__init__()
        adds = (columns - 1 - _PAIRED + width) * width * PLACES  # layers see each sentence
        self.own_cost = (columns * PLACES, adds, (columns + width) * PLACES)
        self.layers = (
            nn.Sequential(
                nn.Linear(columns - 1 - _PAIRED, width),
                nn.SiLU(),
                nn.Dropout(dropout),
                nn.Linear(width, width),
                nn.SiLU(),
            )
            if width
            else None
        )

    def forward(self, inputs: Tensor) -> Tensor:
        there = inputs[:, :1] > 0.5
        paired = inputs[:, 1 + DIRECTIONS : AS_THEY_ARE]
        scaled = torch.cat([_SCALE * inputs[:, 1 : 1 + DIRECTIONS], inputs[:, AS_THEY_ARE:]], 1)
        pieces = [there.to(inputs.dtype), paired, scaled]
        if self.layers is not None:
            pieces.append(self.layers(scaled.mT).mT)
        return (torch.cat(pieces, 1) * there).flatten(1)


def sentences(input_shape: Shape, width: int = 32, dropout: float = 0.2) -> nn.Module:
    """Returns the net; raises `MetaloopError` for inputs that are no sentences of documents."""
    if len(input_shape) != 2 or input_shape[1] != PLACES or input_shape[0] <= AS_THEY_ARE:
        raise MetaloopError(
            f"net 'sentences' is for documents as [columns, {PLACES}], got {tuple(input_shape)}"
        )
    if not 0 <= dropout < 1:
        raise MetaloopError(f"dropout is from 0 to below 1, got {dropout}")
    return _Sentences(input_shape[0], width, dropout)


@dataclass(frozen=True)
class Seen:
    """Sentences `there` `[N, S]`, their features `[N, S, D]` less the document's mean, and a.

    `known` are the features as they are; `shared` `[N, S, S]` what two sentences have of a likely
    summary, `size` `[N, S]` the stems of each, `wanted` `[N, 1]` those that are asked for, and
    `by_words` `[N, 1]` whether words are scarce (1), a share of them (2) or sentences (0).
    """

    there: Tensor
    features: Tensor
    alike: Tensor  # [N, S, L]
    known: Tensor
    shared: Tensor
    size: Tensor
    wanted: Tensor
    by_words: Tensor


def sentences_in(features: Tensor) -> Seen:
    """Returns what the net's flat features `[N, channels * S]` say of sentences."""
    apart = features.view(features.shape[0], -1, PLACES).mT  # [N, S, channels]
    there, paired, known = apart[..., 0], apart[..., 1 : 1 + _PAIRED], apart[..., 1 + _PAIRED :]
    mean = known.sum(1, keepdim=True) / there.sum(1).clamp(min=1)[:, None, None]
    centred = (known - mean) * there.unsqueeze(-1)
    return Seen(
        there,
        centred,
        known[..., :DIRECTIONS] / _SCALE,
        known,
        paired[..., :PLACES],
        TENS * paired[..., PLACES],
        TENS * paired[..., PLACES + 1].amax(-1, keepdim=True),
        paired[..., PLACES + 2].amax(-1, keepdim=True),
    )


def feature_of(column: int) -> int:
    """Returns the place among a sentence's features of a column of the inputs that is a number."""
    return column - AS_THEY_ARE + DIRECTIONS


def places_of_plain(columns: Sequence[str]) -> list[int]:
    """Returns the places among a sentence's features of what plain methods say of it."""
    return [feature_of(columns.index(name)) for name in _PLAIN if name in columns]


def width_of(num_features: int) -> int:
    """Returns D, the features of a sentence, of a net with so many in all."""
    return num_features // PLACES - 1 - _PAIRED


def longer(seen: Seen, targets: Tensor, mask: Tensor) -> Tensor:
    """Returns by what factor summaries of a support are longer than what is asked for, `[1]`.

    What is asked for counts as much as one summary; documents that tell no length do not count.
    """
    size = told_size(targets).to(seen.size.dtype)
    tells = ((size > 0) & mask).to(size.dtype)
    factor = (size.clamp(min=1.0) / seen.wanted.squeeze(-1).clamp(min=1.0)).log()
    return ((factor * tells).sum(-1, keepdim=True) / (1 + tells.sum(-1, keepdim=True))).exp()


def without_repeats(scores: Tensor, seen: Seen, weight: Tensor) -> Tensor:
    """Returns scores `[N, S]` less `weight` times how much a sentence repeats a better one.

    The largest product of its directions with those of a sentence before it; soft, so that the
    weight can be learned (matrix NMS of Wang et al. 2020, arXiv:2003.10152, is of this kind).
    """
    alike = (seen.alike @ seen.alike.mT).clamp(min=0)
    before = torch.sigmoid(_SHARPNESS * (scores.unsqueeze(-2) - scores.unsqueeze(-1)))
    before = before * seen.there.unsqueeze(-2)
    itself = torch.eye(scores.shape[-1], dtype=scores.dtype, device=scores.device)
    return scores - weight * (alike * before * (1 - itself)).amax(-1)
