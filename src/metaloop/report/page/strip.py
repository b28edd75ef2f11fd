"""A strip: a figure with its interval as a small picture in a cell of a table."""

from __future__ import annotations

import math
from collections.abc import Iterable

from metaloop.report.page.markup import Html, element

_WIDTH, _HEIGHT, _MARGIN = 112.0, 14.0, 5.0


def strip(value: float, ci95: float, extent: tuple[float, float], reference: float | None) -> Html:
    """Returns the figure on the range `extent`, with a mark at `reference` (chance, or none).

    Empty where there is nothing to draw. It only repeats what stands beside it.
    """
    low, high = extent
    if not math.isfinite(value) or high <= low:
        return Html("")
    middle = _HEIGHT / 2

    def place(where: float) -> float:
        share = (min(max(where, low), high) - low) / (high - low)
        return _MARGIN + share * (_WIDTH - 2 * _MARGIN)

    half = ci95 if math.isfinite(ci95) else 0.0
    ends = place(value - half), place(value + half)
    mark = None
    if reference is not None and low <= reference <= high:
        x = place(reference)
        mark = element("line", x1=x, x2=x, y1=1.0, y2=_HEIGHT - 1, class_="mark")
    return element(
        "svg",
        element("line", x1=_MARGIN, x2=_WIDTH - _MARGIN, y1=middle, y2=middle, class_="track"),
        mark,
        element("line", x1=ends[0], x2=ends[1], y1=middle, y2=middle, class_="interval"),
        element("circle", cx=place(value), cy=middle, r=3.0, class_="point"),
        viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}",
        class_="strip",
        aria_hidden="true",
    )


def extent_of(figures: Iterable[tuple[float, float]], also: Iterable[float]) -> tuple[float, float]:
    """Returns the range that holds all values with their intervals, and the values of `also`."""
    values = list(also)
    for value, ci95 in figures:
        half = ci95 if math.isfinite(ci95) else 0.0
        values += [value - half, value + half]
    finite = [value for value in values if math.isfinite(value)]
    return min(finite, default=0.0), max(finite, default=0.0)
