"""Reading a run: one state of its archive as `Records`, all that pages and tables are made from.

RUN is the folder of a run or its archive file. A run may be going on, have been broken off, or have
been resumed: its tries are the runs with the same command and arguments as the last one. An archive
may also hold earlier runs on other data; their candidates are kept, as ancestors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from metaloop.archive import (
    Archive,
    Artefact,
    DataSet,
    Opening,
    Run,
    StoredCandidate,
    StoredJob,
    StoredTrial,
    StoredVerdict,
    backbones_in,
    is_offering,
)
from metaloop.core.errors import ArchiveError
from metaloop.core.leagues import Backbone, EncoderCard, cards_in, league_of
from metaloop.core.records import Candidate, Part, Result

ARCHIVE_NAME = "archive.sqlite"
_COMMANDS = ("learn", "select")  # runs that a report is about; other commands only leave openings


@dataclass(frozen=True)
class Records:
    """What is known of one run.

    `tries` are its calls in order, usually one. `candidates` holds every candidate of the archive
    by identity, in the order they were made; `jobs`, `trials`, `verdicts` and `artefacts` are of
    this run, `openings` of the whole archive: who looked at `test` matters, whoever it was.
    `backbones` are the encoders that the run was offered, none where it was offered none.
    """

    name: str
    tries: tuple[Run, ...]
    other_runs: int
    data_sets: tuple[DataSet, ...]
    candidates: Mapping[str, StoredCandidate]
    jobs: tuple[StoredJob, ...]
    trials: tuple[StoredTrial, ...]
    verdicts: tuple[StoredVerdict, ...]
    openings: tuple[Opening, ...]
    artefacts: tuple[Artefact, ...]
    backbones: tuple[Backbone, ...] = ()

    @property
    def status(self) -> str:
        """How the last try stands: running, finished, failed or interrupted; `empty`: no try."""
        return self.tries[-1].status if self.tries else "empty"

    def league(self, candidate: Candidate) -> str:
        """Returns the league of a candidate: `none`, or the backbones that it sees through."""
        return league_of(candidate.views, self.backbones)

    def cards(self, candidate: Candidate) -> tuple[EncoderCard, ...]:
        """Returns the encoders that a candidate sees its inputs through."""
        return cards_in(candidate.views, self.backbones)

    @cached_property
    def own_openings(self) -> tuple[Opening, ...]:
        """The openings that this run made itself."""
        own = {run.id for run in self.tries}
        return tuple(opening for opening in self.openings if opening.run in own)

    @cached_property
    def target(self) -> str | None:
        """The hash of the data that the run is judged on: what it opened, or measured most."""
        for opening in reversed(self.own_openings):
            return opening.protocol.data_hash
        counts = Counter(r.protocol.data_hash for t in self.trials for r in t.trial.results)
        counts = counts or Counter(trial.data_hash for trial in self.trials)
        return counts.most_common(1)[0][0] if counts else None

    @cached_property
    def target_data(self) -> DataSet | None:
        """The data set of that hash."""
        found = (data for data in self.data_sets if data.hash == self.target)
        return next(found, None)

    @property
    def tested(self) -> tuple[str, ...]:
        """The names of the classes that the test part of that data has."""
        return () if self.target_data is None else tuple(self.target_data.parts.get("test", ()))

    @cached_property
    def metric(self) -> str:
        """The metric that the target data is judged in; empty where nothing was measured."""
        results = (result for stored in self.trials for result in stored.trial.results)
        return next((r.metric for r in results if r.protocol.data_hash == self.target), "")

    @cached_property
    def trials_of(self) -> Mapping[str, tuple[StoredTrial, ...]]:
        """The trials of each candidate that has any, oldest first."""
        grouped: dict[str, list[StoredTrial]] = {}
        for trial in self.trials:
            grouped.setdefault(trial.trial.candidate, []).append(trial)
        return {identity: tuple(trials) for identity, trials in grouped.items()}

    @cached_property
    def jobs_alone(self) -> tuple[StoredJob, ...]:
        """The pieces of work that belong to no trial: judging, and what came to nothing."""
        own = {stored.job for stored in self.trials}
        return tuple(job for job in self.jobs if job.id not in own)

    @cached_property
    def taking_part(self) -> tuple[StoredCandidate, ...]:
        """The candidates that this run tried or made, in the order they were made."""
        own = {run.id for run in self.tries}
        return tuple(
            stored
            for identity, stored in self.candidates.items()
            if identity in self.trials_of or stored.run in own
        )

    def results_of(self, candidate: str, part: Part, asked: bool = False) -> list[Result]:
        """Returns a candidate's results on a part of the target data, oldest first.

        `asked`: only those of the task that was asked for, not of the same with other shots.
        """
        trials = self.trials_of.get(candidate, ())
        return [one for trial in trials for one in self.results_in(trial, part, asked)]

    def results_in(self, trial: StoredTrial, part: Part, asked: bool = False) -> list[Result]:
        """Returns a trial's results, as `results_of` does."""
        return [
            result
            for result in trial.trial.results
            if result.protocol.part == part
            and result.protocol.data_hash == self.target
            and (not asked or result.protocol.shots == self.shots)
        ]

    @cached_property
    def shots(self) -> int | None:
        """The shots of the task that was asked for: it is measured first."""
        results = (result for stored in self.trials for result in stored.trial.results)
        return next(
            (r.protocol.shots for r in results if r.protocol.data_hash == self.target), None
        )

    @cached_property
    def last_record(self) -> str | None:
        """When the last thing was recorded, UTC in ISO form."""
        times = [run.ended or run.started for run in self.tries]
        times += [trial.ended or trial.started for trial in self.trials]
        times += [verdict.decided for verdict in self.verdicts]
        return max(times, default=None)


