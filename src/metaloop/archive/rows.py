"""Records into columns and rows into records: the two directions side by side.

NULL stands for NaN in figures (SQLite has no NaN). Text that is no valid Unicode (names of files
can be so) is kept readable. A damaged row raises `ValueError`, `LookupError` or
`TypeError`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from metaloop.archive.storage import Row
from metaloop.archive.stored import (
    Artefact,
    DataSet,
    Opening,
    Run,
    StoredCandidate,
    StoredJob,
    StoredResult,
    StoredTrial,
    StoredVerdict,
)
from metaloop.core.packing import packed, unpacked
from metaloop.core.records import (
    CurvePoint,
    Measure,
    Protocol,
    Result,
    Trial,
    Verdict,
    candidate_from_json,
    measures_json,
)
from metaloop.core.statistics import EpisodeScores
from metaloop.core.strict_json import checked_json

Columns = dict[str, Any]

_SCORES_TYPES = ("<f4", "<f8")
_LARGEST_FIGURE = 1e100  # or infinite; float32, in which nets compute, ends at 3e38
_MOST_SECONDS = 1e12


def to_text(text: str) -> str:
    """Returns `text` with what UTF-8, or text of PostgreSQL, cannot hold written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def to_json_text(value: Any) -> str:
    """Returns JSON with sorted keys; values that JSON lacks (paths) become their text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)


def result_columns(result: Result) -> Columns:
    """Returns what a result says, without its protocol."""
    return {
        "metric": result.metric,
        "value": float(result.value),
        "ci95": float(result.ci95),
        "episodes": int(result.episodes),
        "ci95_new": None if result.ci95_new is None else float(result.ci95_new),
        "units": int(result.units),
    }


def seen_columns(result: Result) -> Columns:
    """Returns what was seen of a sealed part: a result with what other metrics said."""
    return {**result_columns(result), "metrics": to_json_text(measures_json(result))}


def protocol_columns(protocol: Protocol) -> Columns:
    """Returns how a result was measured."""
    return {
        "part": protocol.part,
        "ways": int(protocol.ways),
        "shots": int(protocol.shots),
        "queries": int(protocol.queries),
        "norm_policy": protocol.norm_policy,
        "list_hash": protocol.list_hash,
        "data_hash": protocol.data_hash,
    }


def trial_columns(trial: Trial) -> Columns:
    """Returns what happened in a trial, without its curve, results, candidate, seed and rung."""
    return {
        "status": trial.status,
        "steps": int(trial.steps),
        "cpu_seconds": float(trial.cpu_seconds),
        "wall_seconds": float(trial.wall_seconds),
        "flops": None if trial.flops is None else float(trial.flops),
        "message": to_text(trial.message),
    }


def curve_columns(point: CurvePoint) -> Columns:
    """Returns an early figure."""
    return {
        "step": int(point.step),
        "wall_seconds": float(point.wall_seconds),
        "loss": float(point.loss),
        "value": None if point.value is None else float(point.value),
    }


def score_columns(scores: np.ndarray | EpisodeScores | None, episodes: int) -> Columns:
    """Returns per-episode scores as little-endian bytes: float32 stays so, the rest is float64.

    Of `EpisodeScores` also those of the units, packed; which they are is said by the list.
    """
    if scores is None:
        return {"scores_type": None, "scores": None}
    if isinstance(scores, EpisodeScores):
        columns = score_columns(scores.values, episodes)
        return {**columns, "unit_scores": packed(scores.unit_values)}
    if scores.shape != (episodes,):
        raise ValueError(f"scores of shape {scores.shape} for {episodes} episodes")
    kind = "<f4" if scores.dtype == np.float32 else "<f8"
    return {"scores_type": kind, "scores": scores.astype(kind).tobytes()}


def scores(row: Row) -> np.ndarray:
    """Returns the scores of a result that has them."""
    if row["scores_type"] not in _SCORES_TYPES:
        raise ValueError(f"scores of type {row['scores_type']!r}")
    array = np.frombuffer(row["scores"], dtype=row["scores_type"])
    if len(array) != row["episodes"]:
        raise ValueError(f"{row['episodes']} episodes but {len(array)} scores")
    return array.astype(array.dtype.newbyteorder("="))


def list_columns(list_hash: str, units: np.ndarray) -> Columns:
    """Returns which units `[episodes, width]` a list of episodes has."""
    episodes, width = units.shape
    return {
        "list_hash": list_hash,
        "episodes": episodes,
        "width": width,
        "units": packed(units, "<i8"),
    }


def episode_scores(row: Row) -> EpisodeScores:
    """Returns the scores of a result that has them, without units where none were recorded."""
    values = scores(row).astype(np.float64)
    if row["unit_scores"] is None or row["width"] is None:
        nothing = np.empty((len(values), 0))
        return EpisodeScores(values, nothing, nothing.astype(np.int64))
    shape = (len(values), int(row["width"]))
    return EpisodeScores(
        values, unpacked(row["unit_scores"], shape), unpacked(row["list_units"], shape, "<i8")
    )


def run(row: Row) -> Run:
    """Returns a run."""
    arguments, environment = _json(row["arguments"]), _json(row["environment"])
    return Run(
        id=row["id"],
        started=row["started"],
        ended=row["ended"],
        command=row["command"],
        arguments=arguments,
        seed=row["seed"],
        budget=row["budget"],
        status=row["status"],
        environment=environment,
        uid=row["uid"],
    )


def data_set(row: Row) -> DataSet:
    """Returns a data set."""
    return DataSet(
        hash=row["hash"],
        name=row["name"],
        kind=row["kind"],
        classes=row["classes"],
        examples=row["examples"],
        parts={part: tuple(names) for part, names in _json(row["parts"]).items()},
        left_out=_json(row["left_out"]),
    )


def candidate(row: Row, parents: Iterable[str]) -> StoredCandidate:
    """Returns a candidate with these parents."""
    return StoredCandidate(
        identity=row["identity"],
        candidate=candidate_from_json(row["json"]),
        operator=row["operator"],
        parents=tuple(parents),
        run=row["run"],
        behaviour=row["behaviour"],
    )


def trial(row: Row, curve: Iterable[CurvePoint], results: Iterable[Result]) -> StoredTrial:
    """Returns a trial with this curve and these results."""
    happened = Trial(
        candidate=row["candidate"],
        status=row["status"],
        seed=row["seed"],
        steps=row["steps"],
        cpu_seconds=_seconds(row["cpu_seconds"]),
        wall_seconds=_seconds(row["wall_seconds"]),
        flops=row["flops"],
        rung=row["rung"],
        curve=tuple(curve),
        results=tuple(results),
        message=row["message"],
    )
    return StoredTrial(
        id=row["id"],
        run=row["run"],
        data_hash=row["data_hash"],
        job=row["job"],
        continues=row["continues"],
        started=row["started"],
        ended=row["ended"],
        trial=happened,
    )


def curve_point(row: Row) -> CurvePoint:
    """Returns an early figure."""
    value = None if row["value"] is None else _figure(row["value"])
    return CurvePoint(row["step"], _seconds(row["wall_seconds"]), _figure(row["loss"]), value)


def protocol(row: Row) -> Protocol:
    """Returns how a result was measured."""
    return Protocol(**{name: row[name] for name in Protocol.__dataclass_fields__})


def result(row: Row) -> Result:
    """Returns a result."""
    return Result(
        metric=row["metric"],
        value=_figure(row["value"]),
        ci95=_figure(row["ci95"]),
        episodes=row["episodes"],
        protocol=protocol(row),
        ci95_new=None if row["ci95_new"] is None else _figure(row["ci95_new"]),
        units=row["units"],
    )


def stored_result(row: Row) -> StoredResult:
    """Returns a result with its place."""
    has_scores = row["scores_type"] is not None
    return StoredResult(row["id"], row["trial"], row["candidate"], has_scores, result(row))


def verdict(row: Row) -> StoredVerdict:
    """Returns a verdict."""
    concluded = Verdict(
        winner=row["winner"],
        loser=row["loser"],
        part=row["part"],
        difference=_figure(row["difference"]),
        low=_figure(row["low"]),
        episodes=row["episodes"],
        reason=row["reason"],
        low_new=None if row["low_new"] is None else _figure(row["low_new"]),
        units=row["units"],
        certain=None if row["certain"] is None else bool(row["certain"]),
    )
    return StoredVerdict(row["id"], row["run"], row["decided"], concluded)


def opening(row: Row) -> Opening:
    """Returns an opening."""
    return Opening(
        id=row["id"],
        run=row["run"],
        opened=row["opened"],
        subject=row["subject"],
        purpose=row["purpose"],
        protocol=protocol(row),
        result=None if row["metric"] is None else replace(result(row), metrics=_measures(row)),
    )


def job(row: Row) -> StoredJob:
    """Returns a piece of work."""
    values = {name: row[name] for name in StoredJob.__dataclass_fields__}
    for name in ("asked", "answered"):
        values[name] = _json(values[name])
    for name in ("cpu_seconds", "wall_seconds"):
        values[name] = _seconds(values[name])
    return StoredJob(**values)


def artefact(row: Row) -> Artefact:
    """Returns an artefact."""
    return Artefact(**{name: row[name] for name in Artefact.__dataclass_fields__})


def _measures(row: Row) -> tuple[Measure, ...]:
    """Returns what other metrics said; nothing where an older version did not record it."""
    if row["metrics"] is None:
        return ()
    told = _json(row["metrics"])
    if not isinstance(told, dict):
        raise ValueError("metrics that are no object")
    return tuple(
        Measure(
            metric=name,
            value=_figure(one["value"]),
            ci95=_figure(one["ci95"]),
            ci95_new=None if one["ci95_new"] is None else _figure(one["ci95_new"]),
        )
        for name, one in told.items()
    )


def _json(text: str) -> Any:
    """Returns a JSON value; names of files in it need not be Unicode, nor losses finite."""
    return checked_json(text, finite=False)


def _figure(value: float | None) -> float:
    """Returns a figure, NaN for NULL; `ValueError` for one that no computation here can give."""
    if isinstance(value, (int, float)) and _LARGEST_FIGURE < abs(value) < math.inf:
        raise ValueError(f"the figure {value:.3g} is beyond {_LARGEST_FIGURE:g}")
    return math.nan if value is None else value


def _seconds(value: float) -> float:
    """Returns seconds as they are; `ValueError` for more than a span of history."""
    if isinstance(value, (int, float)) and not abs(value) <= _MOST_SECONDS:
        raise ValueError(f"{value:.3g} seconds are more than {_MOST_SECONDS:g}")
    return value
