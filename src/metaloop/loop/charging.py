"""`charged`: what a run spends is written down while it is spent, whatever ends it.

A thread does it, with a connection of its own: the run's own thread may be in a job for minutes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol, runtime_checkable

from metaloop.archive import Archive, RunId
from metaloop.archive.spent import note_spent
from metaloop.core.errors import MetaloopError


@runtime_checkable
class Charged(Protocol):
    """A run with an archive that knows what its tries have spent so far."""

    archive: Archive
    id: RunId
    spent_before: float
    cpu_before: float

    @property
    def wall_seconds(self) -> float:
        """Seconds so far, over all tries."""

    @property
    def cpu_seconds(self) -> float:
        """CPU-seconds so far, over all tries."""


@contextmanager
def charged(run: Charged, note_seconds: float) -> Iterator[None]:
    """Notes in the archive what this try of the run has spent, so often and at the end."""
    ended = threading.Event()
    thread = threading.Thread(target=_note_until, args=(run, ended, note_seconds), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _note_until(run: Charged, ended: threading.Event, note_seconds: float) -> None:
    with suppress(MetaloopError), Archive.open(run.archive.path) as archive:
        last = False
        while not last:
            last = ended.wait(note_seconds)
            with suppress(MetaloopError):  # a full disk is told of by what needs it
                wall, cpu = run.wall_seconds - run.spent_before, run.cpu_seconds - run.cpu_before
                note_spent(archive, run.id, wall, cpu)
