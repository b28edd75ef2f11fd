"""The report that `select` ends with and `--json` prints."""

from __future__ import annotations

from typing import Any

from metaloop.core.records import Result
from metaloop.loop.charging import ARCHIVE_NAME
from metaloop.selecting.racing import Entry
from metaloop.selecting.recording import last_result
from metaloop.selecting.run import Selecting

_LONGEST_LEADERBOARD = 40


def summary(
    run: Selecting, status: str, chosen: Entry | None = None, reason: str = ""
) -> dict[str, Any]:
    """Returns the report without what `test` said: JSON values."""
    labelled = run.labelled
    entries = run.race.beliefs()
    failed = [entry for entry in run.race.entries.values() if entry.failed]
    shown = [entry for entry in [*entries, *failed] if entry.right or entry.failed]
    if chosen is not None:
        shown = [chosen, *(entry for entry in shown if entry is not chosen)]
    return {
        "status": status,
        "model": str(run.model_path) if run.model_path.exists() or chosen is not None else None,
        "archive": str(run.folder / ARCHIVE_NAME),
        "best": None if chosen is None else {**_row(run, chosen), "reason": reason},
        "test": None,
        "leaderboard": [_row(run, entry) for entry in shown[:_LONGEST_LEADERBOARD]],
        "data": {
            "name": labelled.name,
            "classes": len(labelled.class_names),
            "examples": {part: len(rows) for part, rows in labelled.rows.items()},
            "data_hash": labelled.digest,
        },
        "search": {
            "tried": sum(bool(entry.right or entry.failed) for entry in run.race.entries.values()),
            "cpu_seconds": run.search_cpu,
        },
        "cpu_seconds": run.cpu_seconds,
        "wall_seconds": run.wall_seconds,
    }


def _row(run: Selecting, entry: Entry) -> dict[str, Any]:
    """What a table says of a pipeline; `believed`: of its accuracy, relative to the others."""
    candidate = entry.candidate
    believed = run.race.gain * run.race.values()[entry.identity]
    return {
        "candidate": entry.identity,
        "learner": candidate.learner.name,
        "net": candidate.net.name,
        "options": dict(candidate.learner.options),
        "net_options": dict(candidate.net.options),
        "plan": {
            "optimiser": candidate.plan.optimiser,
            "batch_size": candidate.plan.batch_size,
            "augmentation": dict(candidate.plan.augmentation.options),
        },
        "operator": entry.operator,
        "status": "failed" if entry.failed else "finished",
        "message": entry.failed,
        "rung": max(entry.right, default=0),
        "cpu_seconds": entry.cpu_seconds,
        "believed": believed,
        "search": _figures(last_result(run, entry)),
    }


def _figures(result: Result | None) -> dict[str, Any] | None:
    if result is None:
        return None
    return {
        "metric": result.metric,
        "value": result.value,
        "ci95": result.ci95,
        "examples": result.episodes,
    }
