"""What was measured of a candidate, as jobs send it and as it is compared with another.

A job answers with `Figures`, which go through JSON; `measured` makes of them what can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from metaloop.core.objective import higher_is_better
from metaloop.core.packing import scores_from_json
from metaloop.core.records import Candidate, Result, TrialStatus
from metaloop.core.statistics import (
    EpisodeScores,
    Estimate,
    mean_of,
    mean_with_interval,
    paired_difference,
)


@dataclass(frozen=True)
class TaskFigures:
    """The result on one task, and its episodes' scores as `core.packing` packs them."""

    result: Result
    scores: Mapping[str, Any]


@dataclass(frozen=True)
class Figures:
    """What came of scoring a candidate; one that failed has no tasks, and a message of one line."""

    status: TrialStatus
    message: str = ""
    tasks: tuple[TaskFigures, ...] = ()

    @property
    def goodness(self) -> float:
        """The mean of the results, of which more is better; minus infinity where there is none."""
        if not self.tasks:
            return -np.inf
        results = [task.result for task in self.tasks]
        mean = float(np.mean([result.value for result in results]))
        return mean if higher_is_better(results[0].metric) else -mean


@dataclass(frozen=True)
class Found:
    """A candidate that a job came back with, and its figures on `search`.

    `operator`: how it came about, "" where the job says that of all. `behaviour`: a hash of what
    its program does, `ancestor` the source of the program that it came from.
    """

    candidate: Candidate
    figures: Figures
    operator: str = ""
    behaviour: str | None = None
    ancestor: str | None = None


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
        return mean.scaled(-1.0)

    @cached_property
    def value(self) -> float:
        """The mean over all tasks and episodes, of which more is better."""
        return float(self.goodness.values.mean())

    @property
    def asked_value(self) -> float:
        """The figure on the task that is asked for, of which more is better."""
        value = self.result.value
        return value if higher_is_better(self.result.metric) else -value


def measured(figures: Figures) -> Measured | None:
    """Returns what a job has sent as it can be compared; None of a candidate that failed."""
    if not figures.tasks:
        return None
    scores = tuple(scores_from_json(task.scores) for task in figures.tasks)
    return Measured(tuple(task.result for task in figures.tasks), scores)


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
