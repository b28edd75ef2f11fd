"""`RayPool`: jobs on workers of a Ray cluster; nothing is shared but Ray's object store.

A worker is an actor (`ray_worker.py`) that holds as many of the cluster's CPUs as it has threads; a
job is one call of it, which streams what it says. Files travel as objects: the run's data once to
every machine, states to whoever reads them. What a job has written is fetched and kept by the
caller before the job counts as ended, so a machine may vanish at any time.

- What goes wrong in a job is told by the worker's own `LocalPool`, as on one machine.
- A worker that is lost: another one is started, wherever there is room, and gets its job again.
  Lost alone, most likely for want of memory: once. With its machine: `_MOST_MACHINES` times.
- Jobs wait here until a worker is ready, so one that cannot be started keeps none of them.
- Too many losses in a row, or no worker for `_START_SECONDS`, are an error.
"""

from __future__ import annotations

import json
import secrets
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import metaloop
from metaloop.core.errors import MachineError, MetaloopError, missing_extra
from metaloop.executors.base import Executor, Job, Outcome, OutcomeStatus, Progress, one_line
from metaloop.executors.luggage import Luggage
from metaloop.executors.ray_worker import RayWorker, sources_digest

_DEATHS_TO_SPARE = 3  # in a row, beside two for each worker
_MOST_ALONE, _MOST_MACHINES = 2, 4  # losses of a job's worker after which it has failed
_START_SECONDS = 300.0  # for a worker to get its data and its process
_LEAVE_SECONDS = 10.0
_MAX_EVENTS = 10_000
_PIECE_BYTES = 64 << 20  # of a file: each is an object that Ray can move and spill
_FILES_KEPT = 64  # states that stay in the object store after they were sent


@dataclass(eq=False)
class _Worker:
    """An actor, what it said last, the job that it has and the stream of that job."""

    actor: Any
    hello: Any
    started_at: float
    ready: bool = False
    host: str = "?"
    node: str = ""
    cpu_total: float = 0.0
    cpu_at_begin: float = 0.0
    job: Job | None = None
    began_at: float = 0.0
    stream: Any = None

    @property
    def awaited(self) -> Any:
        """What Ray is asked to wait for: None if this worker has nothing to say."""
        return self.stream if self.ready else self.hello


