"""`Run`: what one call of the loop shares: folder, archive, family, task, budget and clock."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metaloop.archive import Archive, DataSet, RunId, StoredJob, backbones_in, run_lock
from metaloop.archive.lock import LOCK_NAME
from metaloop.archive.spent import spent_by
from metaloop.catalogue.families import OpenedData
from metaloop.core.errors import MetaloopError, OutputError
from metaloop.core.leagues import EncoderCard
from metaloop.core.spec import TaskSpec
from metaloop.loop.charging import ARCHIVE_NAME, MODEL_NAME, STATES_NAME, Charged
from metaloop.tasks.family import TaskFamily
from metaloop.tasks.kept import class_parts, with_store
from metaloop.tasks.sight import OWN, SEVERAL

_CHANGES_NAMED = 3


@dataclass(frozen=True)
class Earlier:
    """Interrupted tries of a run, and the wall seconds and CPU-seconds that they have used."""

    tries: tuple[RunId, ...] = ()
    wall: float = 0.0
    cpu: float = 0.0


@dataclass
class Run(Charged):
    """One run of the loop: what it learns from, the task it is for, and what makes it stop."""

    family: TaskFamily
    spec: TaskSpec
    stop: Callable[[], bool]
    tries: tuple[RunId, ...] = ()  # earlier ones of this run, and this one

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the budget is spent; None under a budget in steps."""
        if self.budget.wall_seconds is None:
            return None
        return max(0.0, self.budget.wall_seconds - self.wall_seconds)

    def restart_clock(self) -> None:
        """Starts the budget: what came before (reading data) is not charged."""
        self.started, self.cpu_started = self.clock(), time.process_time()


class Stopped(Exception):
    """The run was asked to stop; what was reached is saved."""


@contextmanager
def run_folder(folder: Path, resume: bool) -> Iterator[Archive]:
    """Yields the archive of a fresh folder, or of one to go on in with `resume`.

    A folder whose runs ended before anything was tried (the data could not be read) counts as
    fresh. Raises `OutputError` for a folder that holds anything else without `resume`, or that
    cannot be written.
    """
    with ExitStack() as stack:
        known = folder / ARCHIVE_NAME
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"'{folder}' is a file; --out must name a folder that is new")
        used = folder.is_dir() and any(folder.iterdir()) and not _nothing_tried(folder)
        if used and not resume:
            raise OutputError(
                f"'{folder}' already holds something; go on with --resume or choose another --out"
            )
        if resume and not known.exists():
            raise OutputError(f"there is no run to resume in '{folder}'; leave --resume away")
        try:
            (folder / STATES_NAME).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write in '{folder}': {error.strerror}") from error
        stack.enter_context(run_lock(folder))
        archive = Archive.open(known) if known.exists() else Archive.create(known)
        yield stack.enter_context(archive)


def _nothing_tried(folder: Path) -> bool:
    known = folder / ARCHIVE_NAME
    if (folder / MODEL_NAME).exists():
        return False
    if not known.exists():  # killed before there was an archive
        ours = {STATES_NAME, LOCK_NAME}
        return all(path.name in ours or ".archive.tmp" in path.name for path in folder.iterdir())
    with Archive.open(known, read_only=True) as archive:
        return not archive.trials()


def check_same_run(archive: Archive, arguments: dict[str, Any], command: str = "learn") -> Earlier:
    """Returns the earlier tries of this run of a command and what they have spent.

    Raises `MetaloopError` if they were asked for something else, or one of them is finished.
    """
    wall = cpu = 0.0
    tries: list[RunId] = []
    for run in archive.runs():
        if run.command != command:
            continue
        if run.status == "finished":
            raise MetaloopError(
                f"the run in '{archive.path.parent}' is finished; choose another --out to "
                f"{command} again"
            )
        jobs = archive.jobs(run.id)
        differing = {
            key
            for key, value in arguments.items()
            if key != "workers" and dict(run.arguments).get(key) != value
        }
        if differing and jobs:
            names = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(differing))
            raise MetaloopError(
                f"the run to resume was started with other values of {names}; give the same ones"
            )
        archive.mark_interrupted(run.id)
        if differing:  # it has tried nothing
            continue
        if jobs:
            tries.append(run.id)
        spent = spent_by(archive, run.id) or _spent_in_jobs(jobs, run.arguments)
        wall, cpu = wall + spent[0], cpu + spent[1]
    return Earlier(tuple(tries), wall, cpu)


