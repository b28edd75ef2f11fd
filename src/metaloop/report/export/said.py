"""What other tools are told of a trial beside its choices and figures."""

from __future__ import annotations

from typing import Any

from metaloop.archive import StoredTrial
from metaloop.report.figures import printable
from metaloop.report.reading import Records
from metaloop.report.standing import label


def said_of(records: Records, stored: StoredTrial) -> dict[str, Any]:
    """Returns what is known of a trial, by name: texts, numbers, and the parents as a list."""
    trial = stored.trial
    candidate = records.candidates[trial.candidate]
    return {
        "candidate": trial.candidate,
        "label": label(candidate.candidate),
        "operator": printable(candidate.operator),
        "parents": list(candidate.parents),
        "status": trial.status,
        "message": printable(trial.message),
        "rung": trial.rung,
        "seed": trial.seed,
        "steps": trial.steps,
        "cpu_seconds": trial.cpu_seconds,
    }
