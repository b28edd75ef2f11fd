"""`minilm-entities`: a sentence as what MiniLM makes of two marked entities and what is between.

    x = [h(4), t(4), b(4), b(6)],  each of unit length, x / 2
    h, t, b: means of the tokens of `<e1>head</e1>`, of `<e2>tail</e2>` and between the two, behind
    the fourth and the sixth (last) of its layers

The marks are taken out before the net sees a text: it was not trained with any. The mean of all
tokens says what a sentence is about, and a relation is what it says of the two. Layers were chosen
on relations of Wikipedia and SemEval (LOG.md). A text without both marks has the mean of its tokens
in their places. The idea: Baldini Soares et al. 2019, arXiv:1906.03158 (entity starts of a net that
was trained with them).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from metaloop.core.columns import Column, Taken, Texts, length, take
from metaloop.core.encoder import Encoder, EncoderCard
from metaloop.core.errors import DataError
from metaloop.domains.text.bert import MeanOfBert
from metaloop.domains.text.minilm import MOST_TOKENS, opened_minilm
from metaloop.domains.text.tokens import CutWithSpans, spans_by
from metaloop.nets.frozen_texts import MOST_CHARACTERS, by_length, checked_texts

NAME = "minilm-entities"
_MIDDLE, _LAST = 4, 6  # layers
_PIECES = ((_MIDDLE, 0), (_MIDDLE, 1), (_MIDDLE, 2), (_LAST, 2))  # of head, tail and between
_MARK = re.compile(r"</?e[12]>")
_LOOKED_AT = 16  # texts

Span = tuple[int, int]  # characters, or tokens, from the first to behind the last


@dataclass(frozen=True)
class Marked:
    """A text without its marks, and where head and tail are in it; None where one is not marked."""

    text: str
    head: Span | None
    tail: Span | None


def without_marks(text: str) -> Marked:
    """Returns the text without `<e1>`, `</e1>`, `<e2>` and `</e2>`, and the first span of each."""
    plain: list[str] = []
    at = dict.fromkeys(("<e1>", "</e1>", "<e2>", "</e2>"), -1)
    size = end = 0
    for found in _MARK.finditer(text):
        plain.append(text[end : found.start()])
        size += found.start() - end
        end = found.end()
        if at[found[0]] < 0:
            at[found[0]] = size
    plain.append(text[end:])
    spans = [(at[f"<e{n}>"], at[f"</e{n}>"]) for n in (1, 2)]
    head, tail = (span if 0 <= span[0] < span[1] else None for span in spans)
    return Marked("".join(plain), head, tail)


def has_marks(column: Column) -> bool:
    """Whether the first texts of a column have both entities marked, most of them."""
    if not isinstance(column, Texts) or not length(column):
        return False
    first = take(column, torch.arange(min(_LOOKED_AT, length(column))))
    marked = [without_marks(str(text)) for text in first]
    return 2 * sum(m.head is not None and m.tail is not None for m in marked) > len(marked)


@final
class EntityEncoder(Encoder):
    """MiniLM at marked entities."""

    def __init__(self, card: EncoderCard, spans: CutWithSpans, net: MeanOfBert) -> None:
        self.card = card
        self._spans = spans
        self._net = net

    def encode(self, inputs: Taken) -> Tensor:
        """Returns float32 `[N, features]` of unit length, of each text by itself."""
        texts = [without_marks(text[:MOST_CHARACTERS]) for text in checked_texts(inputs)]
        cuts = self._spans([each.text for each in texts])
        encoded = torch.zeros(len(texts), self.card.features)
        with torch.inference_mode():
            for rows in by_length([len(ids) for ids, _ in cuts]):
                ids = torch.tensor([cuts[row][0] for row in rows])
                layers = list(islice(self._net.layers_of(ids), _LAST + 1))
                masks = torch.stack([_masks(texts[row], cuts[row][1]) for row in rows])
                encoded[rows] = self._pooled(layers, masks)
        return encoded

    def _pooled(self, layers: Sequence[Tensor], masks_N3L: Tensor) -> Tensor:
        means: list[Tensor] = [
            (masks_N3L[:, which, None].float() @ layers[layer])[:, 0] for layer, which in _PIECES
        ]
        unit = [functional.normalize(mean, dim=1) for mean in means]
        joined: Tensor = torch.cat(unit, 1) / math.sqrt(len(unit))
        return joined


def _masks(marked: Marked, spans: Sequence[Span]) -> Tensor:
    """Which tokens belong to head, to tail and between, bool `[3, tokens]`; all where none does.

    Where nothing is between, it is the two entities.
    """
    sides = [_inside(span, spans) for span in (marked.head, marked.tail)]
    known = marked.head is not None and marked.tail is not None
    gap = None
    if marked.head is not None and marked.tail is not None:
        first, second = sorted((marked.head, marked.tail))
        gap = (first[1], second[0])
    between = _inside(gap, spans)
    if known and not between.any():
        between = sides[0] | sides[1]
    found = torch.stack([*sides, between])
    return torch.where(found.any(1, keepdim=True), found, torch.ones_like(found))


def _inside(span: Span | None, spans: Sequence[Span]) -> Tensor:
    """The tokens that have a character of a span."""
    if span is None:
        return torch.zeros(len(spans), dtype=torch.bool)
    return torch.tensor([start < span[1] and end > span[0] for start, end in spans])


def minilm_entities(folder: Path | None = None) -> EntityEncoder:
    """Returns the encoder with the package's files or those in a folder; raises as `minilm`."""
    card, rules, net = opened_minilm(folder)
    if len(net.layers) < _LAST:
        raise DataError(f"'{NAME}' needs a net of {_LAST} layers, got {len(net.layers)}")
    card = replace(card, name=NAME, features=len(_PIECES) * card.features)
    return EntityEncoder(card, spans_by(rules, NAME, most=MOST_TOKENS), net)
