"""`VirtualPool`: hundreds of workers that take no time, on a clock of their own.

For looking at a scheduler. A job's answer is worked out in this process when it ends; how long it
took is what `seconds_of` says. Between two calls of `wait` the clock goes on by what the caller has
used of `spent` meanwhile, by default CPU time: one coordinator for many workers is what they wait
for in the end.

    pool = VirtualPool(works, num_workers=64, seconds_of=lambda job: 10.0)
"""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from metaloop.executors.base import Executor, Job, Outcome, Progress, Work
from metaloop.executors.performing import perform


class VirtualPool(Executor):
    """`num_workers` workers that are always ready.

    `seconds_of`: how long a job takes, on the virtual clock; its CPU time is the same.
    `overhead_seconds`: what a job costs the caller besides what `spent` sees of it.
    """

    def __init__(
        self,
        works: Mapping[str, Work],
        num_workers: int,
        seconds_of: Callable[[Job], float],
        *,
        overhead_seconds: float = 0.0,
        spent: Callable[[], float] = time.process_time,
    ) -> None:
        self.num_workers = num_workers
        self.spans: list[tuple[float, float]] = []  # when each job begins and ends
        self.caller_seconds = 0.0  # that went by in the caller, while nobody waited
        self._works, self._seconds_of = works, seconds_of
        self._overhead_seconds, self._spent = overhead_seconds, spent
        self._now, self._seen = 0.0, spent()
        self._running: list[tuple[float, int, Job]] = []  # when it ends, and in which order it came
        self._events: list[Progress] = []
        self._closed = False

    def clock(self) -> float:
        """Returns the virtual time in seconds."""
        return self._now + self._spent() - self._seen

    @property
    def free(self) -> int:
        """How many workers have no job."""
        return 0 if self._closed else self.num_workers - len(self._running)

    @property
    def cpu_seconds(self) -> float:
        """What all workers have been busy, or will have been with what they do."""
        return sum(end - begin for begin, end in self.spans)

    def submit(self, job: Job) -> None:
        """Lets a worker begin with the job, now on the virtual clock."""
        if self.free < 1:
            raise RuntimeError("the executor is closed" if self._closed else "no worker is free")
        json.dumps(dict(job.arguments))
        self._tick(self._overhead_seconds)
        ends = self._now + self._seconds_of(job)
        heapq.heappush(self._running, (ends, len(self.spans), job))
        self.spans.append((self._now, ends))

    def wait(self, timeout_seconds: float) -> list[Outcome]:
        """Returns all that has ended by now; else the clock goes on to what ends next."""
        self._tick()
        if not self._running:
            return []
        if self._running[0][0] > self._now + timeout_seconds:
            self._now += timeout_seconds
            return []
        self._now = max(self._now, self._running[0][0])
        ended = []
        while self._running and self._running[0][0] <= self._now:
            _, place, job = heapq.heappop(self._running)
            begin, end = self.spans[place]
            ended.append(self._outcome(job, end - begin))
        self._seen = self._spent()  # what jobs have used of this process is not the caller's
        return ended

    def events(self) -> list[Progress]:
        """Returns what jobs have reported since the last call."""
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """Forgets all that runs."""
        self._running = []
        self._closed = True

    def _tick(self, more: float = 0.0) -> None:
        now = self._spent()
        self._now += now - self._seen + more
        self.caller_seconds += now - self._seen + more
        self._seen = now

    def _outcome(self, job: Job, seconds: float) -> Outcome:
        def report(content: Mapping[str, Any]) -> None:
            self._events.append(Progress(job, json.loads(json.dumps(dict(content)))))

        done = perform(self._works, job, report)
        return replace(done, wall_seconds=seconds, cpu_seconds=seconds)
