"""Packed numbers come back bit for bit, and damaged ones are refused at a bounded cost."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from metaloop.core.packing import packed, scores_from_json, scores_to_json, unpacked
from metaloop.core.query_scores import QueryScores
from metaloop.core.statistics import EpisodeScores

SHARES = np.random.default_rng(0).integers(0, 16, (400, 5)) / 15


@given(arrays(np.float64, st.tuples(st.integers(0, 4), st.integers(0, 3))))
@settings(max_examples=30, deadline=None)
def test_numbers_come_back_bit_for_bit(array: np.ndarray) -> None:
    assert unpacked(packed(array), array.shape).tobytes() == array.tobytes()


def test_shares_of_a_few_queries_take_about_a_byte_each() -> None:
    assert len(packed(SHARES)) < 1.25 * SHARES.size  # instead of eight


def test_scores_come_back_from_json_with_their_classes() -> None:
    units = np.random.default_rng(1).integers(-1, 12, (400, 5))
    scores = EpisodeScores(SHARES.mean(1), np.where(units < 0, np.nan, SHARES), units)
    read = scores_from_json(json.loads(json.dumps(scores_to_json(scores))))
    for name in ("values", "unit_values", "units"):
        np.testing.assert_array_equal(getattr(read, name), getattr(scores, name))
    assert read.queries is None


def test_scores_of_queries_come_back_from_json() -> None:
    examples = np.random.default_rng(1).integers(-1, 12, (400, 5))
    own = np.zeros((400, 1))
    queries = QueryScores(np.where(examples < 0, np.nan, SHARES), examples)
    scores = EpisodeScores(SHARES.mean(1), own, own.astype(np.int64), queries)
    read = scores_from_json(json.loads(json.dumps(scores_to_json(scores)))).queries
    assert read is not None
    np.testing.assert_array_equal(read.values, queries.values)
    np.testing.assert_array_equal(read.examples, queries.examples)


@pytest.mark.parametrize(
    ("content", "shape"),
    [
        (b"nothing", (1,)),
        (packed(SHARES), (400, 4)),
        (packed(SHARES), (400, 6)),
        (packed(SHARES)[:50], (400, 5)),
        (packed(SHARES), (10**12, 5)),
        (packed(SHARES), (-1, 5)),
        (zlib.compress(bytes(1 << 24)), (3,)),
    ],
)
def test_bytes_that_hold_other_numbers_are_refused(content: bytes, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"packed numbers|too large"):
        unpacked(content, shape)
