"""Budgets: how they are written, what is refused, shares of them."""

from __future__ import annotations

import pytest

from metaloop.core.budget import Budget, parse_budget
from metaloop.core.errors import BudgetError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("240s", 240), ("3m", 180), ("1.5h", 5400), ("90", 90), (" 2 MIN ", 120), ("0.5s", 0.5)],
)
def test_seconds_are_written_in_many_ways(text: str, seconds: float) -> None:
    assert parse_budget(text) == Budget(wall_seconds=float(seconds))


@pytest.mark.parametrize(("text", "steps"), [("5000steps", 5000), ("1 step", 1), ("60 steps", 60)])
def test_steps_are_written_with_their_name(text: str, steps: int) -> None:
    assert parse_budget(text) == Budget(steps=steps)


@pytest.mark.parametrize(
    "text", ["", "0", "0s", "0steps", "-3m", "abc", "3x", "3m4s", "nan", "inf", "1e3s", "9" * 400]
)
def test_nonsense_is_refused_with_examples(text: str) -> None:
    with pytest.raises(BudgetError, match=r"such as 90s, 3m, 1.5h or 5000steps; got "):
        parse_budget(text)


def test_half_a_step_is_refused() -> None:
    with pytest.raises(BudgetError, match="whole numbers"):
        parse_budget("2.5steps")


def test_a_budget_is_one_of_both() -> None:
    for wrong in ({}, {"wall_seconds": 1.0, "steps": 1}):
        with pytest.raises(BudgetError, match="exactly one"):
            Budget(**wrong)  # type: ignore[arg-type]


def test_spent_goes_from_zero_to_one_and_stays_there() -> None:
    assert [Budget(steps=10).spent(99.0, n) for n in (0, 5, 10, 20)] == [0, 0.5, 1, 1]
    assert [Budget(wall_seconds=4.0).spent(s, 99) for s in (0.0, 1.0, 4.0, 9.0)] == [0, 0.25, 1, 1]


@pytest.mark.parametrize("text", ["240s", "5000steps", "0.5s"])
def test_a_budget_is_printed_as_it_is_read(text: str) -> None:
    assert str(parse_budget(text)) == text
    assert parse_budget(str(parse_budget(text))) == parse_budget(text)
