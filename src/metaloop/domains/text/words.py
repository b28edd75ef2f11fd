"""Texts as sequences of words, for nets that learn what words mean and in which order they stand.

A word is known by three numbers, hashed into one table: itself, its beginning and its end, so that
a word that no training text has is not unknown where it is built like others. Its weight says how
rare it is in the training texts:

    x[0..2, t] = h(word), h(first four letters), h(last three letters)   of the t-th word
    x[3, t]    = idf(word) / idf of a word that no training text has, 0 behind the end of the text

The first forty words count. Hashed parts of words: Bojanowski et al. 2017, arXiv:1607.04606.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice

import numpy as np
import torch
from sklearn.utils import murmurhash3_32
from torch import Tensor

from metaloop.core.spec import Shape

BUCKETS = 1 << 14  # of the table; nets that read such inputs have as many rows
PARTS = 3  # of a word; behind them stands its weight
WORDS = 40  # of a text, the first ones
SHAPE: Shape = (PARTS + 1, WORDS)

IDF = "idf"
_WORD = re.compile(r"\w+|[^\w\s]")
_BEGINNING, _END = 4, 3  # letters


def fit(texts: Sequence[str]) -> dict[str, Tensor]:
    """Returns what is learned from training texts: `idf` float32 `[2^14]`, 1 for unseen words."""
    found = np.zeros(BUCKETS)
    for text in texts:
        found[list({_parts(word)[0] for word in _words(text)})] += 1
    idf = 1 + np.log((1 + len(texts)) / (1 + found))
    return {IDF: torch.from_numpy((idf / (1 + np.log(1 + len(texts)))).astype(np.float32))}


def expected() -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Returns the shape and the kind of numbers of what `fit` returns."""
    return {IDF: ((BUCKETS,), torch.float32)}


def see(assets: Mapping[str, Tensor], texts: Sequence[str]) -> Tensor:
    """Returns float32 `[N, 4, 40]`: the numbers of the parts of words, and the words' weights."""
    idf = assets[IDF].numpy()
    out = np.zeros((len(texts), *SHAPE), np.float32)
    for row, text in zip(out, texts, strict=True):
        parts = [_parts(word) for word in islice(_words(text), WORDS)]
        if parts:
            numbers = np.array(parts).T
            row[:PARTS, : len(parts)] = numbers
            row[PARTS, : len(parts)] = idf[numbers[0]]
    return torch.from_numpy(out)


def _words(text: str) -> Iterator[str]:
    """Words and signs, lower case, one by one: of a long text only the first are asked for."""
    return (found.group() for found in _WORD.finditer(text.lower()))


@lru_cache(maxsize=1 << 16)
def _parts(word: str) -> tuple[int, int, int]:
    """The rows of a word, of its beginning and of its end, each hashed with a seed of its own."""
    parts = (word, word[:_BEGINNING], word[-_END:])
    return tuple(  # type: ignore[return-value]
        int(murmurhash3_32(part, seed=place, positive=True)) % BUCKETS
        for place, part in enumerate(parts)
    )