def offered_before(archive: Archive, earlier: Earlier) -> tuple[EncoderCard, ...] | None:
    """Returns the encoders that earlier tries of a run were offered; None if there were none."""
    if not earlier.tries:
        return None
    known = [one for tried in earlier.tries for one in archive.artefacts(tried)]
    return tuple(each.card for each in backbones_in(known))


def check_same_data(archive: Archive, earlier: Earlier, data_sets: Sequence[DataSet]) -> None:
    """Raises `MetaloopError` unless earlier tries of a run have seen just these data sets.

    The first is what is learned for. Had it changed, its classes would be dealt anew, and `test`
    might hold what was trained on.
    """
    if not earlier.tries:
        return
    known = {known.hash: known for known in archive.data_sets()}
    target, *others = data_sets
    seen = {t.data_hash for t in archive.trials() if t.run in earlier.tries} or set(known)
    changed = [] if target.hash in seen else [target]
    for data_set in changed + [other for other in others if other.hash not in known]:
        before = [one for one in known.values() if one.name == data_set.name]
        what = _what_changed(before[-1], data_set) if before else "it was not among the run's data"
        raise MetaloopError(
            f"the data '{data_set.name}' changed since this run began: {what}; put back what it "
            "was and go on with --resume, or start anew with another --out"
        )


def _what_changed(before: DataSet, now: DataSet) -> str:
    """Returns in words how two states of a data set differ."""
    old = {name for names in before.parts.values() for name in names}
    new = {name for names in now.parts.values() for name in names}
    words = [f"class '{name}' is new" for name in sorted(new - old)]
    words += [f"class '{name}' is gone" for name in sorted(old - new)]
    if len(words) > _CHANGES_NAMED:
        words = [*words[:_CHANGES_NAMED], f"{len(words) - _CHANGES_NAMED} more"]
    if before.examples != now.examples:
        words.append(f"{before.examples:,} examples are now {now.examples:,}")
    return ", ".join(words) or "examples have other content"


def _spent_in_jobs(jobs: Sequence[StoredJob], arguments: Mapping[str, Any]) -> tuple[float, float]:
    """Returns what ended jobs took: all that is known of a try by an older metaloop."""
    workers = max(1, int(arguments.get("workers", 1)))
    wall = sum((job.wall_seconds for job in jobs), 0.0) / workers
    return wall, sum((job.cpu_seconds for job in jobs), 0.0)


def check_same_views(archive: Archive, earlier: Earlier, family: TaskFamily) -> None:
    """Raises `MetaloopError` if a run to resume saw its inputs in a view that is gone."""
    runs = {trial.run for trial in archive.trials()} & set(earlier.tries)
    if not runs:
        return
    for stored in archive.candidates():
        for view in stored.candidate.view.split(SEVERAL):
            if view not in (OWN, *family.views):
                raise MetaloopError(
                    f"the run to resume has candidates that see inputs as '{view}', which is not "
                    f"there any more; install it again, or learn anew with another --out"
                )


def describe_data(opened: OpenedData) -> DataSet:
    """Returns the archive's record of a family."""
    family = opened.family
    left_out: dict[str, int] = {}
    for item in opened.left_out:
        left_out[item.reason] = left_out.get(item.reason, 0) + item.count
    classes = examples = 0
    stored = with_store(family)
    if stored is not None:
        classes, examples = len(stored.store.classes), len(stored.store)
    return DataSet(
        hash=family.digest,
        name=family.name,
        kind=opened.kind,
        classes=classes,
        examples=examples,
        parts=class_parts(family),
        left_out=left_out,
    )


def remove_states(folder: Path) -> None:
    """Removes the training states of a finished run: the model is what stays."""
    shutil.rmtree(folder / STATES_NAME, ignore_errors=True)