class RayPool(Executor):
    """`num_workers` workers of `threads` threads each on the cluster that Ray is connected to.

    To be used from one thread. Raises `MetaloopError` without Ray, or if the data cannot be handed
    to it.
    """

    def __init__(self, luggage: Luggage, num_workers: int, *, threads: int = 1) -> None:
        try:
            import ray  # optional extra
        except ImportError as error:
            raise missing_extra("the executor 'ray'", "ray") from error
        if num_workers < 1 or threads < 1:
            raise MetaloopError(
                f"expected at least one worker with one thread, got {num_workers} with {threads}"
            )
        self._ray, self._luggage, self._threads = ray, luggage, threads
        self.num_workers = num_workers
        self._token = secrets.token_hex(6)
        self._sources = sources_digest()
        self._waiting: deque[Job] = deque()
        self._outcomes: list[Outcome] = []
        self._events: deque[Progress] = deque(maxlen=_MAX_EVENTS)
        self._losses: dict[int, tuple[int, int]] = {}  # of a job's worker: alone, with its machine
        self._losses_in_row = 0
        self._cpu_of_the_lost = 0.0
        self._sent: dict[str, Any] = {}  # states in the object store, the latest last
        self._workers: list[_Worker] = []
        self._closed = False
        self._ready_at = time.monotonic()  # when there was a worker last
        try:
            self._carried = {place: self._put_file(path) for place, path in luggage.files().items()}
            for _ in range(num_workers):
                self._workers.append(self._new_worker())
        except (OSError, ray.exceptions.RayError) as error:
            self.close()
            raise MachineError(
                f"the data cannot be given to Ray: {one_line(str(error))}"
            ) from error
        except BaseException:
            self.close()
            raise

    @property
    def free(self) -> int:
        """How many workers have no job; those that still start are free as well."""
        busy = sum(worker.job is not None for worker in self._workers)
        return 0 if self._closed else self.num_workers - busy - len(self._waiting)

    @property
    def cpu_seconds(self) -> float:
        """CPU time of all workers so far, as last heard from them; Ray's own is not in it."""
        return self._cpu_of_the_lost + sum(worker.cpu_total for worker in self._workers)

    def submit(self, job: Job) -> None:
        """Takes the job; the first worker that is ready gets it."""
        if self._closed or self.free < 1:
            raise RuntimeError("the pool is closed" if self._closed else "no worker is free")
        json.dumps(dict(job.arguments))
        self._waiting.append(job)
        self._give()

    def wait(self, timeout_seconds: float) -> list[Outcome]:
        """Returns what has ended; losses are noticed in here, so call it often."""
        until = time.monotonic() + timeout_seconds
        while not self._closed:
            self._give()
            busy = self.free < self.num_workers
            left = until - time.monotonic()
            self._hear(max(0.0, left) if busy and not self._outcomes else 0.0)
            self._give()
            if self._outcomes:
                ended, self._outcomes = self._outcomes, []
                return ended
            if left <= 0 or not busy:
                return []
            self._refuse_if_none_starts()
        return []

    def events(self) -> list[Progress]:
        """Returns what jobs have reported since the last call, the last 10,000 at most."""
        events = list(self._events)
        self._events.clear()
        return events

    def close(self) -> None:
        """Ends all workers at once, whatever they do; their folders go, too."""
        if self._closed:
            return
        self._closed = True
        with suppress(self._ray.exceptions.RayError):
            ready = [worker for worker in self._workers if worker.ready]
            leaving = {worker.actor.leave.remote(): worker for worker in ready}
            gone, _ = self._ray.wait(
                list(leaving), num_returns=max(1, len(leaving)), timeout=_LEAVE_SECONDS
            ) if leaving else ([], [])  # fmt: skip
            for reference in gone:
                with suppress(self._ray.exceptions.RayError):
                    worker = leaving[reference]
                    worker.cpu_total = max(worker.cpu_total, self._ray.get(reference))
        for worker in self._workers:
            self._end(worker)
        self._carried, self._sent = {}, {}

    def _new_worker(self) -> _Worker:
        options = {"num_cpus": self._threads, "max_restarts": 0, "max_task_retries": 0}
        made = self._ray.remote(RayWorker).options(
            **options, max_concurrency=2, scheduling_strategy="SPREAD"
        )
        given = self._luggage
        actor = made.remote(
            self._token, given.arguments, given.shared, self._threads, self._carried
        )
        return _Worker(actor, actor.hello.remote(), time.monotonic())

    def _put_file(self, path: Path) -> list[Any]:
        """Returns references to the pieces of a file, now in the object store."""
        size = path.stat().st_size
        content = np.memmap(path, np.uint8, "r") if size else np.zeros(0, np.uint8)
        starts = range(0, size, _PIECE_BYTES)
        return [self._put(content[start : start + _PIECE_BYTES]) for start in starts]

    def _put(self, content: Any) -> Any:
        try:
            return self._ray.put(content)
        except self._ray.exceptions.RayError as error:  # full, and its disk, too
            why = one_line(str(error))
            raise MachineError(f"Ray's object store takes no more of the run: {why}") from error

    def _give(self) -> None:
        """Gives waiting jobs to workers that are ready."""
        for worker in self._workers:
            if not self._waiting:
                return
            if worker.ready and worker.job is None:
                job = self._waiting.popleft()
                worker.job, worker.began_at = job, time.monotonic()
                worker.cpu_at_begin = worker.cpu_total
                needs = {name: self._reference(name) for name in self._luggage.needs(job)}
                fields = {**asdict(job), "arguments": dict(job.arguments)}
                call = worker.actor.perform.options(num_returns="streaming")
                worker.stream = call.remote(fields, needs)

    def _reference(self, name: str) -> Any:
        """Returns a state as an object; those that were sent lately are there still."""
        reference = self._sent.pop(name, None)
        if reference is None:
            reference = self._put(self._luggage.read(name))
        self._sent[name] = reference
        if len(self._sent) > _FILES_KEPT:
            self._sent.pop(next(iter(self._sent)))
        return reference

    def _hear(self, timeout_seconds: float) -> None:
        """Waits until a worker says something, then takes in what all have said."""
        awaited = {worker.awaited: worker for worker in self._workers if worker.awaited is not None}
        if not awaited:
            return
        wait = self._ray.wait
        said, _ = wait(list(awaited), num_returns=1, timeout=min(timeout_seconds, 1.0))
        if said and len(awaited) > 1:
            said, _ = wait(list(awaited), num_returns=len(awaited), timeout=0)
        for reference in said:
            worker = awaited[reference]
            try:
                content = self._ray.get(next(reference) if worker.ready else reference)
            except (StopIteration, self._ray.exceptions.RayError) as error:
                self._lose(worker, error)
            else:
                self._heard(worker, content)

    def _heard(self, worker: _Worker, content: Mapping[str, Any]) -> None:
        worker.cpu_total = max(worker.cpu_total, content["cpu_total"])
        if not worker.ready:
            self._greet(worker, content)
            return
        job = worker.job
        assert job is not None
        if content["said"] == "broken":
            raise MachineError(f"a worker on {worker.host} cannot go on: {content['message']}")
        if content["said"] == "progress":
            self._events.extend(Progress(job, one) for one in content["contents"])
            return
        for name, written in content["files"].items():
            self._luggage.write(name, written)
        names = ("status", "value", "message", "wall_seconds", "cpu_seconds", "trace")
        self._outcomes.append(Outcome(job, **{name: content[name] for name in names}))
        worker.job = worker.stream = None
        self._losses_in_row = 0

    def _greet(self, worker: _Worker, hello: Mapping[str, Any]) -> None:
        if (hello["version"], hello["sources"]) != (metaloop.__version__, self._sources):
            raise MetaloopError(
                f"the machine {hello['host']} has metaloop {hello['version']} ({hello['sources']}),"
                f" this one {metaloop.__version__} ({self._sources}); install the same everywhere"
            )
        worker.ready, worker.host, worker.node = True, hello["host"], hello["node"]
        worker.hello = None

    def _lose(self, worker: _Worker, error: BaseException) -> None:
        """Starts another worker in the place of a lost one; its job waits to be given again."""
        why = _why(error)
        if "No module named 'metaloop" in str(error):
            raise MetaloopError(
                "a machine of the cluster has no metaloop (or another one) where Ray looks for it; "
                f"install {metaloop.__version__} on every machine"
            ) from error
        self._end(worker)
        self._losses_in_row += 1
        if worker.job is not None and not self._again(worker, worker.job, error):
            status: OutcomeStatus = "no memory" if is_for_memory(str(error)) else "crashed"
            wall = time.monotonic() - worker.began_at
            cpu = worker.cpu_total - worker.cpu_at_begin
            message = f"its worker on {worker.host} was lost each time: {why}"
            self._outcomes.append(Outcome(worker.job, status, None, message, wall, cpu, str(error)))
        elif worker.job is not None:
            self._waiting.appendleft(worker.job)
        self._cpu_of_the_lost += worker.cpu_total
        if self._losses_in_row > _DEATHS_TO_SPARE + 2 * self.num_workers:
            raise MetaloopError(
                f"workers of the cluster keep being lost, {self._losses_in_row} in a row: {why}"
            )
        self._workers[self._workers.index(worker)] = self._new_worker()

    def _again(self, worker: _Worker, job: Job, error: BaseException) -> bool:
        """Whether the job of a lost worker is tried again.

        Of a machine that is cut off Ray first says that the worker cannot be reached.
        """
        alone, with_machine = self._losses.get(job.number, (0, 0))
        alive = [node["NodeID"] for node in self._ray.nodes() if node["Alive"]]
        unreachable = isinstance(error, self._ray.exceptions.ActorUnavailableError)
        if worker.node in alive and not unreachable:
            alone += 1
        else:
            with_machine += 1
        self._losses[job.number] = alone, with_machine
        return alone < _MOST_ALONE and with_machine < _MOST_MACHINES

    def _end(self, worker: _Worker) -> None:
        with suppress(self._ray.exceptions.RayError, ValueError):
            self._ray.kill(worker.actor, no_restart=True)

    def _refuse_if_none_starts(self) -> None:
        now = time.monotonic()
        if any(worker.ready for worker in self._workers):
            self._ready_at = now
        elif now - self._ready_at > _START_SECONDS:
            have = self._ray.cluster_resources().get("CPU", 0)
            idle = self._ray.available_resources().get("CPU", 0)
            raise MetaloopError(
                f"no worker could be started in {_START_SECONDS:g} s: a worker needs "
                f"{self._threads} CPU, the cluster has {have:g}, {idle:g} of them idle"
            )


def is_for_memory(said: str) -> bool:
    """Returns whether Ray ended a worker because its machine ran low on memory, by what it says.

    Of any worker that is lost it says that the system's own OOM killer may have done it.
    """
    said = said.lower()
    return "low on memory" in said or "memory pressure" in said


def _why(error: BaseException) -> str:
    """Returns the line that says what happened: Ray tells much, and what a worker raised last."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [repr(error)]
    return one_line(lines[-1] if "creation task" in str(error) else lines[0])
