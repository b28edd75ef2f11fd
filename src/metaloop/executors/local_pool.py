"""`LocalPool`: jobs on worker processes of this machine; one that hangs or dies is replaced.

Workers are started at once and jobs may be submitted before they are ready. They are plain child
processes (`worker.py`), not those of `multiprocessing`: a user's script needs no main guard.

- A job that takes longer than it may: its worker is ended, a fresh one takes its place.
- A worker that dies in a job: the job is `crashed`. If that was not the job's fault (it had not
  begun, or someone sent SIGTERM, as batch systems do), the job goes to the worker's successor. So
  it does, once, after SIGKILL, which may be somebody's or the kernel's; twice is `no memory`.
- Too many deaths in a row, without a job that ended or a worker that became ready in between, are
  an error: something is wrong that no restart mends.
- When the coordinator dies, even by SIGKILL, its workers end.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue

import metaloop
from metaloop.core.errors import MetaloopError
from metaloop.executors.base import Executor, Job, Outcome, OutcomeStatus, Progress
from metaloop.executors.worker_process import Message, WorkerProcess, end_all

_DEATHS_TO_SPARE = 3  # in a row, beside two for each worker
_START_SECONDS = 300.0  # for a worker to load its libraries, on a busy machine and a slow disk
_POLL_SECONDS = 0.2  # between looks whether a worker is still there
_MAX_EVENTS = 10_000  # a caller who never asks for events does not fill the memory with them
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


class LocalPool(Executor):
    """`num_workers` processes with `threads` threads each.

    `command` starts a worker that calls `worker.serve`, for example `module_command(...)`. To be
    used from one thread. Raises `MetaloopError` if no process can be started.
    """

    def __init__(self, command: Sequence[str], num_workers: int, *, threads: int = 1) -> None:
        if num_workers < 1 or threads < 1:
            raise MetaloopError(
                f"expected at least one worker with one thread, got {num_workers} with {threads}"
            )
        self.num_workers = num_workers
        self._command = tuple(command)
        self._environment = _worker_environment(threads)
        self._messages: SimpleQueue[Message] = SimpleQueue()
        self._outcomes: list[Outcome] = []
        self._events: deque[Progress] = deque(maxlen=_MAX_EVENTS)
        self._failed_starts = self._crashes = 0  # in a row
        self._given_up = ""
        self._tried_again: set[int] = set()  # numbers of jobs whose worker was killed
        self._cpu_of_the_dead = 0.0
        self._workers: list[WorkerProcess] = []
        # Also when the pool is forgotten and when the interpreter exits.
        self._end = weakref.finalize(self, _end_own, self._workers, os.getpid())
        try:
            for _ in range(num_workers):
                self._workers.append(self._new_worker())
        except BaseException:
            self.close()
            raise

    @property
    def free(self) -> int:
        """How many workers have no job; those that still start are free as well."""
        return sum(worker.job is None for worker in self._workers)

    @property
    def cpu_seconds(self) -> float:
        """CPU time of all workers so far, as last heard from them; exact after `close`."""
        return self._cpu_of_the_dead + sum(worker.cpu_total for worker in self._workers)

    def submit(self, job: Job) -> None:
        """Hands the job to a worker, at best one that is ready; does not wait for it."""
        self._refuse_if_given_up()
        free = [worker for worker in self._workers if worker.job is None]
        if not free or not self._end.alive:
            raise RuntimeError("no worker is free" if self._end.alive else "the pool is closed")
        _give(max(free, key=lambda worker: worker.ready), job)

    def wait(self, timeout_seconds: float) -> list[Outcome]:
        """Returns what has ended; hangs and deaths are noticed in here, so call it often."""
        until = time.monotonic() + timeout_seconds
        while self._end.alive:
            self._hear_all()
            self._end_overdue()
            self._replace_dead()
            if self._outcomes:
                ended, self._outcomes = self._outcomes, []
                return ended
            self._refuse_if_given_up()
            left = until - time.monotonic()
            if left <= 0 or all(worker.job is None for worker in self._workers):
                return []
            with suppress(Empty):
                self._heard(self._messages.get(timeout=min([left, _POLL_SECONDS, *self._due()])))
        return []

    def events(self) -> list[Progress]:
        """Returns what jobs have reported since the last call, the last 10,000 at most."""
        events = list(self._events)
        self._events.clear()
        return events

    def close(self) -> None:
        """Ends all workers at once, whatever they do; nothing of them is left."""
        self._end()

    def _new_worker(self) -> WorkerProcess:
        worker = WorkerProcess(self._command, self._environment, self._messages)
        # Linux would end it with the *thread* that started it: right for the main thread only.
        in_main_thread = threading.current_thread() is threading.main_thread()
        worker.send({"die_with_parent": in_main_thread})
        return worker

    def _hear_all(self) -> None:
        while not self._messages.empty():
            self._heard(self._messages.get())

    def _heard(self, message: Message) -> None:
        worker, content = message.sender, message.content
        if content is None or worker not in self._workers:
            return
        worker.cpu_total = max(worker.cpu_total, content["cpu_total"])
        if content["said"] == "ready":
            worker.ready = True
            self._failed_starts = 0
        elif content["said"] == "began":
            worker.began_at, worker.cpu_at_begin = message.at, content["cpu_total"]
        elif worker.job is not None and content["said"] == "progress":
            self._events.append(Progress(worker.job, content["content"]))
        elif worker.job is not None and content["said"] == "ended":
            names = ("status", "value", "message", "wall_seconds", "cpu_seconds", "trace")
            self._outcomes.append(Outcome(worker.job, **{name: content[name] for name in names}))
            worker.job = worker.began_at = None
            self._crashes = 0

    def _due(self) -> list[float]:
        """Seconds from now until jobs have to be ended."""
        now = time.monotonic()
        return [
            max(0.0, worker.began_at + worker.job.seconds_allowed - now)
            for worker in self._workers
            if worker.job is not None
            and worker.job.seconds_allowed is not None
            and worker.began_at is not None
        ]

    def _end_overdue(self) -> None:
        now = time.monotonic()
        for index, worker in enumerate(self._workers):
            job = worker.job
            if not worker.ready and now - worker.started_at > _START_SECONDS:
                worker.note(f"\nnot ready after {_START_SECONDS:g} s".encode())
                worker.end()  # `_replace_dead` does the rest
            elif job is None or job.seconds_allowed is None or worker.began_at is None:
                continue
            elif now - worker.began_at > job.seconds_allowed:
                worker.end()
                self._hear_all()  # it may have ended in the last moment
                if worker.job is job:
                    message = f"ended after {job.seconds_allowed:g} s"
                    self._outcomes.append(_broken_off(worker, job, "timed out", message))
                self._replace(index)

    def _replace_dead(self) -> None:
        for index, worker in enumerate(self._workers):
            if self._given_up or not worker.has_ended():
                continue
            self._hear_all()  # a job may have ended before its worker died
            job = worker.job
            message = f"its worker {worker.ending}"
            message += f": {worker.last_words}" if worker.last_words else ""
            if job is not None and worker.began_at is not None and not self._again(worker, job):
                status: OutcomeStatus = "no memory" if worker.was_killed else "crashed"
                self._outcomes.append(_broken_off(worker, job, status, message))
                worker.job = job = None
            self._count_death(worker)
            most = _DEATHS_TO_SPARE + 2 * self.num_workers
            if max(self._crashes, self._failed_starts) > most:
                self._given_up = (
                    f"worker processes keep dying, {most + 1} in a row; the last {worker.ending}: "
                    f"{worker.last_words or 'it printed nothing'}"
                )
                return
            self._replace(index)
            if job is not None:
                _give(self._workers[index], job)

    def _again(self, worker: WorkerProcess, job: Job) -> bool:
        """Whether the job of a worker that died is given to its successor."""
        if worker.was_killed and job.number not in self._tried_again:
            self._tried_again.add(job.number)
            return True
        return worker.ended_from_outside

    def _count_death(self, worker: WorkerProcess) -> None:
        if worker.ready:
            self._crashes += 1
        else:
            self._failed_starts += 1

    def _replace(self, index: int) -> None:
        self._cpu_of_the_dead += self._workers[index].cpu_total
        self._workers[index] = self._new_worker()

    def _refuse_if_given_up(self) -> None:
        if self._given_up:
            raise MetaloopError(self._given_up)


def module_command(module: str, *arguments: str) -> list[str]:
    """Returns the command that runs a module in a fresh Python.

    Not from the current folder, where a user's random.py would take the place of Python's.
    """
    safe_path = ["-P"] if sys.version_info >= (3, 11) else []
    return [sys.executable, *safe_path, "-m", module, *arguments]


def _end_own(workers: Sequence[WorkerProcess], owner: int) -> None:
    if os.getpid() == owner:  # a fork of the coordinator has none of its own
        end_all(workers)


def _give(worker: WorkerProcess, job: Job) -> None:
    worker.send({"number": job.number, "work": job.work, "arguments": dict(job.arguments)})
    worker.job, worker.began_at = job, None


def _broken_off(worker: WorkerProcess, job: Job, status: OutcomeStatus, message: str) -> Outcome:
    assert worker.began_at is not None
    wall_seconds = time.monotonic() - worker.began_at
    cpu_seconds = worker.cpu_total - worker.cpu_at_begin
    return Outcome(job, status, None, message, wall_seconds, cpu_seconds, worker.printed)


def _worker_environment(threads: int) -> dict[str, str]:
    """The own environment, this metaloop wherever it was found, and the number of threads."""
    environment = {**os.environ, **dict.fromkeys(_THREAD_VARIABLES, str(threads))}
    source = Path(metaloop.__file__).resolve().parents[1]
    if source.name not in ("site-packages", "dist-packages"):
        paths = [path for path in (environment.get("PYTHONPATH"), str(source)) if path]
        environment["PYTHONPATH"] = os.pathsep.join(paths)
    return environment
