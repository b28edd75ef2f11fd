"""`Run`: what one call of the loop shares: folder, archive, family, task, budget and clock."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from metaloop.archive import Archive, DataSet, RunId, run_lock
from metaloop.archive.lock import LOCK_NAME
from metaloop.catalogue.families import OpenedData, class_parts
from metaloop.core.budget import Budget
from metaloop.core.errors import MetaloopError, OutputError
from metaloop.core.spec import TaskSpec
from metaloop.loop.events import DataRead
from metaloop.tasks.family import ClassFamily, TaskFamily

MODEL_NAME, ARCHIVE_NAME, STATES_NAME = "model.metaloop", "archive.sqlite", "states"


@dataclass(frozen=True)
class Earlier:
    """Interrupted tries of a run, and the wall seconds and CPU-seconds that they have used."""

    tries: tuple[RunId, ...] = ()
    wall: float = 0.0
    cpu: float = 0.0


@dataclass
class Run:
    """One run: `spent_before`, `cpu_before` are what interrupted earlier tries of it have used.

    CPU-seconds are those of the coordinator and of all workers.
    """

    folder: Path
    archive: Archive
    id: RunId
    budget: Budget
    seed: int
    family: TaskFamily
    spec: TaskSpec
    stop: Callable[[], bool]
    tries: tuple[RunId, ...] = ()  # earlier ones of this run, and this one
    spent_before: float = 0.0
    cpu_before: float = 0.0
    worker_cpu: float = 0.0  # CPU-seconds of workers, in this try
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
        """Seconds since training began, over all tries of this run."""
        return self.spent_before + time.perf_counter() - self.started

    @property
    def cpu_seconds(self) -> float:
        """CPU-seconds since training began, over all tries of this run."""
        return self.cpu_before + self.worker_cpu + time.process_time() - self.cpu_started

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the budget is spent; None under a budget in steps."""
        if self.budget.wall_seconds is None:
            return None
        return max(0.0, self.budget.wall_seconds - self.wall_seconds)

    def restart_clock(self) -> None:
        """Starts the budget: what came before (reading data) is not charged."""
        self.started, self.cpu_started = time.perf_counter(), time.process_time()


class Stopped(Exception):
    """The run was asked to stop; what was reached is saved."""


@contextmanager
def run_folder(folder: Path, resume: bool) -> Iterator[Archive]:
    """Yields the archive of a fresh folder, or of one to go on in with `resume`.

    A folder whose runs ended before anything was tried (the data could not be read) counts as
    fresh. Raises `OutputError` for a folder that holds anything else without `resume`, or that
    cannot be written.
    """
    with ExitStack() as stack:
        known = folder / ARCHIVE_NAME
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"'{folder}' is a file; --out must name a folder that is new")
        used = folder.is_dir() and any(folder.iterdir()) and not _nothing_tried(folder)
        if used and not resume:
            raise OutputError(
                f"'{folder}' already holds something; go on with --resume or choose another --out"
            )
        if resume and not known.exists():
            raise OutputError(f"there is no run to resume in '{folder}'; leave --resume away")
        try:
            (folder / STATES_NAME).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write in '{folder}': {error.strerror}") from error
        stack.enter_context(run_lock(folder))
        archive = Archive.open(known) if known.exists() else Archive.create(known)
        yield stack.enter_context(archive)


def _nothing_tried(folder: Path) -> bool:
    known = folder / ARCHIVE_NAME
    if (folder / MODEL_NAME).exists():
        return False
    if not known.exists():  # killed before there was an archive
        ours = {STATES_NAME, LOCK_NAME}
        return all(path.name in ours or ".archive.tmp" in path.name for path in folder.iterdir())
    with Archive.open(known, read_only=True) as archive:
        return not archive.trials()


def check_same_run(archive: Archive, arguments: dict[str, Any]) -> Earlier:
    """Returns the earlier tries of this run and what they have spent.

    Raises `MetaloopError` if they were asked for something else, or one of them is finished.
    """
    wall = cpu = 0.0
    tries: list[RunId] = []
    for run in archive.runs():
        if run.command != "learn":
            continue
        if run.status == "finished":
            raise MetaloopError(
                f"the run in '{archive.path.parent}' is finished; choose another --out to learn "
                f"again"
            )
        jobs = archive.jobs(run.id)
        if not jobs:
            archive.mark_interrupted(run.id)
            continue
        differing = {
            key
            for key, value in arguments.items()
            if key != "workers" and dict(run.arguments).get(key) != value
        }
        if differing:
            names = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(differing))
            raise MetaloopError(
                f"the run to resume was started with other values of {names}; give the same ones"
            )
        archive.mark_interrupted(run.id)
        tries.append(run.id)
        workers = max(1, int(run.arguments["workers"]))
        wall += sum(job.wall_seconds for job in jobs) / workers
        cpu += sum(job.cpu_seconds for job in jobs)
    return Earlier(tuple(tries), wall, cpu)


def describe_data(opened: OpenedData) -> DataSet:
    """Returns the archive's record of a family."""
    family = opened.family
    left_out: dict[str, int] = {}
    for item in opened.left_out:
        left_out[item.reason] = left_out.get(item.reason, 0) + item.count
    classes = examples = 0
    if isinstance(family, ClassFamily):
        classes, examples = len(family.store.classes), len(family.store.inputs)
    return DataSet(
        hash=family.digest,
        name=family.name,
        kind=opened.kind,
        classes=classes,
        examples=examples,
        parts=class_parts(family),
        left_out=left_out,
    )


def data_read(opened: OpenedData, seconds: float) -> DataRead:
    """Returns the event that tells how the data was understood."""
    parts = {part: len(names) for part, names in class_parts(opened.family).items()}
    return DataRead(opened.family.name, opened.kind, parts, opened.left_out, seconds, opened.notes)


def best_device() -> torch.device:
    """Returns CUDA where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def remove_states(folder: Path) -> None:
    """Removes the training states of a finished run: the model is what stays."""
    shutil.rmtree(folder / STATES_NAME, ignore_errors=True)
