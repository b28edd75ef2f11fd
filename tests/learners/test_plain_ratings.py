"""Item-kNN on items whose factors are known."""

from __future__ import annotations

import numpy as np
import pytest

from metaloop.core.black_box import Reasoned
from metaloop.core.errors import MetaloopError
from metaloop.core.inputs import InputFormat
from metaloop.learners.plain_ratings import FoldIn, ItemKnn
from metaloop.learners.spectral import Spectral

COLUMNS = ("mean", "log_count", "factor_0", "factor_1")
ITEMS = InputFormat("item", (4,), (0.0,) * 4, (1.0,) * 4, columns=COLUMNS)


def predicted(known: list[list[float]], ratings: list[float], asked: list[list[float]]) -> list:
    made = ItemKnn(damping=1.0, input_format=ITEMS).make(0)
    made.fit(np.array(known), np.array(ratings))
    return np.asarray(made.predict(np.array(asked)))[:, 0].tolist()


def test_what_was_said_counts_by_how_alike_items_are() -> None:
    known, ratings = [[3.0, 0, 2, 0], [2.0, 0, 0, 1]], [5.0, 1.0]
    bias = (2.0 - 1.0) / (2 + 3)
    half = np.sqrt(0.5)
    found = predicted(known, ratings, [[3.0, 0, 9, 0], [2.0, 0, 0, -1], [4.0, 0, half, half]])
    like_the_first = 3 + bias + (2 - bias) / (1 + 1)
    like_none = 2 + bias
    like_both = 4 + bias + (0.5 * (2 - bias) + 0.5 * (-1 - bias)) / (1 + 1)
    np.testing.assert_allclose(found, [like_the_first, like_none, like_both])


def test_an_item_that_nobody_has_rated_is_like_none() -> None:
    known = [[3.0, 0, 2, 0], [3.0, 0, 0, 0]]
    found = predicted(known, [5.0, 5.0], [[3.0, 0, 0, 0]])
    np.testing.assert_allclose(found, [3 + 4 / 5])


@pytest.mark.parametrize("kind", [ItemKnn, FoldIn])
def test_what_ratings_move_adds_up_to_what_is_predicted(kind: type[ItemKnn | FoldIn]) -> None:
    rng = np.random.default_rng(0)
    known, asked = rng.normal(size=(6, 4)), rng.normal(size=(9, 4))
    ratings = rng.normal(size=6)
    guest = kind(input_format=ITEMS).make(0)
    assert isinstance(guest, Reasoned)
    guest.fit(known, ratings)
    bias = (ratings - known[:, 0]).sum() / (6 + 3)
    moved = guest.contributions(asked)
    assert moved.shape == (9, 6)
    expected = np.asarray(guest.predict(asked))[:, 0] - asked[:, 0] - bias
    np.testing.assert_allclose(moved.sum(1), expected, atol=1e-12)


def test_what_a_user_had_adds_up_to_the_scores() -> None:
    rng = np.random.default_rng(0)
    known, asked = rng.normal(size=(6, 4)), rng.normal(size=(9, 4))
    guest = Spectral(input_format=ITEMS).make(0)
    assert isinstance(guest, Reasoned)
    guest.fit(known, np.ones(6))
    np.testing.assert_allclose(guest.contributions(asked).sum(1), guest.predict(asked)[:, 0])


def test_inputs_without_means_are_refused() -> None:
    vectors = InputFormat("vector", (2,), (0.0,) * 2, (1.0,) * 2)
    with pytest.raises(MetaloopError, match="ItemKnn needs items with their means"):
        ItemKnn(input_format=vectors).make(0)
