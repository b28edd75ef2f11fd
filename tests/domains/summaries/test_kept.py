"""Which words a summary is likely to have: what two sentences share of it, at any size."""

from __future__ import annotations

import tracemalloc

import numpy as np

from metaloop.domains.summaries.kept import expected, fitted_kept


def test_two_sentences_share_what_both_have_by_itself() -> None:
    rng = np.random.default_rng(0)
    documents = [[rng.integers(0, 60, 9).tolist() for _ in range(6)] for _ in range(20)]
    kept = fitted_kept(documents, [[document[0]] for document in documents])
    sentences = [[1, 2, 2, 3], [3, 4], [], [2, 3, 5]]
    pairs = expected(sentences, kept)
    assert pairs.shape == (4, 4) and (pairs == pairs.T).all() and not pairs[2].any()
    # 3 is all that the second sentence shares with the first, and with the last
    assert pairs[0, 1] == pairs[1, 3] > 0
    # what the first and the last share is 2 and 3
    assert pairs[0, 1] < pairs[0, 3] < min(pairs[0, 0], pairs[3, 3])


def test_a_document_of_many_words_takes_memory_for_those_it_has() -> None:
    sentences = [list(range(row * 100, row * 100 + 101)) for row in range(300)]
    kept = fitted_kept([[[1, 2], [2, 3]]], [[[1]]])
    tracemalloc.start()
    expected(sentences, kept)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 48 * 2**20  # 300 sentences by 30,000 words would be 144 MB
