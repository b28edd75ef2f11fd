"""What tells whether two archives hold the same run, and which of them knows more of it.

    digest = SHA-256 of all records of a run, with places in the run for numbers of an archive
    extent = how it has ended, how many records and ends of them, how many scores and pictures

Scores of single episodes and pictures are no part of a digest: they may stay behind. So is who
first made a candidate, for that depends on what else is in an archive.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metaloop.archive.archive import Archive
from metaloop.archive.storage import Row
from metaloop.archive.stored import RunId

RESULT_COLUMNS = (
    "id", "trial", "metric", "value", "ci95", "episodes", "part", "ways", "shots", "queries",
    "norm_policy", "list_hash", "data_hash", "ci95_new", "units",
)  # fmt: skip
_ENDS = {"running": 0, "finished": 2}  # other ends are between
_OF_TRIALS = "IN (SELECT id FROM trials WHERE run = ?)"


@dataclass(frozen=True)
class RunRows:
    """The rows of one run, by tables, oldest first; results without the scores of episodes."""

    run: Row
    jobs: Sequence[Row]
    trials: Sequence[Row]
    curves: Sequence[Row]
    results: Sequence[Row]
    verdicts: Sequence[Row]
    openings: Sequence[Row]

    @property
    def is_empty(self) -> bool:
        """Whether nothing was tried: the data could not be read, for one."""
        return not (self.jobs or self.trials or self.openings)

    @property
    def records(self) -> int:
        """How many rows there are, those of jobs and trials that have ended counted twice."""
        tables = (self.jobs, self.trials, self.curves, self.results, self.verdicts, self.openings)
        ended = sum(row["ended"] is not None for row in (*self.jobs, *self.trials))
        return sum(map(len, tables)) + ended


def rows_of(archive: Archive, run: Row) -> RunRows:
    """Returns what an archive holds of a run; `run` is its row of `runs`."""
    values = (run["id"],)
    columns = ", ".join(RESULT_COLUMNS)
    return RunRows(
        run,
        archive.query("SELECT * FROM jobs WHERE run = ? ORDER BY id", values),
        archive.query("SELECT * FROM trials WHERE run = ? ORDER BY id", values),
        archive.query(
            f"SELECT * FROM curves WHERE trial {_OF_TRIALS} ORDER BY trial, position", values
        ),
        archive.query(
            f"SELECT {columns} FROM results WHERE trial {_OF_TRIALS} ORDER BY id", values
        ),
        archive.query("SELECT * FROM verdicts WHERE run = ? ORDER BY id", values),
        archive.query("SELECT * FROM openings WHERE run = ? ORDER BY id", values),
    )


def run_rows(archive: Archive) -> list[Row]:
    """Returns the rows of all runs, oldest first."""
    return archive.query("SELECT * FROM runs ORDER BY id")


def digest_of(rows: RunRows) -> str:
    """Returns 64 hexadecimal digits that are equal for the same run in whichever archive it is."""
    jobs = {row["id"]: place for place, row in enumerate(rows.jobs)}
    trials = {row["id"]: place for place, row in enumerate(rows.trials)}
    places = {"job": jobs, "trial": trials, "continues": trials}
    digest = hashlib.sha256()
    for name in ("jobs", "trials", "curves", "results", "verdicts", "openings"):
        for row in getattr(rows, name):
            digest.update(f"{name} {_text(row, places)}\n".encode("utf-8", "backslashreplace"))
    digest.update(f"run {_text(rows.run, {})}\n".encode("utf-8", "backslashreplace"))
    return digest.hexdigest()


def _text(row: Row, places: Mapping[str, Mapping[int, int]]) -> str:
    told = {name: row[name] for name in row.keys() if name not in ("id", "run")}  # noqa: SIM118
    for name, known in places.items():
        if name in told:
            told[name] = known.get(told[name])
    return json.dumps(told, sort_keys=True, default=repr)


def extent_of(archive: Archive, rows: RunRows, whole: bool) -> tuple[int, int, int]:
    """Returns how much an archive knows of a run: of two, the larger has what the other has."""
    ended = _ENDS.get(rows.run["status"], 1)
    return ended, rows.records, extras_of(archive, RunId(rows.run["id"])) if whole else 0


def extras_of(archive: Archive, run: RunId) -> int:
    """Returns how many results have scores of their episodes, and how many pictures there are."""
    (scored,) = archive.query(
        "SELECT count(*) AS number FROM results WHERE scores_type IS NOT NULL "
        f"AND trial {_OF_TRIALS}",
        (run,),
    )
    (shown,) = archive.query("SELECT count(*) AS number FROM artefacts WHERE run = ?", (run,))
    return int(scored["number"]) + int(shown["number"])
