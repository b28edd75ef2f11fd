"""What a run has spent so far, written down while it is spent: a kill grants nothing for free."""

from __future__ import annotations

from metaloop.archive.archive import Archive
from metaloop.archive.stored import RunId
from metaloop.core.errors import ArchiveError


def note_spent(archive: Archive, run: RunId, wall_seconds: float, cpu_seconds: float) -> None:
    """Records what this run has spent by now; an earlier note of it is replaced."""
    with archive.transaction():
        archive.change(
            "INSERT INTO spent (run, wall_seconds, cpu_seconds) VALUES (?, ?, ?) "
            "ON CONFLICT (run) DO UPDATE SET wall_seconds = excluded.wall_seconds, "
            "cpu_seconds = excluded.cpu_seconds",
            (run, float(wall_seconds), float(cpu_seconds)),
        )


def spent_by(archive: Archive, run: RunId) -> tuple[float, float] | None:
    """Returns the wall seconds and CPU-seconds last noted of this run; None if none were."""
    found = archive.query("SELECT wall_seconds, cpu_seconds FROM spent WHERE run = ?", (run,))
    if not found:
        return None
    wall_seconds, cpu_seconds = found[0]["wall_seconds"], found[0]["cpu_seconds"]
    if not all(isinstance(value, (int, float)) for value in (wall_seconds, cpu_seconds)):
        raise ArchiveError(f"archive '{archive.place}' is damaged: run {run} has spent no number")
    return float(wall_seconds), float(cpu_seconds)
