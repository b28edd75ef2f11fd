"""`Encoder`: a pretrained net of another library, frozen, that turns raw inputs into features.

What it is, and under which terms, is in its `EncoderCard`: results that were made with an encoder
name it, and a model file that needs one holds its name and the hash of its weights, never the
weights themselves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import final

from torch import Tensor

from metaloop.core.columns import Taken
from metaloop.core.leagues import EncoderCard

__all__ = ["Encoder", "EncoderCard", "JoinedEncoder"]


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
