"""`Selecting`: what one run of `select` shares: folder, archive, data, budget, clock and race."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from metaloop.archive import DataSet
from metaloop.core.inputs import InputFormat
from metaloop.core.leagues import Backbone, league_of
from metaloop.core.records import Candidate, Part, Protocol, Result
from metaloop.core.spec import TaskSpec
from metaloop.executors.base import Executor
from metaloop.loop.charging import Charged
from metaloop.selecting.offer import Guests, Offer
from metaloop.selecting.racing import Race
from metaloop.selecting.settings import SelectSettings
from metaloop.tasks.labelled import LabelledSet
from metaloop.tasks.store import LeftOut, Reading


@dataclass
class Selecting(Charged):
    """One run of `select`; `next_job` numbers the jobs."""

    labelled: LabelledSet
    executor: Executor
    race: Race
    settings: SelectSettings
    stop: Callable[[], bool]
    search_cpu: float = 0.0  # CPU-seconds of jobs that chose
    steps_before: int = 0  # of the budget, where it is in steps
    next_job: int = 0
    offer: Offer | None = None  # of frozen encoders
    spent_on_frozen: float = 0.0  # of the budget
    guests: Guests = field(default_factory=Guests)  # of other libraries
    threads: int = 1  # of the processor, for what this process computes

    def league_of(self, candidate: Candidate) -> str:
        """Returns the league of a candidate: `none`, or the backbone that it sees through."""
        return league_of(candidate.views, self.backbones)

    @property
    def backbones(self) -> tuple[Backbone, ...]:
        """The encoders that take part."""
        return () if self.offer is None else self.offer.backbones

    @property
    def spent(self) -> float:
        """The share of the budget that is gone."""
        return self.budget.spent(self.wall_seconds, self.steps_before)

    def protocol(self, part: Part, side: float = 1.0, number: int | None = None) -> Protocol:
        """Returns how figures on a part are measured, or on the first `number` of its examples."""
        return protocol_on(self.labelled, part, side, number)


def protocol_on(
    labelled: LabelledSet, part: Part, side: float = 1.0, number: int | None = None
) -> Protocol:
    """Returns how figures on a part of a labelled set are measured; see `Selecting.protocol`."""
    ways = len(labelled.class_names)
    whole = len(labelled.rows[part])
    number = whole if number is None else number
    shrunk = "" if side == 1 else f"-{side:g}"
    shrunk += "" if number == whole else f"-{number}"
    return Protocol(
        part, ways, 0, max(1, round(number / ways)),
        "running", f"{labelled.digest}-{part}{shrunk}", labelled.digest,
    )  # fmt: skip


def accuracy(value: float, number: int, protocol: Protocol) -> Result:
    """Returns a share of right answers among so many examples, with its 95 % interval."""
    half = 1.96 * (value * (1 - value) / max(1, number)) ** 0.5
    return Result("accuracy", value, half, number, protocol)


def describe_set(reading: Reading, labelled: LabelledSet, left_out: tuple[LeftOut, ...]) -> DataSet:
    """Returns the archive's record of a data set: all classes are in every part."""
    counted: dict[str, int] = {}
    for item in left_out:
        counted[item.reason] = counted.get(item.reason, 0) + item.count
    names = labelled.class_names
    parts: dict[str, tuple[str, ...]] = {}
    parts |= dict.fromkeys(labelled.rows, names)
    return DataSet(
        labelled.digest, labelled.name, reading.kind, len(names), len(labelled.store), parts,
        counted,
    )  # fmt: skip


def task_of(labelled: LabelledSet, input_format: InputFormat) -> TaskSpec:
    """Returns the task as model files hold it: all classes at once, inputs of that format."""
    ways = len(labelled.class_names)
    return TaskSpec(
        ways=ways,
        shots=max(1, len(labelled.known) // ways),
        queries=max(1, len(labelled.rows["test"]) // ways),
        input_shape=tuple(input_format.shape),
        num_training_classes=ways,
    )
