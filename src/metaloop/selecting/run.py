"""`Selecting`: what one run of `select` shares: folder, archive, data, budget, clock and race."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from metaloop.archive import Archive, DataSet, RunId
from metaloop.core.budget import Budget
from metaloop.core.records import Part, Protocol, Result
from metaloop.core.spec import TaskSpec
from metaloop.executors.base import Executor
from metaloop.loop.run import MODEL_NAME, STATES_NAME
from metaloop.selecting.racing import Race
from metaloop.selecting.settings import SelectSettings
from metaloop.tasks.labelled import LabelledSet
from metaloop.tasks.store import LeftOut, Reading


@dataclass
class Selecting:
    """One run; `spent_before` and `cpu_before` are what interrupted earlier tries of it have used.

    It has what `loop.charging` asks of a run. `next_job` numbers the jobs.
    """

    folder: Path
    archive: Archive
    id: RunId
    budget: Budget
    seed: int
    labelled: LabelledSet
    executor: Executor
    race: Race
    settings: SelectSettings
    stop: Callable[[], bool]
    spent_before: float = 0.0
    cpu_before: float = 0.0
    worker_cpu: float = 0.0
    search_cpu: float = 0.0  # CPU-seconds of jobs that chose
    steps_before: int = 0  # of the budget, where it is in steps
    next_job: int = 0
    started: float = field(default_factory=time.perf_counter)
    cpu_started: float = field(default_factory=time.process_time)

    @property
    def model_path(self) -> Path:
        """Where the model goes."""
        return self.folder / MODEL_NAME

    @property
    def states(self) -> Path:
        """Where workers find data and leave what they trained."""
        return self.folder / STATES_NAME

    @property
    def wall_seconds(self) -> float:
        """Seconds since choosing began, over all tries of this run."""
        return self.spent_before + time.perf_counter() - self.started

    @property
    def cpu_seconds(self) -> float:
        """CPU-seconds since choosing began, of all processes, over all tries of this run."""
        return self.cpu_before + self.worker_cpu + time.process_time() - self.cpu_started

    @property
    def spent(self) -> float:
        """The share of the budget that is gone."""
        return self.budget.spent(self.wall_seconds, self.steps_before)

    def protocol(self, part: Part, side: float = 1.0) -> Protocol:
        """Returns how figures on a part are measured."""
        labelled = self.labelled
        ways = len(labelled.class_names)
        number = len(labelled.rows[part])
        shrunk = "" if side == 1 else f"-{side:g}"
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


def task_of(labelled: LabelledSet) -> TaskSpec:
    """Returns the task as model files hold it: all classes at once."""
    ways = len(labelled.class_names)
    return TaskSpec(
        ways=ways,
        shots=max(1, len(labelled.known) // ways),
        queries=max(1, len(labelled.rows["test"]) // ways),
        input_shape=tuple(labelled.input_format.shape),
        num_training_classes=ways,
    )
