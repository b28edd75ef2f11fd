"""Progress on stderr: a live line on a terminal, a plain line now and then anywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from metaloop.cli.errors import warn
from metaloop.cli.output import drop, figure, say

if TYPE_CHECKING:
    from rich.live import Live

    from metaloop.core.records import Result
    from metaloop.core.statistics import Estimate
    from metaloop.tasks.store import LeftOut

_SECONDS_BETWEEN_LINES = 5.0  # where there is no terminal to overwrite a line on


class Progress:
    """Shows what goes on: `status` is the present state, `line` something that stays."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self._live: Live | None = None
        self._last_line = time.monotonic()  # a quick error is the only line

    def __enter__(self) -> Progress:
        if not self.quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            console = Console(stderr=True, markup=False, highlight=False, emoji=False)
            # stdout is not redirected: results go there and nothing else
            self._live = Live(
                console=console, transient=True, refresh_per_second=4, redirect_stdout=False
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            live, self._live = self._live, None
            try:
                live.stop()
            except OSError:  # a terminal that was closed: no reason to lose a result
                drop(sys.stderr)

    def status(self, text: str) -> None:
        """Shows the present state; without a terminal at most every few seconds."""
        if self.quiet:
            return
        if self._live is not None:
            self._live.update(_one_row(text))
            return
        now = time.monotonic()
        if now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            say(text)

    def line(self, text: str) -> None:
        """Shows a line that stays."""
        if self.quiet:
            return
        if self._live is not None:
            self._print(text)
        else:
            say(text)

    def left_out(self, items: Iterable[LeftOut]) -> None:
        """Warns of what was found in the data and not used, a line for each reason."""
        for item in items:
            what = f"{item.count} x {item.reason}" if item.count > 1 else item.reason
            text = f"left out: {what}: {item.what}"
            if self._live is not None:
                self._print(f"metaloop: warning: {text}")
            else:
                warn(text)

    def _print(self, text: str) -> None:
        assert self._live is not None
        try:
            self._live.console.print(text, soft_wrap=True)
        except OSError:  # the terminal was closed
            drop(sys.stderr)


def result_figure(result: Result | None) -> str:
    """Returns the figure of a result with its interval, or `-`."""
    return "-" if result is None else figure(vars(result))


def gain(progress: Estimate, shots: Sequence[int]) -> str:
    """Returns a paired difference in points: `+1.2 +/- 0.4 over its parent (1 and 5 shots)`."""
    said = f"{100 * progress.value:+.1f} +/- {100 * progress.ci95:.1f} over its parent"
    return f"{said} ({' and '.join(map(str, shots))} shots)" if len(shots) > 1 else said


def clock(seconds: float | None) -> str:
    """Returns `2:05 left`, or nothing where the time is unknown."""
    if seconds is None:
        return ""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes}:{rest:02d} left"


def joined(*parts: str) -> str:
    """Returns the parts that are not empty, as one line."""
    return " · ".join(part for part in parts if part)


def _one_row(text: str) -> Any:
    from rich.text import Text

    return Text(text, no_wrap=True, overflow="ellipsis", style="cyan")
