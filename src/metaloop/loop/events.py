"""What the loop tells the world while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from metaloop.core.records import Result, Trial
from metaloop.core.statistics import Estimate
from metaloop.models.events import DataRead


@dataclass(frozen=True)
class Trying:
    """A candidate is being trained: `stage` in words, `spent` the fraction of the whole budget."""

    label: str
    stage: str
    spent: float
    seconds_left: float | None  # None under a budget in steps
    step: int
    loss: float
    round: int = 1


@dataclass(frozen=True)
class Tried:
    """A trial ended; `best` is the label of the best one so far, with its result on `search`.

    `operator`: how the candidate came about; `progress`: what it gained over its parent, paired,
    in the mean over the tasks of the trial's results.
    Of heads on one net this is the best one.
    """

    label: str
    trial: Trial
    best: str
    best_result: Result | None
    operator: str = "catalogue"
    progress: Estimate | None = None


@dataclass(frozen=True)
class Promoted:
    """The final choice, with its result on the promotion part and why."""

    label: str
    result: Result
    reason: str


@dataclass(frozen=True)
class Noted:
    """Something that was not done, and why, in a line."""

    line: str


@dataclass(frozen=True)
class Learned:
    """The loop ended; `report` is what `--json` prints."""

    report: dict[str, Any]


LoopEvent = DataRead | Trying | Tried | Promoted | Noted | Learned
