"""Ranges: draws and steps stay inside, a step always changes something, one generator decides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaloop.catalogue.ranges import Among, Between, Range, Widths
from metaloop.catalogue.space import AUGMENTATION_SPACE, NET_SPACE, PLAN_SPACE

EVERY: dict[str, Range] = {
    **{f"plan {name} {k}": values for k, (name, values, _) in enumerate(PLAN_SPACE)},
    **{
        f"{a} {o}": values for a, space in AUGMENTATION_SPACE.items() for o, values in space.items()
    },
    **{f"{n} {o}": values for n, space in NET_SPACE.items() for o, values in space.items()},
}


@pytest.mark.parametrize("values", EVERY.values(), ids=list(EVERY))
def test_every_range_of_the_space_holds_what_it_draws_and_steps_to(values: Range) -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        value = values.draw(rng)
        assert values.holds(value)
        for _ in range(10):
            other = values.step(value, rng)
            assert values.holds(other) and other != value
            value = other


@given(seed=st.integers(0, 2**32), start=st.floats(1e-6, 1e6))
def test_a_step_from_outside_comes_back_inside(seed: int, start: float) -> None:
    rng = np.random.default_rng(seed)
    for values in (Between(3e-4, 3e-2), Between(0.1, 0.5, "linear", zero=0.5)):
        assert values.holds(values.step(start, rng))
    whole = Between(5, 60, multiple=1)
    assert whole.holds(whole.step(int(start), rng))


@given(seed=st.integers(0, 2**32))
def test_equal_generators_make_equal_draws_and_steps(seed: int) -> None:
    def both(values: Range) -> list[Any]:
        rng = np.random.default_rng(seed)
        value = values.draw(rng)
        return [value, values.step(value, rng)]

    for values in EVERY.values():
        assert both(values) == both(values)


def test_real_numbers_have_two_digits_and_integers_are_multiples() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        real = Between(3e-4, 3e-2).draw(rng)
        assert type(real) is float and float(f"{real:.2g}") == real
        width = Between(16, 1024, multiple=8).draw(rng)
        assert type(width) is int and width % 8 == 0


def test_zero_is_drawn_left_and_reached() -> None:
    rng, values = np.random.default_rng(0), Between(0.1, 0.6, zero=0.3)
    drawn = [values.draw(rng) for _ in range(400)]
    assert 0.2 < np.mean(np.array(drawn) == 0) < 0.4
    assert all(values.step(0.0, rng) >= 0.1 for _ in range(50))
    assert any(values.step(0.3, rng) == 0 for _ in range(50))
    never = Between(0.1, 0.6)
    assert not never.holds(0.0)
    assert all(never.step(0.1, rng) > 0.1 for _ in range(50))


def test_small_steps_are_more_frequent_than_large_ones() -> None:
    rng, values = np.random.default_rng(0), Between(1e-6, 1.0)
    factors = np.abs(np.log([values.step(1e-3, rng) / 1e-3 for _ in range(400)]))
    assert np.median(factors) < np.log(2) and np.quantile(factors, 0.99) < np.log(8)


def test_widths_change_in_one_place_or_by_one_layer() -> None:
    rng, values = np.random.default_rng(0), Widths(16, 512, 3, 6)
    start = [32, 64, 128, 256]
    lengths = set()
    for _ in range(200):
        widths = values.step(start, rng)
        lengths.add(len(widths))
        if len(widths) == 4:
            assert sum(a != b for a, b in zip(start, widths, strict=True)) == 1
        elif len(widths) == 5:  # one of them twice
            assert any([*start[:k], start[k], *start[k:]] == widths for k in range(4))
        else:
            assert any([*start[:k], *start[k + 1 :]] == widths for k in range(4))
    assert lengths == {3, 4, 5}
    assert {len(values.step([16] * 3, rng)) for _ in range(100)} == {3, 4}
    assert {len(values.step([16] * 6, rng)) for _ in range(100)} == {5, 6}


def test_each_other_value_of_a_choice_is_as_likely() -> None:
    rng, values = np.random.default_rng(0), Among(("a", "b", "c"))
    steps = [values.step("a", rng) for _ in range(600)]
    assert set(steps) == {"b", "c"} and 0.4 < np.mean(np.array(steps) == "b") < 0.6
