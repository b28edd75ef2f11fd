"""The chart of accuracy against CPU-seconds, in two sizes: for screens wide and narrow."""

from __future__ import annotations

import math
from dataclasses import dataclass

from metaloop.core.records import Result
from metaloop.report.figures import (
    estimate,
    figure,
    is_of_fewer_units,
    scale_of,
    seconds,
    shortened,
)
from metaloop.report.page.axis import Axis, axis, tick_text
from metaloop.report.page.markup import Html, element, join, number
from metaloop.report.progress import Dot, Progress

_MOST_DOTS = 1200  # more are thinned out: a page must stay light
_MOST_LEVELS = 3  # of baselines, with names beside them
_LABEL_DISTANCE = 17.0  # pixels between two names beside the chart


@dataclass(frozen=True)
class _Frame:
    name: str
    width: float
    height: float
    left: float
    right: float
    bottom: float
    ticks: int


_FRAMES = (
    _Frame("wide", 840.0, 390.0, left=54.0, right=236.0, bottom=50.0, ticks=8),
    _Frame("narrow", 340.0, 300.0, left=40.0, right=26.0, bottom=50.0, ticks=4),
)
_TOP = 30.0
_BESIDE = 14.0  # pixels: the final figure stands beside the last trials


def progress_figure(progress: Progress, test: Result | None, chance: float | None) -> Html:
    """Returns the figure, or a sentence where no trial has a figure yet."""
    if not progress.dots:
        return element("p", "No trial has a figure yet.", class_="quiet")
    charts = [_chart(progress, test, chance, frame) for frame in _FRAMES]
    return element("figure", *charts, _legend(progress, test, chance))


def _chart(progress: Progress, test: Result | None, chance: float | None, frame: _Frame) -> Html:
    metric = progress.dots[0].result.metric
    scale = 100.0 if metric == "accuracy" else 1.0
    right = frame.width - frame.right
    values = [scale * value for value in _extent(progress, test, chance)]
    across = axis([0.0, progress.cpu_seconds], frame.left, right, frame.ticks, exact=True)
    up = axis(values, frame.height - frame.bottom, _TOP, 6)
    unit = "%" if metric == "accuracy" else ""
    title = f"{metric} on search against CPU-seconds"
    return element(
        "svg",
        element("title", title),
        element("desc", _described(progress, test)),
        _grid(across, up, frame, f"{metric} on search{', ' + unit if unit else ''}"),
        _levels(progress, chance, scale, across, up),
        _climb(progress, scale, across, up),
        *(_dot(dot, dot in progress.leaders, scale, across, up) for dot in _thinned(progress)),
        _final(test, scale, across, up),
        _names(progress, test, chance, scale, up, right) if frame.name == "wide" else None,
        viewBox=f"0 0 {number(frame.width)} {number(frame.height)}",
        class_=frame.name,
        role="img",
        aria_label=title,
    )


def _extent(progress: Progress, test: Result | None, chance: float | None) -> list[float]:
    levels = [dot.result.value for dot in progress.dots]
    for result in (dot.result for dot in progress.leaders):
        half = result.ci95 if math.isfinite(result.ci95) else 0.0
        levels += [result.value - half, result.value + half]
    if test is not None:
        levels += [test.value - _widest(test), test.value + _widest(test)]
    return levels + ([] if chance is None else [chance])


def _grid(across: Axis, up: Axis, frame: _Frame, name: str) -> Html:
    lines: list[Html] = []
    for tick in up.ticks:
        y = up.place(tick)
        lines.append(_line("grid", across.start, y, across.end, y))
        text = tick_text(tick, up.ticks)
        lines.append(_text(across.start - 8, y + 4, text, "small", anchor="end"))
    for tick in across.ticks:
        x, y = across.place(tick), up.start
        lines.append(_line("grid", x, y, x, y + 5))
        lines.append(_text(x, y + 19, tick_text(tick, across.ticks), "small", anchor="middle"))
    middle = (across.start + across.end) / 2
    lines.append(_text(middle, frame.height - 8, "CPU-seconds", "small", "middle"))
    lines.append(_text(0.0, 13.0, name, "small"))
    return join(*lines)


def _levels(progress: Progress, chance: float | None, scale: float, across: Axis, up: Axis) -> Html:
    lines = []
    if chance is not None:
        y = up.place(scale * chance)
        lines.append(_line("chance", across.start, y, across.end, y))
    for dot in progress.baselines[:_MOST_LEVELS]:
        y = up.place(scale * dot.result.value)
        lines.append(_line("level", across.start, y, across.end, y))
    return join(*lines)


def _climb(progress: Progress, scale: float, across: Axis, up: Axis) -> Html | None:
    """The best so far as steps, with the band of its interval."""
    if not progress.leaders:
        return None
    ends = [dot.cpu_seconds for dot in progress.leaders[1:]] + [progress.cpu_seconds]
    line: list[str] = []
    upper: list[str] = []
    lower: list[str] = []
    for dot, end in zip(progress.leaders, ends, strict=True):
        value, half = dot.result.value, dot.result.ci95
        half = half if math.isfinite(half) else 0.0
        for x in (across.place(dot.cpu_seconds), across.place(end)):
            line.append(_point(x, up.place(scale * value)))
            upper.append(_point(x, up.place(scale * (value + half))))
            lower.append(_point(x, up.place(scale * (value - half))))
    band = "L".join(upper + lower[::-1])
    return join(
        element("path", d=f"M{band}Z", class_="band"),
        element("path", d=f"M{'L'.join(line)}", class_="climb"),
    )


