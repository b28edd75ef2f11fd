"""TF-IDF of texts as dense vectors: what a text is about, by the words and letters in it.

    x[d] = sum of sign(t) * (1 + log count(t)) * idf(t)  over its terms t with h(t) mod D = d
    idf(t) = 1 + log((1 + n) / (1 + n_t)),  n_t of the n training texts contain t;  x <- x / |x|

Terms are hashed twice: into 2^18 buckets, of which the training texts say how common each is, and
from there with a sign into D features, which keeps inner products up to about 1 / sqrt(D). There is
no vocabulary: a word that no training text has is a rare one, not an unknown one. New classes are
mostly about such words; with a vocabulary of the training classes they would be lost.

Hashing: Weinberger et al. 2009, arXiv:0902.2206. IDF is that of scikit-learn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
import torch
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer
from torch import Tensor

_BUCKETS = 1 << 18
_AT_ONCE = 4096  # texts
_GRID = 1 << 16  # numbers are multiples of 1 / 65536: the same on every processor
_SPREAD = 0x9E3779B1  # odd, about 2^32 / golden ratio: neighbours come apart

IDF = "idf"
TERMS: Mapping[str, tuple[Mapping[str, object], ...]] = {
    "words": ({"analyzer": "word", "ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b"},),
    "characters": ({"analyzer": "char_wb", "ngram_range": (2, 5)},),
}
TERMS = {**TERMS, "words_and_characters": (*TERMS["words"], *TERMS["characters"])}


def fit(texts: Sequence[str], terms: str) -> dict[str, Tensor]:
    """Returns what is learned from training texts: `idf` float32 `[analysers, 2^18]`."""
    rows = []
    for vectoriser in _vectorisers(terms):
        found = np.zeros(_BUCKETS)
        for start in range(0, len(texts), _AT_ONCE):
            counts = vectoriser.transform(texts[start : start + _AT_ONCE])
            found += np.bincount(counts.indices, minlength=_BUCKETS)
        rows.append(1 + np.log((1 + len(texts)) / (1 + found)))
    return {IDF: torch.from_numpy(np.stack(rows).astype(np.float32))}


def expected(terms: str) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Returns the shape and the kind of numbers of what `fit` returns."""
    return {IDF: ((len(TERMS[terms]), _BUCKETS), torch.float32)}


def see(
    assets: Mapping[str, Tensor], texts: Sequence[str], terms: str, num_features: int
) -> Tensor:
    """Returns float32 `[N, num_features]` of unit length; zeros for a text without any term.

    Words and characters have the same say, whatever their numbers.
    """
    idf = assets[IDF].numpy().astype(np.float64)
    out = np.zeros((len(texts), num_features), np.float32)
    for start in range(0, len(texts), _AT_ONCE):
        some = texts[start : start + _AT_ONCE]
        total = np.zeros((len(some), num_features))
        for vectoriser, weights in zip(_vectorisers(terms), idf, strict=True):
            counts = vectoriser.transform(some).tocsr()
            counts.data = (1 + np.log(counts.data)) * weights[counts.indices]
            total += _of_unit_length((counts @ _sketch(num_features)).toarray())
        out[start : start + len(some)] = np.rint(_of_unit_length(total) * _GRID) / _GRID
    return torch.from_numpy(out)


def _vectorisers(terms: str) -> list[HashingVectorizer]:
    return [
        HashingVectorizer(
            n_features=_BUCKETS, alternate_sign=False, norm=None, dtype=np.float64, **options
        )
        for options in TERMS[terms]
    ]


@cache
def _sketch(num_features: int) -> sparse.csr_matrix:
    """Which feature a bucket goes to, and with which sign: `[2^18, num_features]`."""
    buckets = np.arange(_BUCKETS, dtype=np.uint64)
    spread = (buckets * np.uint64(_SPREAD)) & np.uint64(0xFFFFFFFF)
    feature = (spread >> np.uint64(8)) % np.uint64(num_features)
    sign = np.where(spread >> np.uint64(31) & np.uint64(1), 1.0, -1.0)
    return sparse.csr_matrix(
        (sign, (np.arange(_BUCKETS), feature.astype(np.int64))), (_BUCKETS, num_features)
    )


def _of_unit_length(rows: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norms > 0, norms, 1.0))
