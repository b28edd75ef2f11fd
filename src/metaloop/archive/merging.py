"""Merging archives: every run once, by its name, as it is known best. `--archive-to` does it, too.

One transaction a run, so that a merge that is broken off has brought whole runs and can be tried
again: what is there already is found by name and digest and left alone. Scores of single episodes
and pictures stay behind unless asked for: what is learned from are results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from metaloop.archive.address import Place, is_same
from metaloop.archive.archive import Archive
from metaloop.archive.digests import RunRows, digest_of, extent_of, rows_of, run_rows
from metaloop.archive.removing import remove_run, with_ancestors
from metaloop.archive.storage import Row
from metaloop.archive.stored import RunId
from metaloop.core.errors import ArchiveError

_LOOK = ("opened", "subject", "purpose", "part", "list_hash", "data_hash")  # tells looks apart
_SEEN = ("metric", "value", "ci95", "episodes", "ci95_new", "units", "metrics")
_AT_ONCE = 500  # values of one statement


@dataclass
class Merged:
    """What a merge did with the runs of one archive, by their names.

    `added`: not known before. `updated`: known less well. `known`: the same. `kept`: the target
    knows more of them. `empty`: nothing was tried in them, so they stay behind.
    """

    source: Place
    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Returns what `metaloop archive merge --json` prints of one source."""
        lists = ("added", "updated", "known", "kept", "empty")
        return {"archive": str(self.source), **{name: getattr(self, name) for name in lists}}


def merge(source: Archive, target: Archive, *, whole: bool = False) -> Merged:
    """Brings the runs of an archive into another one; `whole`: with scores and pictures.

    Raises `ArchiveError` for a source that is damaged or is the target, and `OutputError` for a
    target that cannot be written. Runs that were brought before that stay.
    """
    if is_same(source.place, target.place):
        raise ArchiveError(f"'{source.place}' cannot be merged into itself")
    merged, bringing = Merged(source.place), _Bringing(source, target, whole)
    with source.snapshot():
        (
            source.runs(),
            source.data_sets(),
            source.candidates(),
            source.openings(),
        )  # or it is damaged
        for run in run_rows(source):
            rows, number = rows_of(source, run), RunId(run["id"])
            if rows.is_empty:
                merged.empty.append(run["uid"])
                continue
            source.jobs(number), source.trials(number), source.verdicts(number)
            with _blaming(source), target.transaction():
                outcome = bringing.run(rows)
            getattr(merged, outcome).append(run["uid"])
        with _blaming(source), target.transaction():
            bringing.looks(source.query("SELECT * FROM openings WHERE run IS NULL ORDER BY id"))
    return merged


