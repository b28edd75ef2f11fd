"""`Executor`: jobs go in, outcomes come back, and what goes wrong with a job is an outcome, too.

A job names a function of a visible table and gives it JSON values: nothing is pickled, a job can be
written down, and `InProcess`, `LocalPool` and other machines run the same.

    with LocalPool(command, num_workers=2) as executor:
        while executor.free:
            executor.submit(next_job())
        for outcome in executor.wait(1.0):
            record(outcome)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

Report = Callable[[Mapping[str, Any]], None]  # a job says how far it is
Work = Callable[[Mapping[str, Any], Report], Mapping[str, Any]]  # arguments to value
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


def one_line(text: str) -> str:
    """Returns the text without line breaks, and its beginning only if it is very long."""
    words = " ".join(text[: 4 * _MESSAGE_LENGTH].split())
    return words if len(words) <= _MESSAGE_LENGTH else f"{words[:_MESSAGE_LENGTH]}..."
