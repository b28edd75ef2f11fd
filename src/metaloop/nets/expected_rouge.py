"""Which sentences together have the highest ROUGE-1 that can be expected, by greed.

    F(T) = 2 (A(T) - c(T) B(T)) / (n(T) + n_summary)
    A(T) = sum_s a_s                   words of s that the summary is expected to have
    B(T) = sum_{s < t} b_st            those that s and t are both counted for
    c(T) = max(0, 1 - n_summary / n(T))

A summary that is longer than what is taken has a word as often as its document insists on it, so
repeats count; of what is taken beyond its length they do not. Sentences are taken as long as they
fit and F rises, once by what F gains and once by the gain of words for each word, and the better of
both is kept, as is usual for such budgets. Lin and Bilmes 2010, Multi-document summarization via
budgeted maximization of submodular functions; pairs as in McDonald 2007, A study of global
inference algorithms in multi-document summarization.

Shapes: N documents, S sentences.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metaloop.core.extracts import NEVER

_FIRST = 1000.0  # the score of what is taken first
_ROUNDING = 1e-3  # words
_LEAST = 1e-6


@dataclass(frozen=True)
class Worth:
    """What sentences are expected to bring: `hits` (a) and `size` in stems `[N, S]`.

    `both` (b) `[N, S, S]`, `there` and `words` `[N, S]`; `room` `[N, 1]`: the words that fit;
    `summary` `[N, 1]`: the stems of a summary.
    """

    hits: Tensor
    both: Tensor
    size: Tensor
    there: Tensor
    words: Tensor
    room: Tensor
    summary: Tensor


def counted_twice(shared: Tensor, hits: Tensor) -> Tensor:
    """Returns b `[N, S, S]`: of the hits of two sentences, those that are likely the same words.

    `shared` `[N, S, S]` has what two sentences share of a likely summary, their own in the
    diagonal.
    """
    own = torch.diagonal(shared, dim1=-2, dim2=-1).clamp(min=_LEAST).unsqueeze(-1)
    of_one = (shared / own).clamp(0, 1) * hits.unsqueeze(-1)
    itself = torch.eye(hits.shape[-1], dtype=hits.dtype, device=hits.device)
    return torch.minimum(of_one, of_one.mT) * (1 - itself)


def by_expected_rouge(worth: Worth) -> Tensor:
    """Returns a score of every sentence `[N, S]`: the order in which they are taken.

    What is left out, although it might fit, has less than `NEVER`, in the order of what it is
    expected to have alone.
    """
    by_gain, reached = _by_greed(worth, by_word=False)
    by_word, other = _by_greed(worth, by_word=True)
    limited = torch.isfinite(worth.room)  # else the first so many are taken: each is to be the best
    return torch.where(limited & (other > reached), by_word, by_gain)


def _by_greed(worth: Worth, by_word: bool) -> tuple[Tensor, Tensor]:
    """The scores, and F of what is taken `[N, 1]`: what F gains most by, or hits for each word."""
    alone = worth.hits / (worth.size + worth.summary)  # at most 1
    scores = torch.where(worth.there > 0, (2 - alone) * NEVER, 3 * NEVER)
    free, twice = worth.there, torch.zeros_like(worth.hits)
    hits = words = repeats = kept = reached = torch.zeros_like(worth.room)
    left, going = worth.room + _ROUNDING, torch.ones_like(worth.room)
    for place in range(worth.hits.shape[-1]):
        more = words + worth.size
        gained = hits + worth.hits - _once(more, worth.summary) * (repeats + twice)
        value = 2 * gained / (more + worth.summary)
        fits = free * (worth.words <= left) * (worth.words > 0) * (value > reached)
        wanted = (gained - kept) / worth.size.clamp(min=1) if by_word else value
        best = torch.where(fits > 0, wanted, NEVER).argmax(-1, keepdim=True)
        taken = torch.zeros_like(free).scatter(-1, best, 1.0) * fits * going
        going = going * taken.sum(-1, keepdim=True)
        scores = torch.where(taken > 0, _FIRST - place, scores)
        reached = torch.where(going > 0, (taken * value).sum(-1, keepdim=True), reached)
        hits = hits + (taken * worth.hits).sum(-1, keepdim=True)
        repeats = repeats + (taken * twice).sum(-1, keepdim=True)
        words = words + (taken * worth.size).sum(-1, keepdim=True)
        kept = hits - _once(words, worth.summary) * repeats
        left = left - (taken * worth.words).sum(-1, keepdim=True)
        twice = twice + (worth.both * taken.unsqueeze(-2)).sum(-1)
        free = free * (1 - taken)
    return scores, reached


def _once(words: Tensor, summary: Tensor) -> Tensor:
    """c: how much of what is counted twice does not count, of extracts of so many words."""
    return (1 - summary / words.clamp(min=1)).clamp(min=0)
