"""Ctrl-C: asked once, a run saves what was reached and ends; asked twice, it ends at once.

SIGTERM, which batch systems send, and SIGHUP, which a closed terminal sends, count as Ctrl-C.
Where nothing could be saved yet, the first request ends it at once, too. A signal that is ignored
(as `nohup` has it) or that the program handles itself is left alone.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = [signal.SIGINT, signal.SIGTERM]
if hasattr(signal, "SIGHUP"):  # not on Windows
    _SIGNALS.append(signal.SIGHUP)
_UNTOUCHED = (signal.SIG_DFL, signal.default_int_handler)
_NOTICE = b"\nmetaloop: stopping, what was reached is being saved (again: stop at once)\n"


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, after what was reached was saved; a `KeyboardInterrupt` that says how to go on.

    `result` is what the call would have returned, a `LearnResult` or `TrainResult`. `exit_code` is
    what a program then ends with: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.
    """

    def __init__(self, advice: str, exit_code: int, result: Any) -> None:
        super().__init__(advice)
        self.exit_code = exit_code
        self.result = result


class Stopper:
    """Inside its `with` statement, calling it says whether the user has asked to stop.

    Set `can_save` once there is something to save: until then a request raises
    `KeyboardInterrupt`, as the second one always does. `signal` is the one that came. Outside of
    the main thread nothing can be heard.
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
            heeded = [n for n in _SIGNALS if signal.getsignal(n) in _UNTOUCHED]
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
