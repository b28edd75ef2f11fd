"""The writing half of an archive: each method is one transaction, kept from when it returns."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any

import numpy as np

from metaloop.archive import rows
from metaloop.archive.address import Place
from metaloop.archive.environment import describe_environment, utc_now
from metaloop.archive.storage import Row
from metaloop.archive.stored import (
    ArtefactId,
    DataSet,
    JobId,
    OpeningId,
    ResultId,
    RunId,
    RunStatus,
    TrialId,
)
from metaloop.core.errors import ArchiveError
from metaloop.core.packing import unpacked
from metaloop.core.records import Candidate, CurvePoint, Protocol, Result, Trial, Verdict, to_json
from metaloop.core.statistics import EpisodeScores

Scores = np.ndarray | EpisodeScores

_UID_BYTES = 16


class _Undone(Exception):
    """What was written is to be taken back."""


class Writing(ABC):
    """What can be recorded. A record that names an unknown run, trial or candidate is refused."""

    @property
    @abstractmethod
    def place(self) -> Place:
        """Where the archive is; as text it has no password."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[None]:
        """Makes the writes inside one: all are kept, or after an exception none. May be nested."""

    @abstractmethod
    def query(self, select: str, values: Sequence[Any] = ()) -> list[Row]:
        """Returns the rows of a SELECT."""

    @abstractmethod
    def change(self, statement: str, values: Sequence[Any]) -> int:
        """Returns how many rows a statement has changed, inside a transaction."""

    @abstractmethod
    def insert(self, table: str, rows: Sequence[Mapping[str, Any]]) -> list[int]:
        """Adds rows of equal columns, inside a transaction; returns their numbers."""

    def check_writable(self) -> None:
        """Raises `OutputError` or `ArchiveError` unless a run can be recorded now; writes none."""
        with suppress(_Undone), self.transaction():
            self.begin_run("check", arguments={}, seed=0, budget="", environment={})
            raise _Undone

    def begin_run(
        self,
        command: str,
        *,
        arguments: Mapping[str, Any],
        seed: int,
        budget: str,
        environment: Mapping[str, Any] | None = None,
    ) -> RunId:
        """Records that a run began, in this environment unless another is given."""
        if environment is None:
            environment = describe_environment()
        values = {
            "started": utc_now(),
            "command": rows.to_text(command),
            "arguments": rows.to_json_text(arguments),
            "seed": int(seed),
            "budget": budget,
            "status": "running",
            "environment": rows.to_json_text(environment),
            "uid": secrets.token_hex(_UID_BYTES),
        }
        return RunId(self._insert("runs", values))

    def end_run(self, run: RunId, status: RunStatus) -> None:
        """Records how a run ended."""
        self._update("runs", run, {"status": status, "ended": utc_now()})

    def mark_interrupted(self, run: RunId) -> None:
        """Records that a run still called running was killed, and with it its running trials.

        When is unknown, so `ended` stays empty. Runs and trials that have ended stay as they are.
        """
        with self.transaction():
            for table, column in (("trials", "run"), ("jobs", "run"), ("runs", "id")):
                self.change(
                    f"UPDATE {table} SET status = 'interrupted' "
                    f"WHERE {column} = ? AND status = 'running'",
                    (run,),
                )

    def add_data_set(self, data_set: DataSet) -> None:
        """Records a data set once; `ArchiveError` if the hash is known with other parts."""
        values = {
            "hash": data_set.hash,
            "name": rows.to_text(data_set.name),
            "kind": rows.to_text(data_set.kind),
            "classes": int(data_set.classes),
            "examples": int(data_set.examples),
            "parts": rows.to_json_text(data_set.parts),
            "left_out": rows.to_json_text(data_set.left_out),
        }
        with self.transaction():
            known = self.query("SELECT * FROM data_sets WHERE hash = ?", (data_set.hash,))
            if not known:
                self._insert("data_sets", values)
            elif known[0]["parts"] != values["parts"]:
                raise ArchiveError(
                    f"archive '{self.place}' knows data '{known[0]['name']}' ({data_set.hash}) in "
                    "other parts; use the same --split-seed, or another archive"
                )

    def add_candidate(
        self,
        candidate: Candidate,
        parents: Sequence[str] = (),
        operator: str = "catalogue",
        *,
        run: RunId | None = None,
        behaviour: str | None = None,
    ) -> str:
        """Records a candidate and who it came from; returns its identity.

        `parents` are identities of candidates in this archive, in the order the operator takes.
        Of a candidate that is known already the first account stays.
        """
        identity = candidate.identity
        values = {
            "identity": identity,
            "json": to_json(candidate),
            "program": candidate.program,
            "behaviour": behaviour,
            "operator": operator,
            "run": run,
        }
        with self.transaction():
            if not self.query("SELECT 1 FROM candidates WHERE identity = ?", (identity,)):
                self._insert("candidates", values)
                for position, parent in enumerate(parents):
                    line = {"child": identity, "position": position, "parent": parent}
                    self._insert("parents", line)
        return identity

    def begin_job(self, run: RunId, number: int, work: str, asked: Mapping[str, Any]) -> JobId:
        """Records that a piece of work was handed out; `asked` are JSON values."""
        values = {
            "run": run,
            "number": int(number),
            "work": work,
            "status": "running",
            "asked": rows.to_json_text(asked),
            "started": utc_now(),
        }
        return JobId(self._insert("jobs", values))

    def end_job(
        self,
        job: JobId,
        status: str,
        answered: Mapping[str, Any],
        message: str = "",
        *,
        cpu_seconds: float = 0.0,
        wall_seconds: float = 0.0,
    ) -> None:
        """Records what came of a piece of work."""
        values = {
            "status": status,
            "answered": rows.to_json_text(answered),
            "message": rows.to_text(message),
            "cpu_seconds": float(cpu_seconds),
            "wall_seconds": float(wall_seconds),
            "ended": utc_now(),
        }
        self._update("jobs", job, values)

    def begin_trial(
        self,
        run: RunId,
        candidate: str,
        data_hash: str,
        *,
        seed: int,
        rung: int = 0,
        continues: TrialId | None = None,
        job: JobId | None = None,
    ) -> TrialId:
        """Records that the training of a candidate began, on data added before."""
        values = {
            "run": run,
            "candidate": candidate,
            "data_hash": data_hash,
            "status": "running",
            "seed": int(seed),
            "rung": int(rung),
            "continues": continues,
            "job": job,
            "started": utc_now(),
        }
        return TrialId(self._insert("trials", values))

    def end_trial(
        self, trial: TrialId, outcome: Trial, scores: Mapping[str, Scores] | None = None
    ) -> tuple[ResultId, ...]:
        """Records what happened in a running trial.

        `scores` maps a list hash to the score of each episode. Returns the numbers of the results.
        `ValueError` if the trial is not running, is another's, or the scores do not fit.
        """
        scores = scores or {}
        lists = [result.protocol.list_hash for result in outcome.results]
        if any(lists.count(list_hash) != 1 for list_hash in scores):
            raise ValueError(f"scores on lists {sorted(scores)} for results on lists {lists}")
        begun = {"candidate": outcome.candidate, "seed": outcome.seed, "rung": outcome.rung}
        with self.transaction():
            self._require_running(trial, begun)
            self._update("trials", trial, {**rows.trial_columns(outcome), "ended": utc_now()})
            for position, point in enumerate(outcome.curve):
                self._insert_curve_point(trial, position, point)
            return tuple(
                self.add_result(trial, result, scores.get(result.protocol.list_hash))
                for result in outcome.results
            )

    def add_result(self, trial: TrialId, result: Result, scores: Scores | None = None) -> ResultId:
        """Records one more result of a trial, such as that of a judgement, with scores if given.

        `ValueError` where they do not fit, or the list of episodes is known with other units.
        """
        values = {
            "trial": trial,
            **rows.result_columns(result),
            **rows.protocol_columns(result.protocol),
            **rows.score_columns(scores, result.episodes),
        }
        with self.transaction():
            if isinstance(scores, EpisodeScores):
                self._add_list(result.protocol.list_hash, scores.units)
            return ResultId(self._insert("results", values))

    def add_verdict(self, run: RunId, verdict: Verdict) -> int:
        """Records what was concluded about two candidates."""
        values = {
            "run": run,
            "decided": utc_now(),
            "winner": verdict.winner,
            "loser": verdict.loser,
            "part": verdict.part,
            "difference": float(verdict.difference),
            "low": float(verdict.low),
            "episodes": int(verdict.episodes),
            "reason": rows.to_text(verdict.reason),
            "low_new": None if verdict.low_new is None else float(verdict.low_new),
            "units": int(verdict.units),
            "certain": None if verdict.certain is None else int(verdict.certain),
        }
        return self._insert("verdicts", values)

    def record_opening(
        self,
        subject: str,
        purpose: str,
        protocol: Protocol,
        *,
        result: Result | None = None,
        run: RunId | None = None,
    ) -> OpeningId:
        """Records that someone looks at a sealed part, best *before* looking.

        Then `finish_opening` adds what was seen, and an evaluation that is broken off has left its
        trace. `subject` is a candidate's identity or a model file's hash.
        """
        values = {
            "run": run,
            "opened": utc_now(),
            "subject": rows.to_text(subject),
            "purpose": rows.to_text(purpose),
            **rows.protocol_columns(protocol),
            **({} if result is None else rows.seen_columns(result)),
        }
        return OpeningId(self._insert("openings", values))

    def finish_opening(self, opening: OpeningId, result: Result) -> None:
        """Adds what was seen to an opening recorded before."""
        self._update("openings", opening, rows.seen_columns(result))

    def add_artefact(
        self, run: RunId, name: str, media_type: str, content: bytes, caption: str = ""
    ) -> ArtefactId:
        """Records something to look at; `content` is what a file of `media_type` would hold."""
        values = {
            "run": run,
            "name": rows.to_text(name),
            "media_type": rows.to_text(media_type),
            "caption": rows.to_text(caption),
            "content": content,
        }
        return ArtefactId(self._insert("artefacts", values))

    def _add_list(self, list_hash: str, units: np.ndarray) -> None:
        """Records which units the episodes of a list have, once for all its results."""
        values = rows.list_columns(list_hash, units)
        known = self.query("SELECT * FROM episode_lists WHERE list_hash = ?", (list_hash,))
        if not known:
            self._insert("episode_lists", values)
            return
        shape = known[0]["episodes"], known[0]["width"]
        if not np.array_equal(unpacked(known[0]["units"], shape, "<i8"), units):
            raise ValueError(f"the list of episodes {list_hash} is known with other units")

    def _require_running(self, trial: TrialId, begun: Mapping[str, Any]) -> None:
        known = self.query("SELECT * FROM trials WHERE id = ?", (trial,))
        if not known or known[0]["status"] != "running":
            raise ValueError(f"trial {trial} is {known[0]['status'] if known else 'unknown'}")
        differing = {name for name, value in begun.items() if known[0][name] != value}
        if differing:
            raise ValueError(f"trial {trial} began with another {' and '.join(sorted(differing))}")

    def _insert_curve_point(self, trial: TrialId, position: int, point: CurvePoint) -> None:
        place = {"trial": trial, "position": position}
        self._insert("curves", {**place, **rows.curve_columns(point)})

    def _insert(self, table: str, values: Mapping[str, Any]) -> int:
        with self.transaction():
            numbers = self.insert(table, [values])
        return numbers[0] if numbers else 0

    def _update(self, table: str, row: int, values: Mapping[str, Any]) -> None:
        assignments = ", ".join(f"{column} = ?" for column in values)
        with self.transaction():
            changed = self.change(
                f"UPDATE {table} SET {assignments} WHERE id = ?", (*values.values(), row)
            )
            if changed != 1:
                raise ValueError(f"{table} has no row {row}")