def read_run(path: Path) -> Records:
    """Returns the records of the run at `path`; `ArchiveError` if there is no archive to read."""
    file = archive_file(path)
    with Archive.open(file, read_only=True) as archive, archive.snapshot():
        runs = archive.runs()
        tries = _tries(runs)
        artefacts = tuple(item for run in tries for item in archive.artefacts(run.id))
        return Records(
            name=file.absolute().parent.name if file.name == ARCHIVE_NAME else file.name,
            tries=tries,
            other_runs=len(runs) - len(tries),
            data_sets=archive.data_sets(),
            candidates={stored.identity: stored for stored in archive.candidates()},
            jobs=tuple(job for run in tries for job in archive.jobs(run.id)),
            trials=tuple(trial for run in tries for trial in archive.trials(run.id)),
            verdicts=tuple(verdict for run in tries for verdict in archive.verdicts(run.id)),
            openings=archive.openings(),
            artefacts=tuple(item for item in artefacts if not is_offering(item)),
            backbones=backbones_in(artefacts),
        )


def archive_file(path: Path) -> Path:
    """Returns the archive of a run's folder, or the file itself; `ArchiveError` if neither."""
    if not path.is_dir():
        if not path.exists():
            raise ArchiveError(
                f"there is no run at '{path}'; name a folder that 'metaloop learn' wrote, or its "
                f"{ARCHIVE_NAME}"
            )
        return path
    if not (path / ARCHIVE_NAME).exists():
        raise ArchiveError(f"'{path}' is not the folder of a run: it holds no {ARCHIVE_NAME}")
    return path / ARCHIVE_NAME


def _tries(runs: tuple[Run, ...]) -> tuple[Run, ...]:
    learning = [run for run in runs if run.command in _COMMANDS] or list(runs)
    if not learning:
        return ()
    last = learning[-1]
    return tuple(
        run
        for run in learning
        if run.command == last.command and dict(run.arguments) == dict(last.arguments)
    )
