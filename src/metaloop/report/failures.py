"""What failed: trials and other work that gave nothing, grouped by how and by the message."""

from __future__ import annotations

from dataclasses import dataclass

from metaloop.report.reading import Records

FAILURES = frozenset(("failed", "timed out", "diverged", "crashed", "interrupted"))


@dataclass(frozen=True)
class Failure:
    """Trials that ended in the same way, with the candidates they were of.

    Work that belongs to no trial (inventing, joining, judging) has no candidates.
    """

    status: str
    message: str
    candidates: tuple[str, ...]
    times: int
    cpu_seconds: float


def failures_of(records: Records) -> tuple[Failure, ...]:
    """Returns the failures of a run, the most frequent first."""
    groups: dict[tuple[str, str], list[tuple[str | None, float]]] = {}
    for stored in records.trials:
        trial = stored.trial
        if trial.status in FAILURES:
            members = groups.setdefault((trial.status, trial.message), [])
            members.append((trial.candidate, trial.cpu_seconds))
    for job in records.jobs_alone:
        if job.status in FAILURES:
            members = groups.setdefault((job.status, f"{job.work}: {job.message}"), [])
            members.append((None, job.cpu_seconds))
    found = [
        Failure(
            status=status,
            message=message,
            candidates=tuple(dict.fromkeys(c for c, _ in members if c is not None)),
            times=len(members),
            cpu_seconds=sum((spent for _, spent in members), 0.0),
        )
        for (status, message), members in groups.items()
    ]
    return tuple(sorted(found, key=lambda failure: -failure.times))
