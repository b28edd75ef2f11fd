"""The report that `select` on a table ends with and `--json` prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from metaloop.core.records import Result
from metaloop.domains.tables.pipelines import league_of_pipelines
from metaloop.loop.charging import ARCHIVE_NAME, MODEL_NAME
from metaloop.models.tabular import candidate_of
from metaloop.selecting.tabular.finishing import ChosenPipelines
from metaloop.selecting.tabular.judging import cross_validated
from metaloop.selecting.tabular.running import TableRun


def summary(
    out: Path,
    run: TableRun,
    status: str,
    chosen: ChosenPipelines | None = None,
    figure: Result | None = None,
) -> dict[str, Any]:
    """Returns the report without what `test` said: JSON values."""
    race, task = run.race, run.task
    errors = race.beliefs().errors
    rows = []
    ranking = race.ranking()
    failed = [name for name, entry in race.entries.items() if entry.failed and name not in ranking]
    for name in [*ranking, *failed]:
        entry, result = race.entries[name], cross_validated(task, race, name)
        rows.append({
            "candidate": candidate_of({name: 1.0}).identity, "pipeline": name,
            "league": league_of_pipelines([name]),
            "status": "failed" if entry.failed else "finished", "message": entry.failed,
            "search": None if result is None else figures_json(result),
            "folds": len(entry.found), "believed_error": errors[name] * race.unit,
            "cpu_seconds": entry.cpu_seconds,
            "fit_seconds": max((r.fit_seconds for r in entry.found.values()), default=None),
            "rows": max((r.rows for r in entry.found.values()), default=0),
        })  # fmt: skip
    best = None
    if chosen is not None:
        candidate = candidate_of(chosen.weights)
        best = {
            "candidate": candidate.identity, "league": league_of_pipelines(chosen.weights),
            "pipelines": dict(chosen.weights), "lift": chosen.rule.lift, "reason": chosen.reason,
            "search": None if figure is None else figures_json(figure),
        }  # fmt: skip
    return {
        "kind": "table",
        "status": status,
        "model": None if chosen is None else str(out / MODEL_NAME),
        "archive": str(out / ARCHIVE_NAME),
        "objective": task.target.objective,
        "metric": run.metric,
        "target": task.target.name,
        "best": best,
        "test": None,
        "leaderboard": rows,
        "data": {
            "name": task.name, "classes": len(task.classes), "columns": len(task.frame.schema),
            "examples": {"train": len(task.known), "test": len(task.test)},
            "left_out": dict(task.dropped), "data_hash": task.digest,
        },
        "search": {
            "tried": len(rows), "folds": run.steps_taken,
            "cpu_seconds": sum(entry.cpu_seconds for entry in race.entries.values()),
        },
        "prior": dict(race.expected.provenance),
        "calibration": None,
        "explained": None,
        "cpu_seconds": 0.0,
        "wall_seconds": 0.0,
    }  # fmt: skip


def figures_json(result: Result) -> dict[str, Any]:
    """Returns a figure with both intervals, as JSON."""
    return {
        "metric": result.metric, "value": result.value, "ci95": result.ci95,
        "ci95_new": result.ci95_new, "examples": result.episodes,
    }  # fmt: skip


def protocol_json(result: Result) -> dict[str, Any]:
    """Returns how a figure was measured, as JSON."""
    how = result.protocol
    return {
        "part": how.part, "classes": how.ways, "list_hash": how.list_hash,
        "data_hash": how.data_hash,
    }  # fmt: skip
