"""A budget is wall seconds or training steps; schedules run on the fraction of it that is spent."""

from __future__ import annotations

import re
from dataclasses import dataclass

from metaloop.core.errors import BudgetError

_SECONDS_PER_UNIT = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_HELP = "expected a positive time or number of steps, such as 90s, 3m, 1.5h or 5000steps"


@dataclass(frozen=True)
class Budget:
    """What may be spent: exactly one of `wall_seconds` and `steps` is set.

    Raises `BudgetError` unless that one is positive and finite.

    >>> Budget(steps=200).spent(wall_seconds=3.0, steps=50)
    0.25
    """

    wall_seconds: float | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        if (self.wall_seconds is None) == (self.steps is None):
            raise BudgetError("a budget is either wall_seconds or steps; give exactly one of them")
        amount = self.wall_seconds if self.wall_seconds is not None else self.steps
        if amount is None or not 0 < amount < 1e12:
            raise BudgetError(f"{_HELP}; got {amount!r}")

    def spent(self, wall_seconds: float, steps: int) -> float:
        """Returns the fraction of the budget that is gone, 0 to 1."""
        if self.steps is not None:
            return min(1.0, steps / self.steps)
        assert self.wall_seconds is not None
        return min(1.0, wall_seconds / self.wall_seconds)

    def __str__(self) -> str:
        return f"{self.steps}steps" if self.steps is not None else f"{self.wall_seconds:g}s"


def parse_budget(text: str) -> Budget:
    """Returns the budget written as `240s`, `3m`, `1.5h`, `5000steps` or plain seconds.

    >>> parse_budget("1.5h").wall_seconds
    5400.0
    >>> str(parse_budget("5000steps"))
    '5000steps'
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text.lower())
    if match is None:
        raise BudgetError(f"{_HELP}; got {text!r}")
    amount, unit = float(match[1]), match[2] or "s"
    if amount <= 0:
        raise BudgetError(f"{_HELP}; got {text!r}")
    if unit in ("step", "steps"):
        if amount != int(amount):
            raise BudgetError(f"steps are whole numbers; got {text!r}")
        return Budget(steps=int(amount))
    if unit not in _SECONDS_PER_UNIT:
        raise BudgetError(f"{_HELP}; got {text!r}")
    return Budget(wall_seconds=amount * _SECONDS_PER_UNIT[unit])
