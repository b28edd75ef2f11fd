"""`InProcess`: one job at a time in the caller's process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from metaloop.executors.base import Executor, Job, Outcome, Progress, Work
from metaloop.executors.performing import perform


class InProcess(Executor):
    """One job at a time in the caller's process, during `wait`.

    For nets that only the caller's program has, and where all must be in one process to be
    repeated. A job that hangs or crashes cannot be ended here: `seconds_allowed` is not looked at.
    """

    num_workers = 1

    def __init__(self, works: Mapping[str, Work]) -> None:
        self._works = works
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

        return [perform(self._works, job, report)]

    def events(self) -> list[Progress]:
        """Returns what the job has reported since the last call."""
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """Forgets a job that was not run."""
        self._job = None
        self._closed = True
