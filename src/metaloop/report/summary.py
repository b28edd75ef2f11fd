"""The report as one JSON object: what `metaloop show RUN --json` prints."""

from __future__ import annotations

from typing import Any

from metaloop.archive import DataSet, Opening
from metaloop.core.leagues import backbones_json
from metaloop.core.pretraining import pretraining_json
from metaloop.core.records import Result, measures_json
from metaloop.report.claim import claim_of
from metaloop.report.crediting import credits_of
from metaloop.report.failures import failures_of
from metaloop.report.progress import progress_of
from metaloop.report.reading import Records
from metaloop.report.reproducing import commands
from metaloop.report.standing import Standing, standings


def summary_json(records: Records) -> dict[str, Any]:
    """Returns the whole report as values of JSON; figures that are missing are None."""
    claim = claim_of(records)
    progress = progress_of(records)
    return {
        "run": records.name,
        "status": records.status,
        "claim": {
            "headline": claim.headline,
            "sentences": list(claim.sentences),
            "best": claim.best.identity if claim.best else None,
            "test": result_json(claim.test),
            "chance": claim.chance,
            "no_better_than_chance": claim.no_better_than_chance,
            "certain": claim.certain,
        },
        "leaderboard": [entry_json(records, entry) for entry in standings(records)],
        "backbones": backbones_json(records.backbones),
        "progress": {
            "cpu_seconds": progress.cpu_seconds,
            "best_so_far": [
                {
                    "candidate": dot.candidate,
                    "cpu_seconds": dot.cpu_seconds,
                    "search": result_json(dot.result),
                }
                for dot in progress.leaders
            ],
        },
        "credits": [
            {**vars(credit), "gain": vars(credit.gain) if credit.gain else None}
            for credit in credits_of(records)
        ],
        "promotions": [
            {**vars(stored.verdict), "decided": stored.decided}
            for stored in records.verdicts
            if stored.verdict.part == "promotion"
        ],
        "failures": [
            {**vars(failure), "candidates": list(failure.candidates)}
            for failure in failures_of(records)
        ],
        "openings": [_opening_json(opening) for opening in records.openings],
        "data": [_data_json(data) for data in records.data_sets],
        "environment": dict(records.tries[-1].environment) if records.tries else {},
        "commands": list(commands(records)),
    }


def entry_json(records: Records, entry: Standing) -> dict[str, Any]:
    """Returns a line of the leaderboard."""
    stored = entry.stored
    return {
        "candidate": stored.identity,
        "label": entry.label,
        "league": entry.league,
        "pretraining": pretraining_json(records.cards(stored.candidate), records.tested),
        "operator": stored.operator,
        "parents": list(stored.parents),
        "baseline": entry.is_baseline,
        "generated": stored.candidate.program is not None,
        "status": entry.status,
        "message": entry.message,
        "rung": entry.rung,
        "steps": entry.steps,
        "cpu_seconds": entry.cpu_seconds,
        "search": result_json(entry.search),
        "promotion": result_json(entry.promotion),
    }


def result_json(result: Result | None) -> dict[str, Any] | None:
    """Returns a result with its protocol."""
    if result is None:
        return None
    return {**vars(result), "protocol": vars(result.protocol), "metrics": measures_json(result)}


def _opening_json(opening: Opening) -> dict[str, Any]:
    return {
        "opened": opening.opened,
        "run": opening.run,
        "subject": opening.subject,
        "purpose": opening.purpose,
        "protocol": vars(opening.protocol),
        "result": result_json(opening.result),
    }


def _data_json(data: DataSet) -> dict[str, Any]:
    return {
        "hash": data.hash,
        "name": data.name,
        "kind": data.kind,
        "classes": data.classes,
        "examples": data.examples,
        "parts": {part: len(names) for part, names in data.parts.items()},
        "left_out": dict(data.left_out),
    }
