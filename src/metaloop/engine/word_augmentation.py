"""Random changes of texts as words that mostly keep what is meant: left out, exchanged.

Texts are floats `[N, 4, words]` as `domains/text/words.py` makes them: in the last row are the
words' weights, 0 where there is none. After Wei and Zou 2019, arXiv:1901.11196.
"""

from __future__ import annotations

import torch
from torch import Tensor


def words(texts: Tensor, rng: torch.Generator, drop: float = 0.15, swap: float = 0.1) -> Tensor:
    """Returns texts with words left out and neighbours exchanged at random, each on its own.

    `drop`: the share of words whose weight becomes 0; a text that would have none left keeps all.
    `swap`: the share of words that go behind the next one.
    """
    number, _, length = texts.shape
    draws = torch.rand(2, number, length, generator=rng, device=texts.device)
    there = texts[:, -1] > 0
    kept = there & (draws[0] >= drop)
    kept = torch.where(kept.any(-1, keepdim=True), kept, there)
    changed = torch.cat([texts[:, :-1], (texts[:, -1] * kept).unsqueeze(1)], dim=1)
    later = torch.zeros_like(there)
    later[:, :-1] = there[:, 1:] & (draws[1, :, :-1] < swap)  # behind the last word is nothing
    place = torch.arange(length, device=texts.device) + 1.5 * later
    order = place.argsort(dim=-1, stable=True)
    return changed.gather(-1, order.unsqueeze(1).expand_as(changed))
