"""A process of its own for a library that bears neither forks nor threads, or sets global seeds.

The process runs a program of metaloop (`python -m PROGRAM`, see `guest_serving.py`); there is one
for each program and environment, started when it is first asked for, and asked by one thread at a
time. It ends when this process does, however that ends: its stdin ends then. A crash is one
`GuestError`, and the next question starts another process; so is a question that takes too long.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from metaloop.core.errors import GuestError, MissingExtraError
from metaloop.core.forking import ForkableLock
from metaloop.core.messages import Arrays, read_message, write_message

_TAIL_BYTES = 4096  # of what it printed
_LONGEST_LINE = 200
_END_SECONDS = 5.0
_ERRORS: Mapping[str, type[GuestError] | type[MissingExtraError]] = {
    error.__name__: error for error in (GuestError, MissingExtraError)
}

_processes: dict[tuple[str, tuple[tuple[str, str], ...]], GuestProcess] = {}
_of_the_parent: list[GuestProcess] = []  # in a forked child: kept, so that they are not ended
_table = ForkableLock()


class GuestProcess:
    """A running guest; `ask` it."""

    def __init__(self, program: str, environment: Mapping[str, str]) -> None:
        self.program = program
        self._asking = ForkableLock()
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 (`end` closes it)
        self._overdue, self._last_lines = False, list[str]()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._printed,
                env=_environment(environment),
            )
        except OSError as error:
            raise GuestError(f"cannot start a process for {program}: {error}") from error

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it can still be asked."""
        return self._process.poll() is None

    def ask(
        self, content: Mapping[str, Any], arrays: Arrays, limit_seconds: float
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Returns its answer.

        Raises `GuestError` if it answers with an error, ends, or takes longer than the limit: then
        it is killed.
        """
        with self._asking:
            timer = threading.Timer(limit_seconds, self._kill)
            timer.daemon = True
            timer.start()
            answer = None
            try:
                with suppress(OSError):  # it has ended, which the missing answer says as well
                    write_message(self._pipe(self._process.stdin), content, arrays)
                    answer = read_message(self._pipe(self._process.stdout))
            except BaseException:  # Ctrl-C: its answer would be taken for that of the next question
                self._process.kill()
                self.end()
                raise
            finally:
                timer.cancel()
            if answer is None:
                self.end()
                raise GuestError(self._how_it_ended(limit_seconds))
        said, found = answer
        if "error" in said:
            raise _ERRORS.get(said["kind"], GuestError)(said["error"])
        return said, found

    def end(self) -> None:
        """Ends the process and frees what belongs to it."""
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # something was left to be written
                self._pipe(pipe).close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if not self._printed.closed:
            self._printed.seek(max(0, self._printed.seek(0, os.SEEK_END) - _TAIL_BYTES))
            self._last_lines = self._printed.read().decode(errors="replace").strip().splitlines()
            self._printed.close()

    def _kill(self) -> None:
        self._overdue = True
        self._process.kill()

    def _how_it_ended(self, limit_seconds: float) -> str:
        if self._overdue:
            return (
                f"{self.program} took longer than {limit_seconds:g} seconds for one task and was "
                "ended"
            )
        code = self._process.returncode
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        lines = self._last_lines
        said = f": {lines[-1].strip()[:_LONGEST_LINE]}" if lines else ""
        return f"the process of {self.program} {how}{said}"

    @staticmethod
    def _pipe(pipe: Any) -> BinaryIO:
        assert pipe is not None
        stream: BinaryIO = pipe
        return stream


def _environment(added: Mapping[str, str]) -> dict[str, str]:
    """The environment here: metaloop is found in it, and nothing of the folder one is in."""
    environment = {**os.environ, **added, "PYTHONSAFEPATH": "1"}
    known = environment.get("PYTHONPATH")
    package = str(Path(__file__).resolve().parents[2])
    environment["PYTHONPATH"] = package if not known else os.pathsep.join((known, package))
    return environment


def guest_process(program: str, environment: Mapping[str, str]) -> GuestProcess:
    """Returns the running process of this program, a new one if there is none."""
    key = (program, tuple(sorted(environment.items())))
    with _table:
        known = _processes.get(key)
        if known is not None and not known.is_alive:
            known.end()  # what belongs to it here
            known = None
        if known is None:
            known = _processes[key] = GuestProcess(program, environment)
        return known


def end_guests() -> None:
    """Ends all processes of guests; whoever asks again starts new ones."""
    with _table:
        while _processes:
            _processes.popitem()[1].end()


def children_seconds() -> float:
    """Returns the CPU-seconds of all processes that this one has started and that have ended."""
    used = os.times()
    return used.children_user + used.children_system


def _in_child() -> None:
    _of_the_parent.extend(_processes.values())
    _processes.clear()


atexit.register(end_guests)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
