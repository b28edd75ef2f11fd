"""Drawing without replacement: distinct, uniform, complete where there is too little, and quick."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from metaloop.tasks.sampling import draw_distinct


@given(
    counts=st.lists(st.integers(0, 300), min_size=1, max_size=20),
    num_draws=st.integers(1, 40),
    seed=st.integers(0, 2**32),
)
def test_draws_are_distinct_and_below_their_counts(
    counts: list[int], num_draws: int, seed: int
) -> None:
    drawn = draw_distinct(np.array(counts), num_draws, np.random.default_rng(seed))
    assert drawn.shape == (len(counts), num_draws)
    assert drawn.dtype == np.int64
    for count, row in zip(counts, drawn, strict=True):
        real = row[: min(count, num_draws)]
        assert ((real >= 0) & (real < count)).all()
        assert len(set(real)) == len(real)
        assert (row[len(real) :] == -1).all()


@pytest.mark.parametrize(
    ("count", "num_draws"), [(6, 2), (6, 6), (5, 9), (30, 3), (100, 3), (100, 12)]
)
def test_every_number_comes_equally_often_in_every_place(count: int, num_draws: int) -> None:
    drawn = draw_distinct(np.full(30_000, count), num_draws, np.random.default_rng(0))
    for place in range(min(count, num_draws)):
        assert chisquare(np.bincount(drawn[:, place], minlength=count)).pvalue > 1e-4


def test_every_ordered_pair_comes_equally_often() -> None:
    drawn = draw_distinct(np.full(40_000, 5), 2, np.random.default_rng(1))
    seen = np.bincount(drawn[:, 0] * 5 + drawn[:, 1], minlength=25).reshape(5, 5)
    assert not np.diag(seen).any()
    assert chisquare(seen[~np.eye(5, dtype=bool)]).pvalue > 1e-4


def test_shapes_of_counts_are_kept() -> None:
    counts = np.array([[3, 1, 70], [0, 5, 200]])
    drawn = draw_distinct(counts, 4, np.random.default_rng(0))
    assert drawn.shape == (2, 3, 4)
    assert ((drawn >= 0).sum(-1) == np.minimum(counts, 4)).all()


@pytest.mark.parametrize(("count", "num_draws"), [(130, 60), (80, 36), (1100, 500), (65, 32)])
def test_drawing_half_of_many_does_not_take_forever(count: int, num_draws: int) -> None:
    start = time.perf_counter()
    draw_distinct(np.full(4, count), num_draws, np.random.default_rng(0))
    assert time.perf_counter() - start < 1


def test_the_same_seed_draws_the_same_numbers() -> None:
    first, again = (draw_distinct(np.full(9, 500), 5, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
