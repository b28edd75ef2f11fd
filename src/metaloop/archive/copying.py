"""`--archive-to`: a finished run is copied into another archive, and the next one knows of it."""

from __future__ import annotations

from pathlib import Path

from metaloop.archive.archive import Archive
from metaloop.archive.lock import file_lock
from metaloop.archive.stored import RunId, TrialId
from metaloop.core.errors import OutputError


def check_elsewhere(target: Path) -> None:
    """Raises `OutputError` or `ArchiveError` unless a run could be recorded there: ask before it.

    A run that took hours must not end with a name that was wrong from the start.
    """
    if target.is_dir() or not target.absolute().parent.is_dir():
        raise OutputError(f"--archive-to names a file in a folder that exists; got '{target}'")
    if target.exists():
        Archive.open(target, read_only=True).close()


def record_elsewhere(source: Path, target: Path) -> None:
    """Copies the last run of an archive, candidates, trials, results and openings, into another.

    The other one is made where there is none. Scores of single episodes and pictures stay behind:
    what is learned from are results. Raises `OutputError` and `ArchiveError` where it cannot be
    written.
    """
    check_elsewhere(target)
    if target.exists() and target.samefile(source):
        return
    with (
        file_lock(target),
        Archive.open(source, read_only=True) as own,
        Archive.open(target) if target.exists() else Archive.create(target) as other,
    ):
        _copied(own, other)


def _copied(own: Archive, other: Archive) -> None:
    runs = own.runs()
    if not runs:
        return
    last = runs[-1]
    with other.transaction():
        for data_set in own.data_sets():
            other.add_data_set(data_set)
        run = RunId(other.begin_run(
            last.command, arguments=last.arguments, seed=last.seed, budget=last.budget,
            environment=last.environment,
        ))  # fmt: skip
        for stored in own.candidates():
            other.add_candidate(
                stored.candidate, stored.parents, stored.operator, run=run,
                behaviour=stored.behaviour,
            )  # fmt: skip
        jobs = {}
        for job in own.jobs(last.id):
            jobs[job.id] = other.begin_job(run, job.number, job.work, job.asked)
            other.end_job(
                jobs[job.id], job.status, job.answered, job.message,
                cpu_seconds=job.cpu_seconds, wall_seconds=job.wall_seconds,
            )  # fmt: skip
        trials: dict[TrialId, TrialId] = {}
        for trial in own.trials(last.id):
            begun = other.begin_trial(
                run, trial.trial.candidate, trial.data_hash, seed=trial.trial.seed,
                rung=trial.trial.rung,
                continues=None if trial.continues is None else trials.get(trial.continues),
                job=None if trial.job is None else jobs.get(trial.job),
            )  # fmt: skip
            trials[trial.id] = begun
            if trial.trial.status != "running":
                other.end_trial(begun, trial.trial)
        for stored_verdict in own.verdicts(last.id):
            other.add_verdict(run, stored_verdict.verdict)
        for opening in own.openings(last.id):
            other.record_opening(
                opening.subject, opening.purpose, opening.protocol, result=opening.result, run=run
            )
        other.end_run(run, last.status)
