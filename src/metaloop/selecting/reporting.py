"""The report that `select` ends with and `--json` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metaloop.core.leagues import backbones_json, cards_in
from metaloop.core.pretraining import pretraining_json
from metaloop.core.records import Result
from metaloop.loop.charging import ARCHIVE_NAME
from metaloop.selecting.baselines import Baseline
from metaloop.selecting.offer import Guesting
from metaloop.selecting.racing import Entry
from metaloop.selecting.recording import last_result
from metaloop.selecting.run import Selecting

_LONGEST_LEADERBOARD = 40


def summary(
    run: Selecting,
    status: str,
    chosen: Entry | None = None,
    reason: str = "",
    baselines: Sequence[Baseline] = (),
    test: Result | None = None,
) -> dict[str, Any]:
    """Returns the report without the whole of what `test` said: JSON values.

    `test` is the figure of the chosen one. Baselines are in the leaderboard, whatever they have.
    """
    labelled = run.labelled
    failed = [entry for entry in run.race.entries.values() if entry.failed]
    trained = [entry for entry in [*run.race.beliefs(), *failed] if entry.right or entry.failed]
    frozen = [] if run.offer is None else [found.entry for found in run.offer.measured]
    guests = {one.entry.identity: one for one in run.guests.measured}
    guested = [one.entry for one in guests.values()]
    plain = {one.entry.identity: one for one in baselines}
    first = [] if chosen is None else [chosen]
    tried = [*frozen, *guested, *trained]
    shown = {e.identity: e for e in [*first, *(one.entry for one in baselines), *tried]}
    rows = [
        _row(run, entry, plain.get(entry.identity)) | _of_guest(guests.get(entry.identity))
        for entry in shown.values()
    ]
    if chosen is not None and test is not None:
        rows[0]["test"] = figures(test)
    return {
        "status": status,
        "model": str(run.model_path) if run.model_path.exists() or chosen is not None else None,
        "archive": str(run.folder / ARCHIVE_NAME),
        "best": None if chosen is None else {**rows[0], "reason": reason},
        "test": None,
        "leaderboard": rows[:_LONGEST_LEADERBOARD],
        "backbones": backbones_json(run.backbones),
        "data": {
            "name": labelled.name,
            "classes": len(labelled.class_names),
            "examples": {part: len(rows) for part, rows in labelled.rows.items()},
            "data_hash": labelled.digest,
        },
        "search": {
            "tried": len(tried),
            "cpu_seconds": run.search_cpu,
        },
        "cpu_seconds": run.cpu_seconds,
        "wall_seconds": run.wall_seconds,
    }


def _row(run: Selecting, entry: Entry, baseline: Baseline | None) -> dict[str, Any]:
    """What a table says of a pipeline; `believed`: of its accuracy, relative to others trained."""
    candidate = entry.candidate
    believed, last = run.race.values().get(entry.identity), last_result(run, entry)
    return {
        "candidate": entry.identity,
        "league": run.league_of(candidate),
        "pretraining": pretraining_json(
            cards_in(candidate.views, run.backbones), run.labelled.class_names
        ),
        "baseline": baseline is not None,
        "name": "" if baseline is None else baseline.name,
        "learner": candidate.learner.name,
        "net": candidate.net.name,
        "options": dict(candidate.learner.options),
        "net_options": dict(candidate.net.options),
        "plan": {
            "optimiser": candidate.plan.optimiser,
            "batch_size": candidate.plan.batch_size,
            "averaging": candidate.plan.averaging,
            "precision": candidate.plan.precision,
            "augmentation": dict(candidate.plan.augmentation.options),
        },
        "operator": entry.operator,
        "status": "failed" if entry.failed else "finished",
        "message": entry.failed,
        "rung": max(entry.right, default=0),
        "cpu_seconds": entry.cpu_seconds,
        "believed": None if believed is None else run.race.gain * believed,
        "search": None if last is None else figures(last),
        "test": None if baseline is None else figures(baseline.test),
    }


def _of_guest(found: Guesting | None) -> dict[str, Any]:
    """What the row of a guest says beside."""
    if found is None:
        return {}
    kept = f"no model file can hold it: {found.unkept}" if found.unkept else ""
    return {
        "name": found.guest.label,
        "examples": found.examples,
        "message": found.entry.failed or kept,
    }


def figures(result: Result) -> dict[str, Any]:
    """Returns a figure as `--json` prints it."""
    return {
        "metric": result.metric,
        "value": result.value,
        "ci95": result.ci95,
        "examples": result.episodes,
    }
