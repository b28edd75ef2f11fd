"""What a run has spent so far, written down while it is spent: a kill grants nothing for free.

The table comes with the first note, so that archives of every version have it when they need it.
"""

from __future__ import annotations

from metaloop.archive.archive import Archive
from metaloop.archive.stored import RunId
from metaloop.core.errors import ArchiveError

_TABLE = """CREATE TABLE IF NOT EXISTS spent (
    run INTEGER PRIMARY KEY REFERENCES runs (id),
    wall_seconds REAL NOT NULL,
    cpu_seconds REAL NOT NULL             -- of the coordinator and all workers
)"""


def note_spent(archive: Archive, run: RunId, wall_seconds: float, cpu_seconds: float) -> None:
    """Records what this run has spent by now; an earlier note of it is replaced."""
    with archive.transaction():
        archive.change(_TABLE, ())
        archive.change(
            "INSERT OR REPLACE INTO spent (run, wall_seconds, cpu_seconds) VALUES (?, ?, ?)",
            (run, float(wall_seconds), float(cpu_seconds)),
        )


def spent_by(archive: Archive, run: RunId) -> tuple[float, float] | None:
    """Returns the wall seconds and CPU-seconds last noted of this run; None if none were."""
    if not archive.query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'spent'"):
        return None
    found = archive.query("SELECT wall_seconds, cpu_seconds FROM spent WHERE run = ?", (run,))
    if not found:
        return None
    wall_seconds, cpu_seconds = found[0]
    if not all(isinstance(value, (int, float)) for value in (wall_seconds, cpu_seconds)):
        raise ArchiveError(f"archive '{archive.path}' is damaged: run {run} has spent no number")
    return float(wall_seconds), float(cpu_seconds)
