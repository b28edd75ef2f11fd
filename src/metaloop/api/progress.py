"""Progress: a live line in a terminal, one updating line in a notebook, plain lines elsewhere.

Lines go to stderr, where no results are. A notebook shows stderr as a fault: there it is stdout.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from metaloop.api.speaking import drop, one_line, say, warn

if TYPE_CHECKING:
    from rich.live import Live

    from metaloop.tasks.store import LeftOut

Style = Literal["silent", "lines", "live", "notebook"]

SECONDS_BETWEEN_LINES = 5.0  # where there is no line to write over
_SECONDS_BETWEEN_UPDATES = 0.25
_NOTEBOOK_WIDTH = 100  # characters; a longer line would be broken, and not written over


def style_of(asked: bool | None) -> Style:
    """Returns how progress is shown.

    `False`: not at all. `None`: where a line can be written over, that is in notebooks and
    terminals. `True`: everywhere else, too, as a plain line now and then.
    """
    if asked is False:
        return "silent"
    if in_notebook():
        return "notebook"
    if sys.stderr is not None and sys.stderr.isatty():
        return "live"
    return "lines" if asked else "silent"


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook."""
    shell_of = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return shell_of is not None and hasattr(shell_of(), "kernel")  # IPython in a terminal has none


class Progress:
    """Shows what goes on: `status` is the present state, `line` something that stays.

    Warnings are written in every style.
    """

    def __init__(self, style: Style) -> None:
        self.style: Style = style
        self._live: Live | None = None
        self._last = time.monotonic()  # a quick error is the only line
        self._written = 0  # characters of the line in a notebook

    def __enter__(self) -> Progress:
        if self.style == "live":
            from rich.console import Console  # lazy: only a terminal needs it
            from rich.live import Live  # lazy: the same

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
        if self._written:
            self._write_over("")
            sys.stdout.write("\r")

    def status(self, text: str) -> None:
        """Shows the present state; where lines stay, at most every few seconds."""
        if self._live is not None:
            self._live.update(_one_row(text))
        elif self.style == "notebook":
            if self._is_due(_SECONDS_BETWEEN_UPDATES):
                self._write_over(text)
        elif self.style == "lines" and self._is_due(SECONDS_BETWEEN_LINES):
            say(text)

    def line(self, text: str) -> None:
        """Shows a line that stays; in a notebook, until there is something newer."""
        if self._live is not None:
            self._print(text)
        elif self.style == "notebook":
            self._write_over(text)
        elif self.style == "lines":
            say(text)

    def left_out(self, items: Iterable[LeftOut]) -> None:
        """Warns of what was found in the data and not used, a line for each reason."""
        for item in items:
            what = f"{item.count} x {item.reason}" if item.count > 1 else item.reason
            text = f"left out: {what}: {item.what}"
            if self._live is not None:
                self._print(f"metaloop: warning: {one_line(text)}")
            else:
                warn(text)

    def _is_due(self, seconds: float) -> bool:
        now = time.monotonic()
        due = now - self._last >= seconds
        self._last = now if due else self._last
        return due

    def _write_over(self, text: str) -> None:
        """Replaces the line of a notebook."""
        text = one_line(text)
        text = text if len(text) <= _NOTEBOOK_WIDTH else f"{text[: _NOTEBOOK_WIDTH - 1]}…"
        sys.stdout.write(f"\r{text.ljust(self._written)}")
        sys.stdout.flush()
        self._written = len(text)

    def _print(self, text: str) -> None:
        assert self._live is not None
        try:
            self._live.console.print(text, soft_wrap=True)
        except OSError:  # the terminal was closed
            drop(sys.stderr)


def _one_row(text: str) -> Any:
    from rich.text import Text  # lazy: only a terminal needs it

    return Text(text, no_wrap=True, overflow="ellipsis", style="cyan")
