"""Jobs in this process, their names noted: an executor to be added by a test."""

from __future__ import annotations

from collections.abc import Mapping

from metaloop.executors.base import Executor, Job, Outcome, Progress, Work
from metaloop.executors.in_process import InProcess


class Noting(Executor):
    """Does one job at a time, and knows what it has done."""

    num_workers = 1

    def __init__(self, works: Mapping[str, Work]) -> None:
        self.inner = InProcess(works)
        self.noted: list[str] = []

    @property
    def free(self) -> int:
        """Whether it has nothing to do."""
        return self.inner.free

    @property
    def cpu_seconds(self) -> float:
        """None of its own."""
        return 0.0

    def submit(self, job: Job) -> None:
        """Notes and keeps the job."""
        self.noted.append(job.work)
        self.inner.submit(job)

    def wait(self, timeout_seconds: float) -> list[Outcome]:
        """Returns what came of the job."""
        return self.inner.wait(timeout_seconds)

    def events(self) -> list[Progress]:
        """Returns what the job has reported."""
        return self.inner.events()

    def close(self) -> None:
        """Forgets a job that was not run."""
        self.inner.close()
