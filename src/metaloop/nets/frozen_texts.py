"""Frozen nets on texts: how thousands of texts go through a net that sees tokens.

Texts of equally many tokens go through together, so nothing is ever padded: what comes back for a
text hangs on that text alone, whatever its company, and no time is spent on padding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor

from metaloop.core.columns import Taken
from metaloop.core.encoder import Encoder, EncoderCard
from metaloop.core.errors import DataError

_TOKENS_AT_ONCE = 2048  # in a batch: measured, larger ones are no faster on a core
_MOST_AT_ONCE = 64  # texts
MOST_CHARACTERS = 20_000  # of a text that are cut into tokens: no net sees as many

Tokens = Sequence[Sequence[int]]  # of each text
Net = Callable[[Tensor], Tensor]  # token ids int64 [N, length] to features [N, D]


@final
class TextEncoder(Encoder):
    """A net on tokens as an encoder.

    `tokens(texts)` are the ids of each text, cut to what the net can take; a text without any is
    all zeros. `net` returns features `[N, card.features]` for ids `[N, length]`.
    """

    def __init__(
        self, card: EncoderCard, tokens: Callable[[Sequence[str]], Tokens], net: Net
    ) -> None:
        self.card = card
        self._tokens = tokens
        self._net = net

    def encode(self, inputs: Taken) -> Tensor:
        """Returns what the net makes of the texts, by equal lengths: see `Encoder.encode`."""
        texts = checked_texts(inputs)
        tokens = self._tokens([text[:MOST_CHARACTERS] for text in texts])
        encoded = torch.zeros(len(texts), self.card.features)  # no inference tensor: it is used
        with torch.inference_mode():
            for rows in by_length([len(ids) for ids in tokens]):
                ids = torch.tensor([list(tokens[row]) for row in rows])
                encoded[rows] = self._features(ids)
        return encoded

    def _features(self, ids: Tensor) -> Tensor:
        features = self._net(ids)
        if features.shape != (len(ids), self.card.features):
            raise DataError(
                f"{self.card.name} returned {list(features.shape)} for {len(ids)} texts; "
                f"[{len(ids)}, {self.card.features}] was expected"
            )
        return features.float()


def by_length(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yields the rows of texts of equally many tokens, as many as go through at once.

    Texts without tokens are left out.
    """
    number = np.asarray(lengths, np.int64)
    for length in np.unique(number[number > 0]).tolist():
        rows = np.flatnonzero(number == length).tolist()
        at_once = max(1, min(_MOST_AT_ONCE, _TOKENS_AT_ONCE // length))
        for start in range(0, len(rows), at_once):
            yield rows[start : start + at_once]


def checked_texts(inputs: Taken) -> tuple[str, ...]:
    """Returns the inputs if they are texts; raises `DataError` otherwise."""
    if not isinstance(inputs, tuple) or not all(isinstance(text, str) for text in inputs):
        kind = "several fields" if isinstance(inputs, dict) else "numbers"
        raise DataError(f"the backbone takes texts, got {kind}; choose another with --backbone")
    return inputs
