"""Scales of charts: a range that holds the values, round ticks on it, places in pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high` on pixels from `start` to `end`, with round `ticks` inside."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """Returns the pixel of a value; one beyond the ends is put at the end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def axis(
    values: Sequence[float], start: float, end: float, num_ticks: int, exact: bool = False
) -> Axis:
    """Returns an axis with about `num_ticks` ticks that holds all values.

    It ends at ticks, or with `exact` at the smallest and largest value.
    """
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    if high - low <= 1e-9 * max(1.0, abs(low), abs(high)):  # nothing or one thing to show
        margin = max(abs(high) / 10, 1e-3)
        low, high = low - margin, high + margin
    step = _step((high - low) / num_ticks)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(round(step * index, 12) for index in range(first, last + 1))
    if exact:
        inside = tuple(tick for tick in ticks if low <= tick <= high)
        return Axis(low, high, start, end, inside)
    return Axis(ticks[0], ticks[-1], start, end, ticks)


def tick_text(value: float, ticks: Sequence[float]) -> str:
    """Returns a tick's label with as many decimals as its neighbours need, and no more."""
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    places = min(8, max(0, -math.floor(math.log10(step) + 1e-9)))
    if round(step, places) != round(step, 10):  # a step of 2.5
        places += 1
    return f"{value:,.{places}f}".replace("-", "−")


def _step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in _STEPS if power * factor >= least * (1 - 1e-9))
