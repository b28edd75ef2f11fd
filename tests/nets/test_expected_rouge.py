"""Sentences taken by the ROUGE-1 that can be expected: within the room, near the best there is."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from metaloop.core.extracts import NEVER
from metaloop.nets.expected_rouge import Worth, by_expected_rouge, counted_twice

ROOMS = [(20.0, 60.0), (150.0, 60.0), (40.0, float("inf"))]


def made(summary: float, room: float, documents: int = 8, sentences: int = 8) -> Worth:
    """Documents of sentences of 4 to 39 words that share up to a third of their hits."""
    rng = torch.Generator().manual_seed(0)
    size = torch.randint(4, 40, (documents, sentences), generator=rng).float()
    hits = size * torch.rand(documents, sentences, generator=rng)
    share = 0.3 * torch.rand(documents, sentences, sentences, generator=rng)
    shared = (share + share.mT) / 2 * hits.unsqueeze(-1).sqrt() * hits.unsqueeze(-2).sqrt()
    shared = shared * (1 - torch.eye(sentences)) + torch.diag_embed(hits)
    there = torch.ones_like(hits)
    there[:, -1] = 0.0
    hits = hits * there
    room_N = torch.full((documents, 1), room)
    summary_N = torch.full((documents, 1), summary)
    both = counted_twice(shared, hits)
    return Worth(hits, both, size * there, there, size * there, room_N, summary_N)


def expected(worth: Worth, document: int, taken: list[int], summary: float) -> float:
    """F of the page's formula, by hand."""
    hits = float(worth.hits[document, taken].sum())
    twice = float(worth.both[document][taken][:, taken].sum()) / 2
    words = float(worth.size[document, taken].sum())
    return 2 * (hits - max(0.0, 1 - summary / max(words, 1.0)) * twice) / (words + summary)


def taken_of(scores: Tensor) -> list[int]:
    return (scores > NEVER).nonzero().flatten().tolist()


@pytest.mark.parametrize(("summary", "room"), ROOMS)
def test_what_is_taken_fits_and_is_nearly_the_best_of_all_sets(summary: float, room: float) -> None:
    worth = made(summary, room)
    scores = by_expected_rouge(worth)
    ratios = []
    for document in range(len(scores)):
        taken = taken_of(scores[document])
        assert taken and 7 not in taken  # there is no sentence at the last place
        assert float(worth.words[document, taken].sum()) <= room
        sets = [
            list(each)
            for number in range(1, 8)
            for each in itertools.combinations(range(7), number)
            if float(worth.words[document, list(each)].sum()) <= room
        ]
        best = max(expected(worth, document, each, summary) for each in sets)
        ratios.append(expected(worth, document, taken, summary) / best)
    assert min(ratios) > 0.85 and sum(ratios) / len(ratios) > 0.97


def test_tasks_that_are_batched_have_the_same_scores() -> None:
    worth = made(20.0, 60.0)
    parts = [each.unflatten(0, (2, 4)) for each in vars(worth).values()]
    batched = torch.func.vmap(lambda *each: by_expected_rouge(Worth(*each)))(*parts)
    assert torch.equal(batched.flatten(0, 1), by_expected_rouge(worth))


@pytest.mark.parametrize(("summary", "second"), [(200.0, 1), (20.0, 2)])
def test_a_repeat_counts_where_summaries_are_long_and_not_where_they_are_short(
    summary: float, second: int
) -> None:
    """The second sentence is the first one again, the third is worth a little less."""
    hits, size = torch.tensor([[15.0, 15.0, 13.0]]), torch.full((1, 3), 20.0)
    shared = torch.tensor([[[15.0, 15.0, 0.0], [15.0, 15.0, 0.0], [0.0, 0.0, 13.0]]])
    there, room = torch.ones(1, 3), torch.full((1, 1), 40.0)
    summaries = torch.full((1, 1), summary)
    both = counted_twice(shared, hits)
    assert both[0].tolist() == [[0, 15, 0], [15, 0, 0], [0, 0, 0]]
    scores = by_expected_rouge(Worth(hits, both, size, there, size, room, summaries))[0]
    assert taken_of(scores) == [0, second]


def test_where_nothing_fits_the_best_sentence_alone_is_first() -> None:
    worth = made(20.0, 2.0)
    scores = by_expected_rouge(worth)
    alone = worth.hits / (worth.size + 20.0)
    assert not (scores > NEVER).any()
    assert torch.equal(scores.argmax(-1), torch.where(worth.there > 0, alone, -1.0).argmax(-1))
