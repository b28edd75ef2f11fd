"""What is known of every sentence of a document before anything is learned: numbers by name.

    there          1 for a sentence, 0 for the places behind the last one
    with_0, ...    stems that a summary is likely to have (`kept.py`) in this sentence and in each
                   other one; its own at its own place
    size, wanted   stems of the sentence, and of the summary that is asked for, in tens
    by_words       1 where words are scarce, 2 where a share of them is, 0 where sentences are
    alike_0, ...   tf-idf of its words, hashed, in so many directions (singular vectors of training
                   sentences), of length 1: products of two tell how much they repeat each other
    first, ...     its place, its length, its signs
    centroid, textrank, like_first, like_all, novelty, coverage
                   how it stands to the other sentences of its document, by whole tf-idf
    by_lead, by_length, by_centroid, by_textrank
                   what plain methods say, standardised within the document: what one of them says
                   means the same in every source

and where sentences are seen through a frozen encoder of texts, too, by its vectors of them:

    space_centroid, space_first, space_before, space_after, space_all, space_most, space_novelty
                   cosines with the document's mean, its first sentence, the neighbours, the others
    by_space       the first of these, standardised within the document
    space_0, ...   principal directions of training sentences

Everything else is of the document alone, so a new one can be seen by itself. TextRank is that of
Mihalcea and Tarau (2004) on cosines, by its stationary vector.

Shapes: S sentences, B buckets of hashed words, L directions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from metaloop.core.extraction import PLACES
from metaloop.core.extracts import Length, Unit
from metaloop.domains.summaries.kept import Kept, expected
from metaloop.domains.summaries.stems import stems
from metaloop.nets.sentences import DIRECTIONS, TENS
from metaloop.tasks.readers.sentences import number_of_words

BUCKETS = 4096
SCARCE: tuple[Unit, ...] = ("sentences", "words", "ratio")  # what `by_words` tells
_DAMPING, _ROUNDS = 0.85, 30  # of TextRank
_SIGNS = ("question", "exclamation", "digits", "capitals", "quotes", "brackets", "speaker")
PLAIN = ("by_lead", "by_length", "by_centroid", "by_textrank")
NUMBERS = (
    *("first", "second", "third", "early", "place", "from_end", "last", "count"),
    *("words", "relative_words", "longest", *_SIGNS),
    *("centroid", "textrank", "like_first", "like_before", "like_all", "like_most"),
    *("novelty", "coverage", "rare", "common", "kept", "kept_share", "kept_f1", "stems"),
    *PLAIN,
)
COLUMNS = (
    "there",
    *(f"alike_{place}" for place in range(DIRECTIONS)),
    *(f"with_{place}" for place in range(PLACES)),
    *("size", "wanted", "by_words"),
    *NUMBERS,
)
SPACE_DIRECTIONS = 8
IN_SPACE = (
    *("space_centroid", "space_first", "space_before", "space_after", "space_all", "space_most"),
    *("space_novelty", "by_space"),
    *(f"space_{place}" for place in range(SPACE_DIRECTIONS)),
)
_PERSON = re.compile(r"^#?\w[\w .'-]{0,30}#?:\s")


@dataclass(frozen=True, eq=False)
class Terms:
    """Weights `[B]` of hashed words, and the directions `[B, L]` of training sentences.

    `kept`: which words summaries are likely to have.
    """

    weights: np.ndarray
    directions: np.ndarray
    kept: Kept


def counted(sentences: list[str], latin: bool) -> sparse.csr_matrix:
    """Returns how often each hashed word is in each sentence, `[S, B]`."""
    rows, columns = [], []
    for row, sentence in enumerate(sentences):
        found = stems(sentence, latin)
        rows += [row] * len(found)
        columns += [word % BUCKETS for word in found]
    shape = (len(sentences), BUCKETS)
    return sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape)


def fitted_terms(counts: sparse.csr_matrix, kept: Kept) -> Terms:
    """Returns the terms of training sentences `[N, B]`: idf over them, and singular vectors."""
    known = np.asarray((counts > 0).sum(0)).ravel()
    weights = np.log((1 + counts.shape[0]) / (1 + known)).astype(np.float32) + 0.1
    seen = _unit(_weighted(counts, weights))
    width = min(DIRECTIONS, min(seen.shape) - 1)
    directions = np.zeros((BUCKETS, DIRECTIONS), np.float32)
    if width >= 1:
        start = np.full(min(seen.shape), 1.0)
        found = sparse.linalg.svds(seen.astype(np.float64), width, v0=start)[2].T
        sign = np.sign(found[np.abs(found).argmax(0), np.arange(width)])
        directions[:, :width] = (found * sign)[:, ::-1]
    return Terms(weights, directions, kept)


def described(
    sentences: list[str],
    terms: Terms,
    latin: bool,
    own: Sequence[Sequence[int]] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns what is known of these sentences of one document, float32 `[columns, S]`.

    Columns `with_...` are not filled in; what belongs there is second, `[S, S]`. Nor are `wanted`
    and `by_words`, which hang on the length that is asked for (`asked_for`). `own`: the stems of
    the document's own summaries, where it is one of those that `terms` learned from.
    """
    counts = counted(sentences, latin)
    found = [stems(each, latin) for each in sentences]
    pairs = expected(found, terms.kept, own)
    size = np.array([len(each) for each in found], np.float64)
    words = np.array([number_of_words(each) for each in sentences], np.float64)
    alike = np.asarray(counts.multiply(_damped(counts, terms.weights)) @ terms.directions)
    alike /= np.maximum(np.linalg.norm(alike, axis=1, keepdims=True), 1e-6)
    standing = _standing(counts, terms, words)
    told = np.concatenate(
        [
            np.ones((1, len(sentences))),
            alike.T,
            np.zeros((PLACES, len(sentences))),
            size[None] / TENS,
            np.zeros((2, len(sentences))),
            _places(len(sentences)),
            _sizes(words),
            np.array([_signs(each) for each in sentences], np.float64).T,
            standing,
            _kept(np.diagonal(pairs), size, terms.kept.usual),
            _plain(words, standing),
        ]
    )
    return told.astype(np.float32), pairs