def _dot(dot: Dot, leads: bool, scale: float, across: Axis, up: Axis) -> Html:
    kind = "plain" if dot.is_baseline else "leader" if leads else "trial"
    circle = element(
        "circle",
        cx=across.place(dot.cpu_seconds),
        cy=up.place(scale * dot.result.value),
        r=4.5 if leads else 3.5,
        class_=kind,
    )
    said = f"{dot.label}: {figure(dot.result)} after {seconds(dot.cpu_seconds)} CPU-seconds"
    return element("g", element("title", shortened(said, 200)), circle)


def _thinned(progress: Progress) -> list[Dot]:
    every = math.ceil(len(progress.dots) / _MOST_DOTS)
    kept = [dot for dot in progress.dots[::every] if dot not in progress.leaders]
    return kept + list(progress.leaders)


def _final(test: Result | None, scale: float, across: Axis, up: Axis) -> Html | None:
    """The figure on `test`, at the right edge: all CPU-seconds led to it."""
    if test is None or not math.isfinite(test.value):
        return None
    x, y = across.end + _BESIDE, up.place(scale * test.value)

    def whisker(half: float, class_: str) -> Html:
        top, bottom = up.place(scale * (test.value + half)), up.place(scale * (test.value - half))
        return _line(class_, x, top, x, bottom)

    diamond = "L".join(_point(x + dx, y + dy) for dx, dy in ((0, -7), (7, 0), (0, 7), (-7, 0)))
    return join(
        whisker(_widest(test), "whisker reach"),
        whisker(test.ci95 if math.isfinite(test.ci95) else 0.0, "whisker"),
        element("path", d=f"M{diamond}Z", class_="final"),
    )


def _widest(result: Result) -> float:
    """The half-width of the interval for new classes where it is known, else of the other one."""
    known = [half for half in (result.ci95, result.ci95_new) if half is not None]
    return max((half for half in known if math.isfinite(half)), default=0.0)


def _names(
    progress: Progress,
    test: Result | None,
    chance: float | None,
    scale: float,
    up: Axis,
    right: float,
) -> Html:
    """What the lines are, beside their ends, moved apart where they would overlap."""
    wanted: list[tuple[float, str, str]] = []
    if test is not None and math.isfinite(test.value):
        said = estimate(test.metric, test.value, test.ci95)  # there is no room for more
        wanted.append((scale * test.value, f"test {said}", "accent strong"))
    if progress.leaders:
        best = progress.leaders[-1].result
        said = estimate(best.metric, best.value, best.ci95)
        wanted.append((scale * best.value, f"best so far {said}", "accent"))
    for dot in progress.baselines[:_MOST_LEVELS]:
        value = estimate(dot.result.metric, dot.result.value)
        text = f"{shortened(dot.learner, 20)} {value}"
        wanted.append((scale * dot.result.value, text, "small"))
    if chance is not None:
        wanted.append((scale * chance, f"chance {100 * chance:.1f} %", "small"))
    wanted.sort(key=lambda item: up.place(item[0]))
    places = _apart([up.place(value) for value, _, _ in wanted], _TOP + 4, up.start)
    return join(
        *(
            _text(right + 2 * _BESIDE, y + 4, text, class_)
            for y, (_, text, class_) in zip(places, wanted, strict=True)
        )
    )


def _apart(places: list[float], top: float, bottom: float) -> list[float]:
    """Returns sorted places moved so that neighbours keep their distance, inside top and bottom."""
    moved: list[float] = []
    for place in places:
        least = moved[-1] + _LABEL_DISTANCE if moved else top
        moved.append(max(place, least))
    limit = bottom
    for index in reversed(range(len(moved))):
        moved[index] = min(moved[index], limit)
        limit = moved[index] - _LABEL_DISTANCE
    return moved


def _described(progress: Progress, test: Result | None) -> str:
    said = f"{len(progress.dots)} figures over {seconds(progress.cpu_seconds)} CPU-seconds."
    if progress.leaders:
        first, last = progress.leaders[0], progress.leaders[-1]
        said += (
            f" The best so far went from {figure(first.result)} ({first.label}) to "
            f"{figure(last.result)} ({last.label})."
        )
    return said + (f" On test: {figure(test)}." if test else "")


def _legend(progress: Progress, test: Result | None, chance: float | None) -> Html:
    metric = progress.dots[0].result.metric
    direction = "higher is better" if scale_of(metric).higher_is_better else "lower is better"
    parts = [
        "Filled dots are trials, hollow ones plain baselines, the dashed lines the best of their "
        "kinds; the line is the best so far, with its 95 % interval"
    ]
    if test is not None:
        parts.append("; the diamond is the final figure on test")
        if is_of_fewer_units(test):
            parts.append(", its thin line the interval for new classes")
    if chance is not None:
        parts.append("; the dotted line is chance")
    return element(
        "figcaption",
        "".join(parts),
        f" ({direction}). Choices are made on search, so its figures flatter; the one on test "
        "decides. All recorded work counts, failures too; a training that is shared counts once.",
    )


def _line(class_: str, x1: float, y1: float, x2: float, y2: float) -> Html:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def _text(x: float, y: float, text: str, class_: str, anchor: str | None = None) -> Html:
    return element("text", text, x=x, y=y, class_=class_, text_anchor=anchor)


def _point(x: float, y: float) -> str:
    return f"{number(x)} {number(y)}"
