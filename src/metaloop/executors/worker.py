"""The worker process of `LocalPool`: jobs come in on stdin, what becomes of them goes to stdout.

Each way it is one JSON object per line. Before libraries load, the worker takes both for itself:
whatever is printed goes to stderr, and there is nothing to read.

    to the worker      {"die_with_parent": true}, then jobs {"number", "work", "arguments"}
    from the worker    {"said": "ready" | "began" | "progress" | "ended", "cpu_total": seconds, ...}

Ctrl-C is the parent's business and ignored here. A worker ends at once when its stdin does, in the
middle of a job, too; if its parent asks for it, Linux sees to that even if Python hangs.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO

from metaloop.executors.base import Job, Work
from metaloop.executors.performing import own_cpu_seconds, perform

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_FIRST_TO_GO = 500  # of 1000: when memory runs out Linux ends a worker, not the coordinator


def serve(load_works: Callable[[], Mapping[str, Work]]) -> None:
    """Runs jobs of the table that `load_works` returns, until stdin ends; it does not return.

    `load_works` is called when libraries can print without harm.
    """
    parent = _Parent()
    works = load_works()
    parent.say("ready")
    while True:
        given = parent.lines.get()
        job = Job(given["number"], given["work"], given["arguments"])
        parent.say("began")
        outcome = perform(works, job, parent.report)
        parent.say(
            "ended",
            status=outcome.status,
            value=outcome.value,
            message=outcome.message,
            wall_seconds=outcome.wall_seconds,
            cpu_seconds=outcome.cpu_seconds,
            trace=outcome.trace,
        )


class _Parent:
    """The line to the parent: `lines` come in, `say` and `report` answer."""

    def __init__(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        incoming, self._outgoing = _take_standard_streams()
        _go_first_when_memory_runs_out()
        self.lines: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._speaking = threading.Lock()
        first = incoming.readline()
        if not first:
            os._exit(0)
        if json.loads(first)["die_with_parent"]:
            _die_with_parent()
        threading.Thread(target=self._listen, args=(incoming,), daemon=True).start()

    def say(self, said: str, **content: Any) -> None:
        """Sends one line; ends the process if nobody is there any more."""
        content |= {"said": said, "cpu_total": own_cpu_seconds()}
        line = json.dumps(content).encode() + b"\n"
        try:
            with self._speaking:
                self._outgoing.write(line)
                self._outgoing.flush()
        except OSError:
            os._exit(1)

    def report(self, content: Mapping[str, Any]) -> None:
        """Sends what a job says of its progress."""
        self.say("progress", content=content)

    def _listen(self, incoming: BinaryIO) -> None:
        with contextlib.suppress(ValueError):  # half a line: the parent died while it wrote
            for line in incoming:
                self.lines.put(json.loads(line))
        os._exit(0)


def _take_standard_streams() -> tuple[BinaryIO, BinaryIO]:
    """Returns what stdin and stdout were; from now on they are nothing and stderr."""
    sys.stdout.flush()
    incoming, outgoing = os.dup(0), os.dup(1)  # not inherited by processes that libraries start
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)  # or a crash would take the last words along
    stream = os.fdopen(outgoing, "wb")
    stream.write(b"\n")  # something printed before may have left half a line
    return os.fdopen(incoming, "rb"), stream


def _die_with_parent() -> None:
    """Asks Linux for SIGKILL when the thread that started this process ends."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another libc: stdin's end remains
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _go_first_when_memory_runs_out() -> None:
    with contextlib.suppress(OSError):  # no Linux
        Path("/proc/self/oom_score_adj").write_text(str(_FIRST_TO_GO))