def asked_for(inputs: np.ndarray, total: np.ndarray, length: Length, usual: float) -> np.ndarray:
    """Returns documents `[N, columns, S]` as they are seen where this length is asked for.

    `total` `[N]`: the words of each document. `usual`: the stems of a usual summary, which are
    wanted where sentences are counted. Whatever was asked for before is overwritten.
    """
    wanted = [usual if length.unit == "sentences" else length.most_words(int(n)) for n in total]
    most = np.maximum(np.array(wanted, np.float64), 1.0)
    there = inputs[:, COLUMNS.index("there")]
    found: np.ndarray = inputs.copy()
    found[:, COLUMNS.index("wanted")] = there * (most / TENS)[:, None]
    found[:, COLUMNS.index("by_words")] = there * SCARCE.index(length.unit)
    return found


def _kept(hits: np.ndarray, size: np.ndarray, usual: float) -> np.ndarray:
    least = np.maximum(size, 1)
    return np.stack([hits, hits / least, 2 * hits / (least + usual), np.log1p(size)])


def _plain(words: np.ndarray, standing: np.ndarray) -> np.ndarray:
    """What plain methods go by, of mean 0 and deviation 1 in the document, or all 0."""
    told = np.stack([1.0 / (1 + np.arange(len(words))), np.log1p(words), standing[0], standing[1]])
    centred = told - told.mean(1, keepdims=True)
    return np.asarray(centred / np.maximum(told.std(1, keepdims=True), 1e-6))


def _places(number: int) -> np.ndarray:
    place = np.arange(number, dtype=np.float64)
    return np.stack(
        [
            place == 0,
            place == 1,
            place == 2,
            1 / (1 + place),
            place / max(1, number - 1),
            1 / (number - place),
            place == number - 1,
            np.full(number, np.log(number)),
        ]
    ).astype(np.float64)


def _sizes(words: np.ndarray) -> np.ndarray:
    mean = max(float(words.mean()), 1.0)
    return np.stack([np.log1p(words), np.log((1 + words) / (1 + mean)), words == words.max()])


def _signs(sentence: str) -> list[float]:
    runs = sentence.split() or [""]
    return [
        float(sentence.rstrip("\"'”’ ").endswith("?")),
        float("!" in sentence),
        sum(any(c.isdigit() for c in run) for run in runs) / len(runs),
        sum(run[:1].isupper() for run in runs[1:]) / len(runs),
        float(any(sign in sentence for sign in '"“”«»')),
        float("(" in sentence),
        float(_PERSON.match(sentence) is not None),
    ]


