"""Which words of a document its summary is likely to have: a logistic regression on each stem.

    P(w in summary | w in document) = sigmoid(v . g(w, document)),
    g: log odds of w over training documents, how often and how early it is there, how rare it is

The odds of a stem are smoothed shares of the training documents with it whose summaries have it,
too. A training document is seen without itself, else its own summary would be in what it is told
by. Shares are kept by hash, so that a new word has those of the words that share its place, mostly
none. Words in the sense of `stems.py`; Nenkova and Vanderwende 2005, The impact of frequency on
summarization.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from metaloop.core.rouge import Words

PLACES_OF_WORDS = 8192
FACTS = 14  # of a stem in a document, and a constant
_SMOOTHING = 5.0  # documents
_SHARPNESS = 1.5  # of probabilities: chosen on dialogues (LOG.md)
_RIDGE = 1.0
_ROUNDS = 25  # of Newton's method
_MOST_STEMS = 200_000


@dataclass(frozen=True, eq=False)
class Kept:
    """Hits and counts of hashed stems `[PLACES_OF_WORDS, 2]`, the regression's weights `[FACTS]`.

    `documents`: how many were learned from, `usual`: stems of their summaries on average.
    """

    counts: np.ndarray
    weights: np.ndarray
    documents: float
    usual: float


def fitted_kept(
    documents: Sequence[Sequence[Words]], references: Sequence[Sequence[Words]]
) -> Kept:
    """Returns what training documents, sentences of stems, and their summaries tell."""
    counts = np.zeros((PLACES_OF_WORDS, 2), np.float64)
    for sentences, wanted in zip(documents, references, strict=True):
        for word, hit in _hits(sentences, wanted).items():
            counts[word % PLACES_OF_WORDS] += (hit, 1)
    lengths = [len(each) for wanted in references for each in wanted]
    usual = float(np.mean(lengths)) if lengths else 1.0
    start = Kept(counts, np.zeros(FACTS), float(len(documents)), max(usual, 1.0))
    rows, answers, number = [], [], 0
    for sentences, wanted in zip(documents, references, strict=True):
        words, facts = _facts(sentences, start, wanted)
        hits = _hits(sentences, wanted)
        rows.append(facts)
        answers.append(np.array([hits[word] for word in words]))
        number += len(words)
        if number > _MOST_STEMS:
            break
    weights = _regressed(np.concatenate(rows), np.concatenate(answers)) if rows else start.weights
    return Kept(counts, weights, start.documents, start.usual)


def expected(
    sentences: Sequence[Words], kept: Kept, own: Sequence[Words] | None = None
) -> np.ndarray:
    """Returns the stems `[S, S]` that each pair of sentences shares and a summary likely has.

    On the diagonal are those of a sentence by itself. `own`: the summaries of a document that was
    learned from, whose part in that is taken out.
    """
    words, facts = _facts(sentences, kept, own)
    chance = _sigmoid(facts @ kept.weights) ** _SHARPNESS
    place = {word: index for index, word in enumerate(words)}
    rows = [sorted({place[word] for word in sentence}) for sentence in sentences]
    ends = np.cumsum([0, *map(len, rows)])
    columns = np.array([each for row in rows for each in row], np.int64)
    there = sparse.csr_matrix(
        (np.ones(len(columns)), columns, ends), shape=(len(sentences), len(words))
    )
    found: np.ndarray = (there.multiply(chance) @ there.T).toarray()
    return found


def _hits(sentences: Sequence[Words], references: Sequence[Words]) -> dict[int, float]:
    wanted = [set(each) for each in references]
    words = {word for sentence in sentences for word in sentence}
    return {word: sum(word in each for each in wanted) / max(1, len(wanted)) for word in words}


def _facts(
    sentences: Sequence[Words], kept: Kept, own: Sequence[Words] | None
) -> tuple[list[int], np.ndarray]:
    """The stems of a document and what is known of each, `[stems, FACTS]`."""
    often: Counter[int] = Counter(word for each in sentences for word in each)
    within: Counter[int] = Counter(word for each in sentences for word in set(each))
    first: dict[int, int] = {}
    for place, sentence in enumerate(sentences):
        for word in sentence:
            first.setdefault(word, place)
    words = sorted(often)
    known = kept.counts[np.array([word % PLACES_OF_WORDS for word in words], np.int64)]
    if own is not None:
        hits = _hits(sentences, own)
        known = known - np.array([(hits[word], 1) for word in words]).reshape(-1, 2)
    base = kept.counts[:, 0].sum() / max(kept.counts[:, 1].sum(), 1.0)
    share = (np.maximum(known[:, 0], 0) + _SMOOTHING * base) / (known[:, 1] + _SMOOTHING)
    share = np.clip(share, 1e-3, 1 - 1e-3)
    odds = np.log(share / (1 - share))
    times = np.log1p(np.array([often[word] for word in words], np.float64))
    spread = np.log1p(np.array([within[word] for word in words], np.float64))
    start = np.array([first[word] for word in words], np.float64)
    number = max(1, len(sentences))
    rare = np.log((1 + kept.documents) / (1 + np.maximum(known[:, 1], 0)))
    told = np.stack(
        [
            *(odds, times, spread, np.expm1(spread) / number, start == 0),
            *(start == number - 1, start / max(1, number - 1), 1 / (1 + start), rare / 4),
            *(odds * spread, odds * np.log(number), odds / (1 + start), spread < 0.7),
            np.ones(len(words)),
        ],
        1,
    )
    return words, told.astype(np.float64)


def _regressed(facts: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """The weights of a logistic regression on shares, by Newton's method."""
    scale = np.maximum(facts.std(0), 1e-6)
    scale[-1] = 1.0
    rows, weights = facts / scale, np.zeros(facts.shape[1])
    ridge = _RIDGE * np.eye(rows.shape[1])
    ridge[-1, -1] = 1e-6
    for _ in range(_ROUNDS):
        chance = _sigmoid(rows @ weights)
        slope = rows.T @ (answers - chance) - ridge @ weights
        bend = (rows * (chance * (1 - chance))[:, None]).T @ rows + ridge
        weights = weights + np.linalg.solve(bend, slope)
    found: np.ndarray = weights / scale
    return found


def _sigmoid(values: np.ndarray) -> np.ndarray:
    found: np.ndarray = 1 / (1 + np.exp(-np.clip(values, -30, 30)))
    return found
