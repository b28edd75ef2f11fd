"""`WorkerProcess`: one child process as its pool sees it: start, send, hear, end, bury.

Three threads at most belong to it: two that read what it says and what it prints, one while
something is written. Each closes its own pipe, so that nothing is left when the process has ended.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedReader
from queue import SimpleQueue
from typing import Any

from metaloop.core.errors import MetaloopError
from metaloop.executors.base import Job, one_line

_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has neither
_HANG_UP = getattr(signal, "SIGHUP", signal.SIGTERM)
_TERMINATE_SECONDS = 1.0  # from SIGTERM to SIGKILL
_KILL_SECONDS = 5.0  # a process that the kernel cannot end by then is left to it
_JOIN_SECONDS = 2.0  # a pipe that a stranger has inherited stays open; its thread is left alone
_POLL_SECONDS = 0.005
_TAIL_BYTES = 8192  # of what it printed


@dataclass(frozen=True)
class Message:
    """What a worker said, None when it will say no more, and when (`time.monotonic`)."""

    sender: WorkerProcess
    content: dict[str, Any] | None
    at: float


class WorkerProcess:
    """A running worker, what it said last, and the job that it has.

    `cpu_total` is the CPU time of its whole life, as far as known; exact once it has ended.
    `began_at` is None until it has begun with its job.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        messages: SimpleQueue[Message],
    ) -> None:
        self.job: Job | None = None
        self.ready = False
        self.cpu_total = self.cpu_at_begin = 0.0
        self.started_at = time.monotonic()
        self.began_at: float | None = None
        self._printed_early = self._printed = b""
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(environment),
                start_new_session=True,  # Ctrl-C at the terminal is for the coordinator alone
            )
        except OSError as error:
            raise MetaloopError(f"cannot start a worker process: {error}") from error
        self._writer: threading.Thread | None = None
        self._readers = [
            threading.Thread(target=self._hear, args=(self._process.stdout, messages), daemon=True),
            threading.Thread(target=self._overhear, args=(self._process.stderr,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def send(self, content: Mapping[str, Any]) -> None:
        """Sends a line of JSON without waiting until it is read; to a dead worker, nothing."""
        line = json.dumps(content).encode() + b"\n"
        if self._writer is not None:
            self._writer.join()
        self._writer = threading.Thread(target=self._write, args=(line,), daemon=True)
        self._writer.start()

    def has_ended(self) -> bool:
        """Returns whether the process is gone; then all it said is in the queue."""
        if self._process.returncode is None and self._bury():
            self._leave_no_thread()
        return self._process.returncode is not None

    def end(self) -> None:
        """Ends the process, by force if need be, and frees what belongs to it."""
        end_all([self])

    def signal_group(self, number: int) -> None:
        """Sends a signal to the worker and to what it has started."""
        with suppress(ProcessLookupError, PermissionError):
            if sys.platform == "win32":
                self._process.terminate()
            else:
                os.killpg(self._process.pid, number)

    def note(self, printed: bytes) -> None:
        """Adds to what it printed, of which the end is kept."""
        self._printed = (self._printed + printed)[-_TAIL_BYTES:]

    @property
    def printed(self) -> str:
        """The end of what it printed."""
        both = (self._printed_early + self._printed)[-_TAIL_BYTES:]
        return both.decode(errors="replace").strip()

    @property
    def last_words(self) -> str:
        """The last line of what it printed, "" if there is none."""
        return one_line(self.printed.splitlines()[-1]) if self.printed else ""

    @property
    def ended_from_outside(self) -> bool:
        """Whether someone ended the process with the signal that asks programs to stop."""
        return self._process.returncode in (-signal.SIGTERM, -_HANG_UP)

    @property
    def was_killed(self) -> bool:
        """Whether the process was ended by SIGKILL: by someone, or for want of memory."""
        return self._process.returncode == -_KILL

    @property
    def ending(self) -> str:
        """How the process ended, in words."""
        code = self._process.returncode
        if code is None:
            return "could not be ended"
        if code >= 0:
            return f"ended with exit code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        if name == "SIGKILL":  # not by its pool, which does not ask then
            return "was killed (SIGKILL), most likely because the machine ran out of memory"
        return f"died of {name}"

    def _bury(self) -> bool:
        """Returns whether the process has ended; then it is no zombie and its CPU time is known."""
        if sys.platform == "win32":
            return self._process.poll() is not None
        try:
            pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
        except ChildProcessError:  # a program that ignores SIGCHLD
            return self._process.poll() is not None
        if not pid:
            return False
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu_total = max(self.cpu_total, usage.ru_utime + usage.ru_stime)
        self.signal_group(signal.SIGKILL)  # what the worker has started and left behind
        return True

    def _leave_no_thread(self) -> None:
        for thread in [*self._readers, *([self._writer] if self._writer else [])]:
            thread.join(_JOIN_SECONDS)
        if self._writer is None or not self._writer.is_alive():
            assert self._process.stdin is not None
            with suppress(OSError):  # it tries again to write what could not be written
                self._process.stdin.close()

    def _write(self, line: bytes) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # it died, which others notice
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def _hear(self, pipe: BufferedReader, messages: SimpleQueue[Message]) -> None:
        with pipe:
            for line in pipe:
                content = _message(line)
                if content is not None:
                    messages.put(Message(self, content, time.monotonic()))
                else:  # printed before the worker had its streams for itself
                    self._printed_early = (self._printed_early + line)[-_TAIL_BYTES:]
        messages.put(Message(self, None, time.monotonic()))

    def _overhear(self, pipe: BufferedReader) -> None:
        with pipe:
            while printed := pipe.read1(_TAIL_BYTES):
                self.note(printed)


def end_all(workers: Sequence[WorkerProcess]) -> None:
    """Ends all these processes at the same time, by SIGTERM and then SIGKILL."""
    left = [worker for worker in workers if not worker.has_ended()]
    for number, patience in ((signal.SIGTERM, _TERMINATE_SECONDS), (_KILL, _KILL_SECONDS)):
        for worker in left:
            worker.signal_group(number)
        until = time.monotonic() + patience
        while left and time.monotonic() < until:
            left = [worker for worker in left if not worker.has_ended()]
            if left:
                time.sleep(_POLL_SECONDS)


def _message(line: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(line)
    except ValueError:
        return None
    return content if isinstance(content, dict) and "said" in content else None
