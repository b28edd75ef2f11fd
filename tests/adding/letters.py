"""How often each letter is in a text: a view to be added by a test."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from metaloop.core.columns import Taken

ALPHABET = "abcdefghijklmnopqrstuvwxyz"
EXPECTED = {"rarity": ((len(ALPHABET),), torch.float32)}


def counts(texts: Taken) -> Tensor:
    """Returns how often each letter is in each text, `[N, 26]`."""
    return torch.tensor([[float(text.lower().count(a)) for a in ALPHABET] for text in texts])


def fit(texts: Taken) -> dict[str, Tensor]:
    """Returns how rare letters are in training texts."""
    return {"rarity": 1 / (1 + counts(texts).mean(0))}


def see(assets: Mapping[str, Tensor], texts: Taken, num_features: int) -> Tensor:
    """Returns the counts, those of rare letters the larger ones."""
    return counts(texts) * assets["rarity"]
