"""`minilm+wordllama`: what a sentence is about beside which words it has, 640 features.

    x = [m, 0.6 w],  m and w of unit length: MiniLM's features and the mean of wordllama's rows

A net that was tuned on sentences forgets some of the words, and a table knows nothing of their
order. Beside each other they are as good as MiniLM alone or a little better, and a map that is
learned gains more from both: +1 point at one shot on validation domains of CLINC150, where it had
gained nothing from MiniLM (LOG.md). Both packages must be installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from metaloop.core.encoder import Encoder, EncoderCard, JoinedEncoder
from metaloop.domains.text.minilm import minilm
from metaloop.domains.text.wordllama import wordllama
from metaloop.modelfile.checkpoint import hash_of_weights

NAME = "minilm+wordllama"
_SHARE = 0.6  # of wordllama, beside 1 of MiniLM


@final
class Both(JoinedEncoder):
    """Two encoders of texts beside each other, each text of unit length in both."""

    def __init__(self, first: Encoder, second: Encoder) -> None:
        of = (first.card, second.card)
        bytes_of = "".join(card.weights for card in of).encode()
        weights = {"of both": torch.frombuffer(bytearray(bytes_of), dtype=torch.uint8)}
        self.card: EncoderCard = replace(
            first.card,
            name=NAME,
            features=sum(card.features for card in of),
            weights=hash_of_weights(weights),
            version=", ".join(card.version for card in of),
            licence=" and ".join(card.licence for card in of),
            knows=" and ".join(card.knows for card in of),
            citation="\n".join(card.citation for card in of),
        )
        self.pieces = (first, second)

    def join(self, features: Sequence[Tensor]) -> Tensor:
        """Returns float32 `[N, features]`; each text by itself."""
        first, second = (functional.normalize(each, dim=1) for each in features)
        return torch.cat([first, _SHARE * second], dim=1)


def minilm_and_wordllama() -> Both:
    """Returns both with their packages' files; raises as `minilm` and `wordllama` do."""
    return Both(minilm(), wordllama())
