"""What was measured of a candidate, and how much better than another that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from metaloop.core.objective import higher_is_better
from metaloop.core.packing import scores_from_json
from metaloop.core.records import Protocol, Result
from metaloop.core.statistics import (
    EpisodeScores,
    Estimate,
    mean_of,
    mean_with_interval,
    paired_difference,
)


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured of a candidate on one part, on the same number of episodes of each task.

    `results`: of the task that is asked for, then of the same with several shots, if there is such.
    `scores`: of the episodes of each task, and of the classes in them.
    """

    results: tuple[Result, ...]
    scores: tuple[EpisodeScores, ...]

    @property
    def result(self) -> Result:
        """The result on the task that is asked for."""
        return self.results[0]

    @cached_property
    def goodness(self) -> EpisodeScores:
        """Means over the tasks, signed so that more is better."""
        mean = mean_of(self.scores)
        if higher_is_better(self.result.metric):
            return mean
        return EpisodeScores(-mean.values, -mean.unit_values, mean.units)

    @cached_property
    def value(self) -> float:
        """The mean over all tasks and episodes, of which more is better."""
        return float(self.goodness.values.mean())

    @property
    def asked_value(self) -> float:
        """The figure on the task that is asked for, of which more is better."""
        value = self.result.value
        return value if higher_is_better(self.result.metric) else -value


def measured(figures: Mapping[str, Any]) -> Measured | None:
    """Returns what `Scorer.figures` wrote; None of a candidate that failed."""
    tasks = figures.get("tasks")
    if not tasks:
        return None
    results = [
        Result(**{**task["result"], "protocol": Protocol(**task["result"]["protocol"])})
        for task in tasks
    ]
    return Measured(tuple(results), tuple(scores_from_json(task["scores"]) for task in tasks))


def difference(better: Measured | None, worse: Measured | None) -> Estimate | None:
    """Returns the paired difference on the episodes that both were measured on, more is better.

    None where one of them was not measured, or not on the same tasks. Where an older version did
    not record which classes the episodes are of, there is no interval for new ones.
    """
    if better is None or worse is None or len(better.results) != len(worse.results):
        return None
    common = min(len(better.goodness), len(worse.goodness))
    one, other = better.goodness[:common], worse.goodness[:common]
    if not (one.units.size and other.units.size):
        return mean_with_interval(one.values - other.values)
    return paired_difference(one, other)
