"""CSV files of a run: what spreadsheets and data frames read, one file for each kind of record.

Columns keep their units in their names; empty cells are missing values. Text that a spreadsheet
would take for a formula begins with an apostrophe.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from metaloop.core.records import Protocol, Result, to_json
from metaloop.report.crediting import comparisons
from metaloop.report.figures import printable
from metaloop.report.progress import progress_of
from metaloop.report.reading import Records
from metaloop.report.standing import label

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what makes a cell of text a formula

Row = Mapping[str, Any]

_RESULT = ("metric", "value", "ci95", "ci95_new", "episodes", "units")
_PROTOCOL = ("part", "ways", "shots", "queries", "norm_policy", "list_hash", "data_hash")
_COLUMNS: Mapping[str, Sequence[str]] = {
    "candidates": ("candidate", "label", "operator", "parents", "learner", "net", "style",
                   "program", "json", "league"),
    "trials": ("trial", "run", "candidate", "data_hash", "status", "seed", "rung", "continues",
               "steps", "cpu_seconds", "wall_seconds", "flops", "started", "ended", "message"),
    "jobs": ("job", "run", "number", "work", "status", "cpu_seconds", "wall_seconds", "started",
             "ended", "asked", "answered", "message"),
    "results": ("trial", "candidate", *_RESULT, *_PROTOCOL),
    "curves": ("trial", "candidate", "step", "wall_seconds", "loss", "value"),
    "verdicts": ("verdict", "run", "decided", "part", "winner", "loser", "difference", "low",
                 "episodes", "reason", "low_new", "units", "certain"),
    "comparisons": ("child", "parent", "advantage", "ci95", "episodes"),
    "openings": ("opening", "run", "opened", "subject", "purpose", *_PROTOCOL, *_RESULT),
    "progress": ("candidate", "label", "cpu_seconds", "leads", "baseline", *_RESULT),
    "backbones": ("view", "name", "takes", "features", "weights", "size", "version", "licence",
                  "knows", "citation"),
}  # fmt: skip


def write_csv(records: Records, folder: Path) -> None:
    """Writes a folder with one file for each kind of record."""
    folder.mkdir()
    tables: Mapping[str, Iterable[Row]] = {
        "candidates": _candidates(records),
        "trials": _trials(records),
        "jobs": _jobs(records),
        "results": _results(records),
        "curves": _curves(records),
        "verdicts": _verdicts(records),
        "comparisons": (vars(pair) for pair in comparisons(records)),
        "openings": _openings(records),
        "progress": _progress(records),
        "backbones": ({"view": each.view, **vars(each.card)} for each in records.backbones),
    }
    for name, rows in tables.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, _COLUMNS[name])
            writer.writeheader()
            writer.writerows({column: _cell(row[column]) for column in row} for row in rows)


def _candidates(records: Records) -> Iterable[Row]:
    for stored in records.candidates.values():
        candidate = stored.candidate
        yield {
            "candidate": stored.identity,
            "label": label(candidate),
            "operator": stored.operator,
            "parents": " ".join(stored.parents),
            "learner": candidate.learner.name,
            "net": candidate.net.name,
            "style": candidate.plan.style,
            "program": candidate.program,
            "json": to_json(candidate),
            "league": records.league(candidate),
        }


def _trials(records: Records) -> Iterable[Row]:
    for stored in records.trials:
        trial = stored.trial
        yield {
            "trial": stored.id,
            "run": stored.run,
            "candidate": trial.candidate,
            "data_hash": stored.data_hash,
            "status": trial.status,
            "seed": trial.seed,
            "rung": trial.rung,
            "continues": stored.continues,
            "steps": trial.steps,
            "cpu_seconds": trial.cpu_seconds,
            "wall_seconds": trial.wall_seconds,
            "flops": trial.flops,
            "started": stored.started,
            "ended": stored.ended,
            "message": trial.message,
        }


def _jobs(records: Records) -> Iterable[Row]:
    for job in records.jobs:
        facts = {name: getattr(job, name) for name in _COLUMNS["jobs"][1:]}
        yield {"job": job.id, **facts, "asked": dict(job.asked), "answered": dict(job.answered)}


def _results(records: Records) -> Iterable[Row]:
    for stored in records.trials:
        for result in stored.trial.results:
            place = {"trial": stored.id, "candidate": stored.trial.candidate}
            yield {**place, **_figures(result), **_protocol(result.protocol)}


def _curves(records: Records) -> Iterable[Row]:
    for stored in records.trials:
        for point in stored.trial.curve:
            yield {"trial": stored.id, "candidate": stored.trial.candidate, **vars(point)}


def _verdicts(records: Records) -> Iterable[Row]:
    for stored in records.verdicts:
        place = {"verdict": stored.id, "run": stored.run, "decided": stored.decided}
        yield {**place, **vars(stored.verdict)}


def _openings(records: Records) -> Iterable[Row]:
    for opening in records.openings:
        yield {
            "opening": opening.id,
            "run": opening.run,
            "opened": opening.opened,
            "subject": opening.subject,
            "purpose": opening.purpose,
            **_protocol(opening.protocol),
            **(_figures(opening.result) if opening.result else {}),
        }


def _progress(records: Records) -> Iterable[Row]:
    progress = progress_of(records)
    for dot in progress.dots:
        yield {
            "candidate": dot.candidate,
            "label": dot.label,
            "cpu_seconds": dot.cpu_seconds,
            "leads": int(dot in progress.leaders),
            "baseline": int(dot.is_baseline),
            **_figures(dot.result),
        }


def _figures(result: Result) -> Row:
    return {name: getattr(result, name) for name in _RESULT}


def _protocol(protocol: Protocol) -> Row:
    return {name: getattr(protocol, name) for name in _PROTOCOL}


def _cell(value: Any) -> Any:
    """A value as a cell; text of others' making never steers a terminal or a spreadsheet."""
    if not isinstance(value, str):
        return value if value is None or isinstance(value, int | float) else json.dumps(value)
    text = printable(value, keep="\n")
    return f"'{text}" if text.startswith(_FORMULA) else text
