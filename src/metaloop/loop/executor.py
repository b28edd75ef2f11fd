"""`Executor`: jobs go in, outcomes come back, and what goes wrong with a job is an outcome, too.

A job names a function of a visible table and gives it JSON values: nothing is pickled, a job can be
written down, and `InProcess` (here), `LocalPool` (`local_pool.py`) and other machines run the same.

    with LocalPool(folder, num_workers=2) as executor:
        while executor.free:
            executor.submit(next_job())
        for outcome in executor.wait(1.0):
            record(outcome)
"""

from __future__ import annotations

import json
import os
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from metaloop.core.errors import (
    MetaloopError,
    is_of_the_machine,
    is_out_of_memory,
    unknown_name,
)

Report = Callable[[Mapping[str, Any]], None]  # a job says how far it is
Work = Callable[[Path, Mapping[str, Any], Report], Mapping[str, Any]]
OutcomeStatus = Literal["done", "failed", "timed out", "crashed", "no memory", "machine failed"]
_MESSAGE_LENGTH = 1000  # characters; libraries raise errors with whole tensors in them


@dataclass(frozen=True)
class Job:
    """The name of a work function and its arguments, JSON values; `number` is the caller's.

    After `seconds_allowed` of work a pool ends it; the start of a worker does not count.
    """

    number: int
    work: str
    arguments: Mapping[str, Any]
    seconds_allowed: float | None = None


@dataclass(frozen=True)
class Outcome:
    """How a job ended; `value` is what its function returned if it is `done`, else None.

    `failed`: an exception; `timed out`: ended by the pool; `crashed`: its worker died; `no memory`:
    either of these for want of memory. `machine failed`: files could not be read or written, which
    is no fault of the job. Then `message` says why in one line, and `trace` is for a log: a
    traceback, or a worker's last lines.
    `cpu_seconds`: user and system time, of processes that the job started and waited for, too.
    """

    job: Job
    status: OutcomeStatus
    value: Mapping[str, Any] | None
    message: str
    wall_seconds: float
    cpu_seconds: float
    trace: str = ""


@dataclass(frozen=True)
class Progress:
    """Something that a running job reported, JSON values."""

    job: Job
    content: Mapping[str, Any]


class Executor(ABC):
    """Runs up to `num_workers` jobs at once."""

    num_workers: int

    @property
    @abstractmethod
    def free(self) -> int:
        """How many more jobs can be submitted now."""

    @property
    @abstractmethod
    def cpu_seconds(self) -> float:
        """CPU time of other processes than the caller's so far, their start included."""

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Hands over a job; raises `RuntimeError` if none is free, `TypeError` if it is no JSON."""

    @abstractmethod
    def wait(self, timeout_seconds: float) -> list[Outcome]:
        """Returns what has ended, as soon as there is something, else [] after that time.

        Returns [] at once when no job runs; does not return for mere progress. Raises
        `MetaloopError` if jobs cannot be run any more.
        """

    @abstractmethod
    def events(self) -> list[Progress]:
        """Returns what jobs have reported since the last call, in order; `wait` collects it."""

    @abstractmethod
    def close(self) -> None:
        """Ends everything that runs, without outcomes; closing twice is no mistake."""

    def __enter__(self) -> Executor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class InProcess(Executor):
    """One job at a time in the caller's process, during `wait`.

    For nets that only the caller's program has, and where all must be in one process to be
    repeated. A job that hangs or crashes cannot be ended here: `seconds_allowed` is not looked at.
    """

    num_workers = 1

    def __init__(self, work_table: Mapping[str, Work], folder: Path) -> None:
        self._table = work_table
        self._folder = folder
        self._job: Job | None = None
        self._events: list[Progress] = []
        self._closed = False

    @property
    def free(self) -> int:
        """1, or 0 between `submit` and `wait`."""
        return int(self._job is None)

    @property
    def cpu_seconds(self) -> float:
        """0: all is in the caller's own time."""
        return 0.0

    def submit(self, job: Job) -> None:
        """Keeps the job for `wait`."""
        if self._closed or self._job is not None:
            raise RuntimeError("the executor is closed" if self._closed else "no worker is free")
        json.dumps(dict(job.arguments))
        self._job = job

    def wait(self, timeout_seconds: float) -> list[Outcome]:
        """Returns the outcome of the submitted job, which runs now, however long that takes."""
        job, self._job = self._job, None
        if job is None:
            return []

        def report(content: Mapping[str, Any]) -> None:
            self._events.append(Progress(job, json.loads(json.dumps(dict(content)))))

        return [perform(self._table, self._folder, job, report)]

    def events(self) -> list[Progress]:
        """Returns what the job has reported since the last call."""
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """Forgets a job that was not run."""
        self._job = None
        self._closed = True


def perform(work_table: Mapping[str, Work], folder: Path, job: Job, report: Report) -> Outcome:
    """Returns the outcome of running the job here: an exception is `failed`.

    Arguments and value pass through JSON, so that a job sees the same wherever it runs. An
    interrupt by the user is not caught.
    """
    wall, cpu = time.perf_counter(), own_cpu_seconds()
    status: OutcomeStatus = "done"
    value, message, trace = None, "", ""
    try:
        if job.work not in work_table:
            raise unknown_name("work", job.work, work_table)
        arguments = json.loads(json.dumps(dict(job.arguments)))
        value = json.loads(json.dumps(work_table[job.work](folder, arguments, report)))
        if not isinstance(value, dict):
            raise TypeError(f"work {job.work!r} returned a {type(value).__name__}, not a mapping")
    except (Exception, SystemExit) as error:
        status, value = _fault(error), None
        message = one_line(f"{type(error).__name__}: {error}")
        if isinstance(error, MetaloopError) and is_of_the_machine(error):
            message = one_line(str(error))
        trace = traceback.format_exc()
    return Outcome(
        job, status, value, message, time.perf_counter() - wall, own_cpu_seconds() - cpu, trace
    )


def _fault(error: BaseException) -> OutcomeStatus:
    if is_of_the_machine(error):
        return "machine failed"
    return "no memory" if is_out_of_memory(error) else "failed"


def one_line(text: str) -> str:
    """Returns the text without line breaks, and its beginning only if it is very long."""
    words = " ".join(text[: 4 * _MESSAGE_LENGTH].split())
    return words if len(words) <= _MESSAGE_LENGTH else f"{words[:_MESSAGE_LENGTH]}..."


def own_cpu_seconds() -> float:
    """Returns user and system time of this process and of the children it has waited for."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system
