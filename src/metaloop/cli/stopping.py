"""Ctrl-C: asked once, a run saves what was reached and ends; asked twice, it ends at once.

SIGTERM, which batch systems send, and SIGHUP, which a closed terminal sends (unless it is ignored,
as `nohup` has it), count as Ctrl-C. Where nothing could be saved yet, the first
request ends the command at once, too.
"""

from __future__ import annotations

import os
import shlex
import signal
import threading
from collections.abc import Mapping
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

from metaloop.cli.output import say

_DEFAULTS = {"budget": "3m", "ways": 5, "shots": 1, "queries": 15, "seed": 0, "split_seed": 0}
_SIGNALS = [signal.SIGINT, signal.SIGTERM]
if hasattr(signal, "SIGHUP"):  # not on Windows
    _SIGNALS.append(signal.SIGHUP)
_NOTICE = b"\nmetaloop: stopping, what was reached is being saved (again: stop at once)\n"


def say_how_to_go_on(verb: str, data: str, given: Mapping[str, Any]) -> None:
    """Writes, on stderr, the command that goes on with an interrupted run."""
    words = ["metaloop", verb, data]
    for name, value in given.items():
        values = value if isinstance(value, list) else [value]  # a repeated option
        for each in values:
            if each is not None and each != _DEFAULTS.get(name):
                words += [f"--{name.replace('_', '-')}", str(each)]
    say(f"metaloop: go on with: {shlex.join([*words, '--resume'])}")


class Stopper:
    """Inside its `with` statement, calling it says whether the user has asked to stop.

    Set `can_save` once there is something to save: until then a request raises
    `KeyboardInterrupt`, as the second one always does. `signal` is the one that came.
    """

    def __init__(self) -> None:
        self.can_save = False
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __call__(self) -> bool:
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """What a command ends with that was stopped: 130 after Ctrl-C, 143 SIGTERM, 129 SIGHUP."""
        return 128 + (self.signal or signal.SIGINT)

    def __enter__(self) -> Stopper:
        if threading.current_thread() is threading.main_thread():
            heeded = [n for n in _SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._handle) for number in heeded}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        first = self.signal is None
        self.signal = number if first else self.signal
        if not first or not self.can_save:
            raise KeyboardInterrupt(self.exit_code)
        with suppress(OSError):  # after SIGHUP there may be no terminal
            os.write(2, _NOTICE)  # print() may be what was interrupted