@contextmanager
def _blaming(source: Archive) -> Iterator[None]:
    """Says of records that fit no archive that those of the source are damaged."""
    try:
        yield
    except (ValueError, LookupError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ArchiveError(f"archive '{source.place}' is damaged: {reason}") from error


@dataclass
class _Bringing:
    """One merge on its way: which trials of the source are which of the target."""

    source: Archive
    target: Archive
    whole: bool
    trials: dict[int, int] = field(default_factory=dict)

    @cached_property
    def candidates(self) -> dict[str, Row]:
        """All candidates of the source by identity, in the order they were made."""
        found = self.source.query("SELECT * FROM candidates ORDER BY id")
        return {row["identity"]: row for row in found}

    @cached_property
    def known_names(self) -> set[str]:
        """The identities of the source's candidates: one from a stranger may name others."""
        return set(self.candidates)

    @cached_property
    def parents(self) -> dict[str, list[Row]]:
        """The lines of parents of the source's candidates."""
        lines: dict[str, list[Row]] = {}
        for row in self.source.query("SELECT * FROM parents ORDER BY child, position"):
            lines.setdefault(row["child"], []).append(row)
        return lines

    @cached_property
    def ancestry(self) -> dict[str, list[str]]:
        """Who the source's candidates came from, by identity."""
        return {name: [one["parent"] for one in lines] for name, lines in self.parents.items()}

    def run(self, rows: RunRows) -> str:
        """Brings one run; returns the list of `Merged` that it belongs to."""
        known = self.target.query("SELECT * FROM runs WHERE uid = ?", (rows.run["uid"],))
        if not known:
            self._add(rows)
            return "added"
        there = rows_of(self.target, known[0])
        mine = extent_of(self.source, rows, self.whole)
        if mine > extent_of(self.target, there, self.whole):
            remove_run(self.target, RunId(known[0]["id"]))
            self._add(rows, known[0]["id"])
            return "updated"
        if digest_of(rows) == digest_of(there):
            pairs = zip(rows.trials, there.trials, strict=True)
            self.trials |= {one["id"]: other["id"] for one, other in pairs}
            self._continue(rows.trials)
            return "known"
        return "kept"

    def looks(self, openings: Sequence[Row], run: int | None = None) -> None:
        """Brings looks at sealed parts, each once; those of a run that was away find it again."""
        same = " AND ".join(f"{name} = ?" for name in _LOOK)
        new = []
        for row in openings:
            known = self.target.query(
                f"SELECT * FROM openings WHERE {same}", [row[name] for name in _LOOK]
            )
            if not known:
                new.append(_without(row, "id", run=run))
                continue
            if run is not None and known[0]["run"] is None:
                self._set("openings", known[0]["id"], {"run": run})
            if known[0]["metric"] is None and row["metric"] is not None:
                self._set("openings", known[0]["id"], {name: row[name] for name in _SEEN})
        self.target.insert("openings", new)

    def _add(self, rows: RunRows, number: int | None = None) -> None:
        target = self.target
        kept = {} if number is None else {"id": number}
        (run,) = target.insert("runs", [{**_without(rows.run, "id"), **kept}])
        self._data_sets(rows)
        self._candidates(rows, run)
        jobs = self._numbered("jobs", rows.jobs, lambda row: _without(row, "id", run=run))
        self.trials |= self._numbered(
            "trials",
            rows.trials,
            lambda row: _without(row, "id", run=run, job=jobs.get(row["job"]), continues=None),
        )
        self._continue(rows.trials)
        target.insert(
            "curves", [_without(row, trial=self.trials[row["trial"]]) for row in rows.curves]
        )
        results = rows.results
        if self.whole:
            chosen = "trial IN (SELECT id FROM trials WHERE run = ?)"
            results = self.source.query(
                f"SELECT * FROM results WHERE {chosen} ORDER BY id", (rows.run["id"],)
            )
            target.insert("episode_lists", self._lists(rows.run["id"]))
        target.insert(
            "results", [_without(row, "id", trial=self.trials[row["trial"]]) for row in results]
        )
        told = [row for row in rows.verdicts if {row["winner"], row["loser"]} <= self.known_names]
        target.insert("verdicts", [_without(row, "id", run=run) for row in told])
        self.looks(rows.openings, run)
        where = "" if self.whole else " AND media_type = 'application/json'"  # what was on offer
        shown = self.source.query(
            f"SELECT * FROM artefacts WHERE run = ?{where} ORDER BY id", (rows.run["id"],)
        )
        target.insert("artefacts", [_without(row, "id", run=run) for row in shown])
        spent = self.source.query("SELECT * FROM spent WHERE run = ?", (rows.run["id"],))
        target.insert("spent", [_without(row, run=run) for row in spent])

    def _continue(self, trials: Sequence[Row]) -> None:
        """Says whose weights trials have gone on from, of this run or an earlier try of it."""
        links = [
            (self.trials[row["continues"]], self.trials[row["id"]])
            for row in trials
            if row["continues"] in self.trials
        ]
        if links:
            self.target.storage.change_many("UPDATE trials SET continues = ? WHERE id = ?", links)

    def _data_sets(self, rows: RunRows) -> None:
        hashes = {row["data_hash"] for row in (*rows.trials, *rows.openings)}
        known = {row["hash"] for row in self.target.query("SELECT hash FROM data_sets")}
        found = self.source.query("SELECT * FROM data_sets ORDER BY id")
        new = [row for row in found if row["hash"] in hashes - known]
        self.target.insert("data_sets", [_without(row, "id") for row in new])

    def _candidates(self, rows: RunRows, run: int) -> None:
        """Brings those of a run and their ancestors, each before its children."""
        own, known_here = rows.run["id"], self.candidates
        named = {row["candidate"] for row in rows.trials}
        named |= {row[side] for row in rows.verdicts for side in ("winner", "loser")}
        named &= self.known_names
        named |= {row["subject"] for row in rows.openings} & known_here.keys()
        named |= {name for name, row in known_here.items() if row["run"] == own}
        needed = with_ancestors(named, self.ancestry)
        known = self._known(sorted(needed))
        new = [row for name, row in known_here.items() if name in needed and name not in known]
        self.target.insert(
            "candidates",
            [_without(row, "id", run=run if row["run"] == own else None) for row in new],
        )
        lines = [line for row in new for line in self.parents.get(row["identity"], [])]
        lines = [line for line in lines if line["parent"] in self.known_names]
        self.target.insert("parents", [_without(line) for line in lines])

    def _known(self, names: Sequence[str]) -> set[str]:
        """Which of these candidates the target has."""
        found: set[str] = set()
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            select = f"SELECT identity FROM candidates WHERE identity IN ({marks})"
            found |= {row["identity"] for row in self.target.query(select, some)}
        return found

    def _lists(self, run: int) -> list[dict[str, Any]]:
        """The units of lists of episodes that the target does not know."""
        found = self.source.query(
            "SELECT * FROM episode_lists WHERE list_hash IN (SELECT list_hash FROM results "
            "WHERE trial IN (SELECT id FROM trials WHERE run = ?)) ORDER BY id",
            (run,),
        )
        known = {r["list_hash"] for r in self.target.query("SELECT list_hash FROM episode_lists")}
        return [_without(row, "id") for row in found if row["list_hash"] not in known]

    def _numbered(
        self, table: str, found: Sequence[Row], row_of: Callable[[Row], Mapping[str, Any]]
    ) -> dict[int, int]:
        """Adds rows; returns their new numbers by their old ones."""
        numbers = self.target.insert(table, [row_of(row) for row in found])
        return {row["id"]: number for row, number in zip(found, numbers, strict=True)}

    def _set(self, table: str, row: int, values: Mapping[str, Any]) -> None:
        columns = ", ".join(f"{name} = ?" for name in values)
        self.target.change(f"UPDATE {table} SET {columns} WHERE id = ?", (*values.values(), row))


def _without(row: Row, *left_out: str, **changed: Any) -> dict[str, Any]:
    """Returns a row as values to insert."""
    kept = {name: row[name] for name in row.keys() if name not in left_out}  # noqa: SIM118
    return {**kept, **changed}
