"""`prune`: taking runs out of an archive that nobody will learn from any more."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from metaloop.archive.archive import Archive
from metaloop.archive.overview import RunOverview, list_runs
from metaloop.archive.removing import remove_orphans, remove_run
from metaloop.archive.stored import RunId
from metaloop.core.errors import MetaloopError

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*(h|d|w)")
_HOURS = {"h": 1.0, "d": 24.0, "w": 168.0}


@dataclass(frozen=True)
class Which:
    """Which runs are meant: those for which all holds that is given.

    `older_than`: began so long ago. `data`: learned for data of this name or hash. `unfinished`:
    never came to their end.
    """

    older_than: timedelta | None = None
    data: str | None = None
    unfinished: bool = False

    def __post_init__(self) -> None:
        if self.older_than is None and self.data is None and not self.unfinished:
            raise MetaloopError(
                "prune takes out nothing unless it is told what: --older-than 90d, --data NAME, "
                "--unfinished"
            )

    def means(self, one: RunOverview, now: datetime) -> bool:
        """Whether a run is one of them."""
        if self.unfinished and one.run.status == "finished":
            return False
        if self.data is not None and self.data not in (one.data, one.data_hash):
            return False
        return self.older_than is None or _began(one.run.started) < now - self.older_than


@dataclass(frozen=True)
class Pruned:
    """What was taken out, or would have been (`dry`): runs, and what only they referred to."""

    runs: Sequence[RunOverview]
    candidates: int
    data_sets: int
    looks_kept: int
    dry: bool

    def to_json(self) -> dict[str, Any]:
        """Returns what `--json` prints."""
        return {
            "dry_run": self.dry, "removed": [one.to_json() for one in self.runs],
            "candidates": self.candidates, "data_sets": self.data_sets,
            "looks_kept": self.looks_kept,
        }  # fmt: skip


class _Undone(Exception):
    """It was only to be seen what would go."""


def prune(archive: Archive, which: Which, *, dry: bool = False) -> Pruned:
    """Takes runs out in one transaction; `dry`: only says what would go.

    Looks at `test` stay on record, without their run.
    """
    pruned = Pruned((), 0, 0, 0, dry)
    try:
        with archive.transaction():
            now = datetime.now(timezone.utc)
            runs = [one for one in list_runs(archive) if which.means(one, now)]
            looks = sum(len(archive.openings(RunId(one.run.id))) for one in runs)
            for one in runs:
                remove_run(archive, RunId(one.run.id))
            gone = remove_orphans(archive) if runs else (0, 0)
            pruned = Pruned(runs, *gone, looks, dry)
            if dry:
                raise _Undone
    except _Undone:
        return pruned
    if pruned.runs:
        archive.storage.reclaim()
    return pruned


def parse_age(text: str) -> timedelta:
    """Returns a span of time: `12h`, `90d`, `6w`; `MetaloopError` for anything else."""
    found = _AGE.fullmatch(text.strip())
    if found is None or float(found[1]) > 1e5:
        raise MetaloopError(f"an age is hours, days or weeks, such as 12h, 90d or 6w; got '{text}'")
    return timedelta(hours=float(found[1]) * _HOURS[found[2]])


def _began(text: str) -> datetime:
    try:
        began = datetime.fromisoformat(text)
    except ValueError:
        return datetime.now(timezone.utc)  # nobody knows when: it is not old
    return began if began.tzinfo else began.replace(tzinfo=timezone.utc)
