"""`Encoder`: a pretrained net of another library, frozen, that turns raw inputs into features.

What it is, and under which terms, is in its `EncoderCard`: results that were made with an encoder
name it, and a model file that needs one holds its name and the hash of its weights, never the
weights themselves.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from metaloop.core.columns import Taken
from metaloop.core.leagues import EncoderCard

__all__ = ["Beside", "Encoder", "EncoderCard", "JoinedEncoder"]


class Encoder(ABC):
    """A frozen net behind one method; what it returns for an input hangs on that input alone."""

    card: EncoderCard

    @abstractmethod
    def encode(self, inputs: Taken) -> Tensor:
        """Returns float32 features `[N, card.features]`, on the CPU, without gradients.

        `inputs`: images uint8 `[N, 1 or 3, height, width]` of any one size, a tuple of N texts, or
        recordings `{"values": [N, longest], "mask": [N, longest]}`. Any N, from none to thousands:
        it goes through them in batches of its own. Raises `DataError` for inputs of another kind.
        """


class JoinedEncoder(Encoder):
    """Others beside each other: no net of its own, so who has the features of `pieces` has its."""

    pieces: tuple[Encoder, ...]

    @abstractmethod
    def join(self, features: Sequence[Tensor]) -> Tensor:
        """Returns its features `[N, card.features]` from those of the pieces, in their order."""

    @final
    def encode(self, inputs: Taken) -> Tensor:
        """Returns float32 `[N, card.features]`, each input by itself; raises as the pieces do."""
        return self.join([piece.encode(inputs) for piece in self.pieces])


@final
class Beside(JoinedEncoder):
    """Encoders of one kind of inputs beside each other: each input of unit length in every one.

    `shares`: what the features of each are multiplied by, 1 where nothing is given.
    """

    def __init__(self, name: str, pieces: Sequence[Encoder], shares: Sequence[float] = ()) -> None:
        of = [piece.card for piece in pieces]
        known = "\n".join(card.weights for card in of)

        def all_of(words: Sequence[str], between: str) -> str:
            return between.join(dict.fromkeys(word for word in words if word))

        self.pieces = tuple(pieces)
        self.shares = tuple(shares) or (1.0,) * len(of)
        self.card: EncoderCard = replace(
            of[0],
            name=name,
            features=sum(card.features for card in of),
            size=max(card.size for card in of),
            weights=hashlib.sha256(known.encode()).hexdigest()[:16],
            version=all_of([card.version for card in of], ", "),
            licence=all_of([card.licence for card in of], " and "),
            knows=all_of([card.knows for card in of], " and "),
            citation=all_of([card.citation for card in of], "\n"),
        )

    def join(self, features: Sequence[Tensor]) -> Tensor:
        """Returns float32 `[N, card.features]`; each input by itself."""
        unit = [functional.normalize(each, dim=1) for each in features]
        return torch.cat([share * u for share, u in zip(self.shares, unit, strict=True)], dim=1)
