"""Pictures of what a pipeline for tables goes by, for the page: PNG, made without a display."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

_SHOWN = 12  # columns
_INK, _SECOND = "#2a5d8f", "#b0b7bf"


def pictures_of(report: Mapping[str, Any], target: str) -> Iterator[tuple[str, bytes, str]]:
    """Yields name, PNG and caption: importance of columns, answers along them, calibration."""
    told, sure = report["explained"], report["calibration"]
    if told is not None and told["importances"]:
        yield (
            "importance", _importance(told["importances"], report["metric"]),
            "What the best pipeline loses where a column is shuffled, on rows that it has not "
            "learned from: columns that are alike share what they know.",
        )  # fmt: skip
    if told is not None and told["curves"]:
        yield (
            "dependence", _curves(told["curves"], target),
            f"The mean answer for '{target}' where all rows have the same value in one column. "
            "It says what the pipeline does, not what causes what.",
        )  # fmt: skip
    if sure is not None and sure["bins"]:
        yield (
            "calibration", _calibration(sure["bins"]),
            f"How often an answer is right by how sure it was, on rows that were not learned from; "
            f"the mean gap is {100 * sure['error']:.1f} points.",
        )  # fmt: skip


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure  # lazy: a second, and few runs make pictures

    return Figure(figsize=(width, height), layout="constrained")


def _png(figure: Any) -> bytes:
    held = io.BytesIO()
    figure.savefig(held, format="png", dpi=110, metadata={"Software": None})
    return held.getvalue()


def _importance(rows: list[Mapping[str, Any]], metric: str) -> bytes:
    shown = rows[:_SHOWN][::-1]
    figure = _figure(6.4, 0.6 + 0.28 * len(shown))
    axes = figure.subplots()
    axes.barh(
        range(len(shown)), [row["loss"] for row in shown], xerr=[row["deviation"] for row in shown],
        color=_INK, ecolor=_SECOND,
    )  # fmt: skip
    axes.set_yticks(range(len(shown)), [_short(row["column"]) for row in shown])
    axes.set_xlabel(f"loss of {metric.replace('_', ' ')}")
    return _png(figure)


def _curves(curves: list[Mapping[str, Any]], target: str) -> bytes:
    across = min(3, len(curves))
    down = -(-len(curves) // across)
    figure = _figure(2.6 * across, 2.2 * down)
    grid = figure.subplots(down, across, squeeze=False, sharey=True).ravel()
    for axes, curve in zip(grid, curves, strict=False):
        words = isinstance(curve["at"][0], str)
        places = range(len(curve["at"])) if words else curve["at"]
        names = curve["classes"] or [target]
        for name, answers in zip(names, curve["answers"], strict=True):
            axes.plot(places, answers, "o-" if words else "-", label=_short(name), markersize=3)
        if words:
            axes.set_xticks(
                list(places), [_short(w, 9) for w in curve["at"]], rotation=60, fontsize=7
            )
        axes.set_title(_short(curve["column"]), fontsize=9)
        axes.tick_params(labelsize=7)
    if len(curves[0]["classes"]) > 1:
        grid[0].legend(fontsize=6)
    for axes in grid[len(curves) :]:
        axes.set_visible(False)
    return _png(figure)


def _calibration(bins: list[Mapping[str, Any]]) -> bytes:
    figure = _figure(3.2, 3.0)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=_SECOND, linewidth=1)
    most = max(row["rows"] for row in bins)
    axes.scatter(
        [row["confidence"] for row in bins], [row["right"] for row in bins],
        s=[12 + 60 * row["rows"] / most for row in bins], color=_INK,
    )  # fmt: skip
    axes.set_xlabel("how sure")
    axes.set_ylabel("how often right")
    return _png(figure)


def _short(text: Any, most: int = 22) -> str:
    """Names as they are; a dollar would begin a formula."""
    words = "".join(c if c.isprintable() else "?" for c in str(text)).replace("$", r"\$")
    return words if len(words) <= most else words[: most - 1] + "…"
