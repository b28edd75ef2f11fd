"""Accuracy against CPU-seconds: what each trial measured, and the best so far.

The best so far is the trial whose interval on `search` reaches highest at its lower end, so that a
lucky figure over few episodes does not lead. Baselines cost next to nothing: they are levels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from metaloop.core.records import Result
from metaloop.report.costs import spending, total_cost
from metaloop.report.figures import better, printable
from metaloop.report.reading import Records
from metaloop.report.standing import is_baseline, label


@dataclass(frozen=True)
class Dot:
    """A trial with a figure on `search`: when it was known, in CPU-seconds of the whole run."""

    candidate: str
    learner: str
    label: str
    cpu_seconds: float
    result: Result
    is_baseline: bool


@dataclass(frozen=True)
class Progress:
    """All dots in order, the leaders among them, the best of each kind of baseline, the total cost.

    Baselines come best first.
    """

    dots: tuple[Dot, ...]
    leaders: tuple[Dot, ...]
    baselines: tuple[Dot, ...]
    cpu_seconds: float


def progress_of(records: Records) -> Progress:
    """Returns how the figures on `search` grew with the CPU-seconds spent."""
    dots, metric = list[Dot](), ""
    for spent in spending(records):
        stored = spent.trial
        if stored is None:
            continue
        candidate = records.candidates.get(stored.trial.candidate)
        for result in records.results_in(stored, "search", asked=True):
            if candidate is None:
                continue
            metric = metric or result.metric
            if result.metric != metric or not math.isfinite(result.value):
                continue
            dots.append(
                Dot(
                    candidate=stored.trial.candidate,
                    learner=printable(candidate.candidate.learner.name),
                    label=label(candidate.candidate),
                    cpu_seconds=spent.cpu_seconds,
                    result=result,
                    is_baseline=is_baseline(candidate),
                )
            )
    baselines = sorted((d for d in dots if d.is_baseline), key=lambda d: -_value(d))
    return Progress(
        tuple(dots), _leaders(dots), tuple(_best_of_each(baselines)), total_cost(records)
    )


def _leaders(dots: list[Dot]) -> tuple[Dot, ...]:
    leaders: list[Dot] = []
    for dot in dots:
        if not dot.is_baseline and (not leaders or _low(dot) > _low(leaders[-1])):
            leaders.append(dot)
    return tuple(leaders)


def _best_of_each(dots: list[Dot]) -> list[Dot]:
    best: dict[str, Dot] = {}
    for dot in dots:
        best.setdefault(dot.learner, dot)
    return list(best.values())


def _value(dot: Dot) -> float:
    return better(dot.result.metric, dot.result.value)


def _low(dot: Dot) -> float:
    half = dot.result.ci95 if math.isfinite(dot.result.ci95) else math.inf
    return _value(dot) - half
