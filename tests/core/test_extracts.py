"""Which whole sentences fit into a length."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaloop.core.errors import MetaloopError
from metaloop.core.extracts import NEVER, Length, asked_length, chosen

DOCUMENTS = st.lists(st.tuples(st.floats(-5, 5), st.integers(1, 40)), min_size=1, max_size=30)


@given(DOCUMENTS, st.integers(1, 100))
def test_an_extract_is_in_order_and_no_longer_than_asked_and_nothing_more_fits(
    told: list[tuple[float, int]], most: int
) -> None:
    scores, words = np.array([t[0] for t in told]), np.array([t[1] for t in told])
    taken = chosen(scores, words, Length("words", most))
    assert taken == sorted(set(taken))
    used = int(words[taken].sum())
    assert used <= most
    left = np.delete(words, taken)
    assert not len(left) or left.min() > most - used


def test_sentences_of_highest_scores_are_taken() -> None:
    scores, words = np.array([0.1, 0.9, 0.5]), np.array([3, 3, 3])
    assert chosen(scores, words, Length("sentences", 2)) == [1, 2]
    assert chosen(scores, words, Length("ratio", 0.4)) == [1]


def test_what_is_never_to_be_taken_leaves_room_unless_nothing_else_is_there() -> None:
    words = np.array([3, 3])
    assert chosen(np.array([1.0, NEVER]), words, Length("sentences", 2)) == [0]
    assert chosen(np.array([2 * NEVER, NEVER]), words, Length("sentences", 1)) == [1]


@pytest.mark.parametrize(
    ("unit", "amount", "said"),
    [
        ("words", 0, "from 1 to"),
        ("sentences", 1.5, "whole number"),
        ("ratio", 1.2, "above 0 and at most 1"),
    ],
)
def test_a_length_that_is_none_is_refused(unit: str, amount: float, said: str) -> None:
    with pytest.raises(MetaloopError, match=said):
        Length(unit, amount)  # type: ignore[arg-type]


def test_two_lengths_are_refused() -> None:
    with pytest.raises(MetaloopError, match="--words and --ratio"):
        asked_length(60, None, 0.4)
