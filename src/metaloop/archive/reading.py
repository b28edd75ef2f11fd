"""The reading half of an archive: questions in, frozen records out, oldest first."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import numpy as np

from metaloop.archive import rows
from metaloop.archive.address import Place
from metaloop.archive.storage import Row
from metaloop.archive.stored import (
    Artefact,
    DataSet,
    Opening,
    ResultId,
    Run,
    RunId,
    StoredCandidate,
    StoredJob,
    StoredResult,
    StoredTrial,
    StoredVerdict,
    TrialId,
)
from metaloop.core.conforming import conforming
from metaloop.core.errors import ArchiveError, UnknownNameError, unknown_name
from metaloop.core.records import Part
from metaloop.core.statistics import EpisodeScores

Record = TypeVar("Record")

# what decoding raises where a row holds anything else than metaloop writes
_DAMAGES = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


class Reading(ABC):
    """What can be asked of an archive. Each method reads one state and keeps nothing locked."""

    @property
    @abstractmethod
    def place(self) -> Place:
        """Where the archive is; as text it has no password."""

    @abstractmethod
    def query(self, select: str, values: Sequence[Any] = ()) -> list[Row]:
        """Returns the rows of a SELECT, for questions that no method answers."""

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[None]:
        """Makes all that is read inside one state of the archive, whatever is written meanwhile."""

    def runs(self) -> tuple[Run, ...]:
        """Returns all runs."""
        return self._decoded(rows.run, self.query("SELECT * FROM runs ORDER BY id"))

    def data_sets(self) -> tuple[DataSet, ...]:
        """Returns all data sets."""
        return self._decoded(rows.data_set, self.query("SELECT * FROM data_sets ORDER BY id"))

    def candidates(self) -> tuple[StoredCandidate, ...]:
        """Returns all candidates."""
        return self._candidates("SELECT * FROM candidates ORDER BY id")

    def candidate(self, identity: str) -> StoredCandidate:
        """Returns one candidate; `UnknownNameError` for an identity that is not in the archive."""
        found = self._candidates("SELECT * FROM candidates WHERE identity = ?", (identity,))
        if not found:
            raise self._unknown_candidate(identity)
        return found[0]

    def lineage(self, candidate: str) -> tuple[StoredCandidate, ...]:
        """Returns a candidate and all its ancestors, every one before its own parents.

        Raises `UnknownNameError` for an identity that the archive does not have.
        """
        found = self._candidates(
            "WITH RECURSIVE line (identity) AS (SELECT CAST(? AS TEXT) UNION "
            "SELECT parent FROM parents JOIN line ON child = line.identity) SELECT * FROM "
            "candidates WHERE identity IN (SELECT identity FROM line) ORDER BY id DESC",
            (candidate,),
        )
        if not found:
            raise self._unknown_candidate(candidate)
        return found

    def trials(
        self, run: RunId | None = None, *, candidate: str | None = None
    ) -> tuple[StoredTrial, ...]:
        """Returns trials with curves and results, of one run or candidate or all."""
        where, values = _where({"run": run, "candidate": candidate})
        chosen = f"WHERE trial IN (SELECT id FROM trials {where})"
        with self.snapshot():
            found = self.query(f"SELECT * FROM trials {where} ORDER BY id", values)
            points = self.query(f"SELECT * FROM curves {chosen} ORDER BY trial, position", values)
            measured = self.query(f"SELECT * FROM results {chosen} ORDER BY id", values)
        curves = self._by_trial(rows.curve_point, points)
        results = self._by_trial(rows.result, measured)
        return self._decoded(
            lambda row: rows.trial(row, curves[row["id"]], results[row["id"]]), found
        )

    def results(
        self,
        *,
        run: RunId | None = None,
        trial: TrialId | None = None,
        candidate: str | None = None,
        part: Part | None = None,
        list_hash: str | None = None,
        data_hash: str | None = None,
    ) -> tuple[StoredResult, ...]:
        """Returns the results that fit all that is given."""
        where, values = _where(
            {
                "trials.run": run,
                "trial": trial,
                "candidate": candidate,
                "part": part,
                "list_hash": list_hash,
                "results.data_hash": data_hash,
            }
        )
        found = self.query(
            "SELECT results.*, trials.candidate FROM results "
            f"JOIN trials ON trials.id = results.trial {where} ORDER BY results.id",
            values,
        )
        return self._decoded(rows.stored_result, found)

    def scores(self, result: ResultId) -> np.ndarray:
        """Returns the score of each episode `[episodes]`; `ArchiveError` if there are none."""
        found = self.query(
            "SELECT scores, scores_type, episodes FROM results "
            "WHERE id = ? AND scores_type IS NOT NULL",
            (result,),
        )
        if not found:
            raise ArchiveError(f"archive '{self.place}' has no scores of result {result}")
        return self._decoded(rows.scores, found)[0]

    def episode_scores(self, result: ResultId) -> EpisodeScores:
        """Returns the scores of each episode and of its units; `ArchiveError` if there are none.

        Where an archive of an older version does not know units, they have none.
        """
        found = self.query(
            "SELECT scores, scores_type, results.episodes, unit_scores, width, "
            "episode_lists.units AS list_units FROM results "
            "LEFT JOIN episode_lists ON episode_lists.list_hash = results.list_hash "
            "WHERE results.id = ? AND scores_type IS NOT NULL",
            (result,),
        )
        if not found:
            raise ArchiveError(f"archive '{self.place}' has no scores of result {result}")
        return self._decoded(rows.episode_scores, found)[0]

    def verdicts(self, run: RunId | None = None) -> tuple[StoredVerdict, ...]:
        """Returns verdicts, of one run or all."""
        where, values = _where({"run": run})
        found = self.query(f"SELECT * FROM verdicts {where} ORDER BY id", values)
        return self._decoded(rows.verdict, found)

    def openings(self, run: RunId | None = None) -> tuple[Opening, ...]:
        """Returns openings of sealed parts, of one run or all."""
        where, values = _where({"run": run})
        found = self.query(f"SELECT * FROM openings {where} ORDER BY id", values)
        return self._decoded(rows.opening, found)

    def jobs(self, run: RunId | None = None) -> tuple[StoredJob, ...]:
        """Returns the pieces of work of one run or all."""
        where, values = _where({"run": run})
        return self._decoded(
            rows.job, self.query(f"SELECT * FROM jobs {where} ORDER BY id", values)
        )

    def artefacts(self, run: RunId | None = None) -> tuple[Artefact, ...]:
        """Returns artefacts with what they hold, of one run or all."""
        where, values = _where({"run": run})
        found = self.query(f"SELECT * FROM artefacts {where} ORDER BY id", values)
        return self._decoded(rows.artefact, found)

    def _unknown_candidate(self, identity: str) -> UnknownNameError:
        known = [row["identity"] for row in self.query("SELECT identity FROM candidates")]
        return unknown_name("candidate", identity, known)

    def _candidates(self, select: str, values: Sequence[Any] = ()) -> tuple[StoredCandidate, ...]:
        parents = defaultdict(list)
        with self.snapshot():
            found = self.query(select, values)
            chosen = f"SELECT identity FROM ({select}) AS chosen"
            lines = self.query(
                f"SELECT child, parent FROM parents WHERE child IN ({chosen}) "
                "ORDER BY child, position",
                values,
            )
        for line in lines:
            parents[line["child"]].append(line["parent"])
        return self._decoded(lambda row: rows.candidate(row, parents[row["identity"]]), found)

    def _by_trial(
        self, decode: Callable[[Row], Record], found: Iterable[Row]
    ) -> dict[int, list[Record]]:
        grouped: dict[int, list[Record]] = defaultdict(list)
        for trial, record in self._decoded(lambda row: (row["trial"], decode(row)), found):
            grouped[trial].append(record)
        return grouped

    def _decoded(self, decode: Callable[[Row], Record], found: Iterable[Row]) -> tuple[Record, ...]:
        try:
            return tuple(conforming(decode(row)) for row in found)
        except _DAMAGES as error:
            reason = " ".join(str(error).split())[:200]
            raise ArchiveError(f"archive '{self.place}' is damaged: {reason}") from error


def _where(filters: Mapping[str, Any]) -> tuple[str, tuple[Any, ...]]:
    """Returns a WHERE clause for the filters that are set, and its values."""
    chosen = {column: value for column, value in filters.items() if value is not None}
    clause = " AND ".join(f"{column} = ?" for column in chosen)
    return (f"WHERE {clause}" if clause else ""), tuple(chosen.values())
