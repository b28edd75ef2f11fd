"""ROUGE of sequences of numbers: F1 of shared words, of pairs, and of the longest common order.

    rouge-n   overlap of n-grams, each counted as often as both have it
    rouge-l   length of the longest common subsequence
    F1        2 P R / (P + R),   P = hits / those of the summary, R = hits / those of the reference

Words are whole numbers (stems by `domains/summaries/stems.py`); on the same words this is what
rouge-score says, which tests compare. Lin 2004, ROUGE: A package for automatic evaluation of
summaries. The subsequence is counted by bits, a row of the table at once: Hyyrö 2004.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

Words = Sequence[int]


def grams(words: Words, size: int) -> Counter[tuple[int, ...]]:
    """Returns how often each run of `size` words occurs."""
    return Counter(zip(*(words[start:] for start in range(size)), strict=False))


def f1(hits: int, of_summary: int, of_reference: int) -> float:
    """Returns the harmonic mean of precision and recall; 0 where there are no hits."""
    return 2 * hits / (of_summary + of_reference) if hits else 0.0


def shared(one: Mapping[tuple[int, ...], int], other: Mapping[tuple[int, ...], int]) -> int:
    """Returns the overlap of two counts."""
    small, large = (one, other) if len(one) <= len(other) else (other, one)
    return sum(min(count, large.get(gram, 0)) for gram, count in small.items())


def rouge_n(summary: Words, reference: Words, size: int) -> float:
    """Returns the F1 of runs of `size` words."""
    one, other = grams(summary, size), grams(reference, size)
    return f1(shared(one, other), sum(one.values()), sum(other.values()))


def rouge_l(summary: Words, reference: Words) -> float:
    """Returns the F1 of the longest common subsequence."""
    return f1(common(summary, reference), len(summary), len(reference))


def common(one: Words, other: Words) -> int:
    """Returns the length of the longest common subsequence."""
    places: dict[int, int] = {}
    for place, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << place
    whole = (1 << len(one)) - 1
    row = whole
    for word in other:
        hits = row & places.get(word, 0)
        row = ((row + hits) | (row - hits)) & whole
    return len(one) - row.bit_count()