def _standing(counts: sparse.csr_matrix, terms: Terms, words: np.ndarray) -> np.ndarray:
    """How sentences stand to the others, by cosines of tf-idf weighted within the document."""
    number = counts.shape[0]
    seen = _unit(_weighted(counts, terms.weights))
    total = _unit(sparse.csr_matrix(np.asarray(_weighted(counts, terms.weights).sum(0))))
    alike = np.asarray((seen @ seen.T).todense(), np.float64)
    np.fill_diagonal(alike, 0.0)
    before = np.tril(alike, -1).max(1) if number > 1 else np.zeros(number)
    whole = np.asarray(counts.sum(0)).ravel()
    lengths = np.maximum(np.asarray(counts.sum(1)).ravel(), 1)
    there = counts.copy()
    there.data[:] = 1
    common = np.asarray(there @ (whole / max(1.0, whole.sum()))).ravel()
    return np.stack(
        [
            np.asarray((seen @ total.T).todense()).ravel(),
            textrank(alike),
            np.where(np.arange(number) == 0, 1.0, alike[0]),
            np.concatenate([[0.0], np.diagonal(alike, 1)]),
            alike.sum(1) / max(1, number - 1),
            alike.max(1),
            1 - before,
            common,
            np.asarray(counts @ terms.weights).ravel() / lengths,
            common / np.sqrt(lengths),
        ]
    )


@dataclass(frozen=True, eq=False)
class Space:
    """The mean `[D]` of an encoder's vectors of training sentences, and directions `[D, L]`."""

    mean: np.ndarray
    directions: np.ndarray


def fitted_space(vectors: np.ndarray) -> Space:
    """Returns the principal directions of training sentences `[N, D]`, scaled to a deviation of 1.

    Where there are fewer than `SPACE_DIRECTIONS`, the last ones are nothing.
    """
    seen = _of_length_1(vectors)
    mean = seen.mean(0)
    spread = (seen - mean).T @ (seen - mean) / max(1, len(seen))
    values, found = np.linalg.eigh(spread)
    number = min(SPACE_DIRECTIONS, int((values > 1e-9).sum()))
    directions = np.zeros((vectors.shape[1], SPACE_DIRECTIONS))
    if number:
        best = found[:, ::-1][:, :number]
        best = best * np.sign(best[np.abs(best).argmax(0), np.arange(number)])
        directions[:, :number] = best / np.sqrt(values[::-1][:number])
    return Space(mean.astype(np.float32), directions.astype(np.float32))


def in_space(vectors: np.ndarray, space: Space) -> np.ndarray:
    """Returns what an encoder's vectors `[S, D]` say of a document's sentences, `[IN_SPACE, S]`."""
    seen = _of_length_1(vectors)
    number = len(seen)
    alike = seen @ seen.T
    np.fill_diagonal(alike, 0.0)
    centroid = seen @ _of_length_1(seen.mean(0, keepdims=True))[0]
    beside = np.diagonal(alike, 1)
    before = np.tril(alike, -1).max(1) if number > 1 else np.zeros(number)
    told = np.stack(
        [
            centroid,
            np.where(np.arange(number) == 0, 1.0, alike[0]),
            np.concatenate([[0.0], beside]),
            np.concatenate([beside, [0.0]]),
            alike.sum(1) / max(1, number - 1),
            alike.max(1),
            1 - before,
            (centroid - centroid.mean()) / max(float(centroid.std()), 1e-6),
        ]
    )
    return np.concatenate([told, ((seen - space.mean) @ space.directions).T]).astype(np.float32)


def _of_length_1(vectors: np.ndarray) -> np.ndarray:
    wide = vectors.astype(np.float64)
    found: np.ndarray = wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-9)
    return found


def textrank(alike: np.ndarray) -> np.ndarray:
    """Returns the stationary weight of each sentence, 1 on average; `alike` has a zero diagonal."""
    number = len(alike)
    out = alike.sum(1, keepdims=True)
    step = np.divide(alike, out, out=np.full_like(alike, 1 / number), where=out > 0)
    rank = np.full(number, 1.0)
    for _ in range(_ROUNDS):
        rank = (1 - _DAMPING) + _DAMPING * rank @ step
    return rank


def _damped(counts: sparse.csr_matrix, weights: np.ndarray) -> sparse.csr_matrix:
    """Factors that turn counts into (1 + log count) times weights."""
    factors = counts.copy()
    factors.data = (1 + np.log(counts.data)) / counts.data
    return factors.multiply(weights[None]).tocsr()


def _weighted(counts: sparse.csr_matrix, weights: np.ndarray) -> sparse.csr_matrix:
    return counts.multiply(_damped(counts, weights)).tocsr()


def _unit(rows: sparse.csr_matrix) -> sparse.csr_matrix:
    norms = np.sqrt(np.asarray(rows.multiply(rows).sum(1)).ravel())
    return sparse.diags(1 / np.maximum(norms, 1e-9)) @ rows
