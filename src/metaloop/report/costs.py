"""What a run cost in CPU-seconds, each piece of work counted once.

Candidates that share a training are each recorded with all of it: heads on one net, in one job.
Where there are no jobs, trials of one rung that cost the same to the last digit are one training.
Work without a trial (judging, what crashed) counts when it ended.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from metaloop.archive import StoredTrial
from metaloop.report.reading import Records


@dataclass(frozen=True)
class Spent:
    """CPU-seconds of the whole run after a trial, or after work without one (`trial` None)."""

    trial: StoredTrial | None
    cpu_seconds: float


def spending(records: Records) -> tuple[Spent, ...]:
    """Returns all trials and other work in the order they ended, with the sum spent by then.

    Of what ended in the same millisecond trials are first.
    """
    jobs = {job.id: job for job in records.jobs}
    seen: set[Hashable] = set()
    ended: list[tuple[str, bool, int, StoredTrial | None, float]] = []
    for stored in records.trials:
        trial, job = stored.trial, jobs.get(stored.job) if stored.job is not None else None
        key: Hashable = (stored.run, trial.rung, trial.cpu_seconds, trial.wall_seconds)
        key = key if job is None else job.id
        own = trial.cpu_seconds if job is None else job.cpu_seconds
        at = stored.ended or stored.started
        ended.append((at, False, stored.id, stored, _once(key, seen, own)))
    for job in records.jobs_alone:
        ended.append((job.ended or job.started, True, job.id, None, job.cpu_seconds))
    ended.sort(key=lambda item: item[:3])
    return _summed([(stored, own) for *_, stored, own in ended])


def total_cost(records: Records) -> float:
    """Returns the CPU-seconds of all work of a run."""
    spent = spending(records)
    return spent[-1].cpu_seconds if spent else 0.0


def _once(key: Hashable, seen: set[Hashable], own: float) -> float:
    if key in seen:
        return 0.0
    seen.add(key)
    return own


def _summed(work: Sequence[tuple[StoredTrial | None, float]]) -> tuple[Spent, ...]:
    total, spent = 0.0, []
    for stored, own in work:
        total += own
        spent.append(Spent(stored, total))
    return tuple(spent)
