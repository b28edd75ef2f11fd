"""What values a choice can take: drawn at random, or changed by a small step.

`draw` is for random search, `step` for local search: it returns another value near the one it is
given, and never that one. Both return JSON values, real numbers with two significant digits so
that people can read what changed.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np

Number = int | float

_LOG_STEP = 0.5  # deviation of the logarithm: most steps are between half and twice
_LINEAR_STEP = 0.2  # deviation as a share of the range
_CHANNELS = 8  # widths are multiples of it: vector units and tile sizes like them


class Range(ABC):
    """The values of one choice."""

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> Any:
        """Returns a value at random."""

    @abstractmethod
    def step(self, value: Any, rng: np.random.Generator) -> Any:
        """Returns another value near `value`, which may lie outside of the range itself."""

    @abstractmethod
    def holds(self, value: Any) -> bool:
        """Whether the value is one of these."""


@final
@dataclass(frozen=True)
class Among(Range):
    """One of two or more values, without an order."""

    values: tuple[Any, ...]

    def draw(self, rng: np.random.Generator) -> Any:
        """Returns each value equally often."""
        return self.values[rng.integers(len(self.values))]

    def step(self, value: Any, rng: np.random.Generator) -> Any:
        """Returns each other value equally often."""
        others = [other for other in self.values if other != value]
        return others[rng.integers(len(others))]

    def holds(self, value: Any) -> bool:
        """Whether the value is one of these."""
        return value in self.values


@final
@dataclass(frozen=True)
class Between(Range):
    """A number from `low` to `high`, or zero with the chance `zero`, where zero means off.

    `scale` says what is uniform, the logarithm or the number. With `multiple` it is an integer, a
    multiple of that.
    """

    low: Number
    high: Number
    scale: Literal["log", "linear"] = "log"
    multiple: int = 0
    zero: float = 0.0

    def draw(self, rng: np.random.Generator) -> Number:
        """Returns a number that is uniform on the scale."""
        if rng.random() < self.zero:
            return self._number(0.0)
        low, high = self._to_scale(self.low), self._to_scale(self.high)
        return self._within(self._from_scale(rng.uniform(low, high)))

    def step(self, value: Number, rng: np.random.Generator) -> Number:
        """Returns a number a normal step away on the scale; zero is left and reached by chance."""
        if self.zero and (value == 0 or rng.random() < self.zero):
            return self._draw_other(value, rng) if value == 0 else self._number(0.0)
        size = _LOG_STEP
        if self.scale == "linear":
            size = _LINEAR_STEP * (self.high - self.low)
        start = self._to_scale(min(max(value, self.low), self.high))
        while (other := self._within(self._from_scale(rng.normal(start, size)))) == value:
            pass  # rounded to where it was, or pushed against an end
        return other

    def _draw_other(self, value: Number, rng: np.random.Generator) -> Number:
        """Returns a number at random that is not `value`."""
        while (other := self.draw(rng)) == value:
            pass
        return other

    def holds(self, value: Any) -> bool:
        """Whether the value is such a number inside the range, or zero if it may be."""
        if isinstance(value, bool) or not isinstance(value, int if self.multiple else float):
            return False
        return bool(self.low <= value <= self.high or (self.zero and value == 0))

    def _to_scale(self, value: Number) -> float:
        return math.log(value) if self.scale == "log" else float(value)

    def _from_scale(self, value: Number) -> float:
        return math.exp(value) if self.scale == "log" else value

    def _within(self, value: Number) -> Number:
        if self.multiple:
            value = self.multiple * round(value / self.multiple)
        else:
            value = float(f"{value:.2g}")
        return self._number(min(max(value, self.low), self.high))

    def _number(self, value: Number) -> Number:
        return round(value) if self.multiple else float(value)


@final
@dataclass(frozen=True)
class Widths(Range):
    """The channels of each layer or stage: `fewest` to `most` multiples of 8."""

    low: int
    high: int
    fewest: int
    most: int

    def draw(self, rng: np.random.Generator) -> list[int]:
        """Returns widths that do not fall, their logarithms uniform."""
        number = int(rng.integers(self.fewest, self.most + 1))
        logs = np.sort(rng.uniform(math.log(self.low), math.log(self.high), number))
        return [self._width(width) for width in np.exp(logs)]

    def step(self, value: Sequence[int], rng: np.random.Generator) -> list[int]:
        """Returns the widths with one changed (half of the time), one doubled or one left out."""
        place = int(rng.integers(len(value)))
        widths, chance = list(value), rng.random()
        if chance < 0.25 and len(widths) < self.most:
            return [*widths[:place], widths[place], *widths[place:]]
        if 0.25 <= chance < 0.5 and len(widths) > self.fewest:
            return [*widths[:place], *widths[place + 1 :]]
        start = math.log(min(max(widths[place], self.low), self.high))
        while (other := self._width(math.exp(rng.normal(start, _LOG_STEP)))) == widths[place]:
            pass
        return [*widths[:place], other, *widths[place + 1 :]]

    def holds(self, value: Any) -> bool:
        """Whether these are as many widths as there may be, each inside the range."""
        return (
            isinstance(value, list)
            and self.fewest <= len(value) <= self.most
            and all(isinstance(width, int) and self.low <= width <= self.high for width in value)
        )

    def _width(self, width: float) -> int:
        return min(max(_CHANNELS * round(width / _CHANNELS), self.low), self.high)
