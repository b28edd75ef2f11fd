"""`Charged`: what every run has, and the time it has used; `charged` writes that down as it goes.

A thread does it, with a connection of its own: the run's own thread may be in a job for minutes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from metaloop.archive import Archive, RunId
from metaloop.archive.spent import note_spent
from metaloop.core.budget import Budget
from metaloop.core.errors import MetaloopError

MODEL_NAME, ARCHIVE_NAME, STATES_NAME = "model.metaloop", "archive.sqlite", "states"


@dataclass
class Charged:
    """A run that writes into a folder and an archive, with a budget and a clock.

    `spent_before` and `cpu_before` are the seconds and CPU-seconds that interrupted earlier tries
    of it have used. CPU-seconds are those of the coordinator, of all workers and of guests.
    """

    folder: Path
    archive: Archive
    id: RunId
    budget: Budget
    seed: int
    spent_before: float = field(default=0.0, kw_only=True)
    cpu_before: float = field(default=0.0, kw_only=True)
    worker_cpu: float = field(default=0.0, kw_only=True)  # CPU-seconds of workers, in this try
    guest_cpu: float = field(default=0.0, kw_only=True)  # of guests in processes of their own
    clock: Callable[[], float] = field(default=time.perf_counter, kw_only=True)  # in seconds
    started: float = field(default_factory=time.perf_counter, kw_only=True)
    cpu_started: float = field(default_factory=time.process_time, kw_only=True)

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
        """Seconds since the budget began, over all tries of this run."""
        return self.spent_before + self.clock() - self.started

    @property
    def cpu_seconds(self) -> float:
        """CPU-seconds since the budget began, of all processes, over all tries of this run."""
        others = self.cpu_before + self.worker_cpu + self.guest_cpu
        return others + time.process_time() - self.cpu_started


@contextmanager
def charged(run: Charged, note_seconds: float) -> Iterator[None]:
    """Notes in the archive what this try of the run has spent, so often and at the end."""
    ended = threading.Event()
    thread = threading.Thread(target=_note_until, args=(run, ended, note_seconds), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _note_until(run: Charged, ended: threading.Event, note_seconds: float) -> None:
    with suppress(MetaloopError), Archive.open(run.archive.path) as archive:
        last = False
        while not last:
            last = ended.wait(note_seconds)
            with suppress(MetaloopError):  # a full disk is told of by what needs it
                wall, cpu = run.wall_seconds - run.spent_before, run.cpu_seconds - run.cpu_before
                note_spent(archive, run.id, wall, cpu)
