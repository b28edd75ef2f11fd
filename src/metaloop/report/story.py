"""The whole story of one candidate: origin, recipe, program, trials, comparisons."""

from __future__ import annotations

from typing import Any

from metaloop.archive import StoredCandidate, StoredVerdict
from metaloop.core.errors import UnknownNameError, unknown_name
from metaloop.report.differences import ancestry, recipe
from metaloop.report.figures import printable
from metaloop.report.reading import Records
from metaloop.report.standing import short, standing
from metaloop.report.summary import entry_json, result_json

_MOST_NAMED = 5  # candidates in a message


def find_candidate(records: Records, prefix: str) -> StoredCandidate:
    """Returns the one candidate whose identity begins so; `UnknownNameError` if none or several."""
    exact = records.candidates.get(prefix)
    if exact is not None:
        return exact
    wanted = prefix.lower()
    found = [name for name in records.candidates if wanted and name.startswith(wanted)]
    if len(found) == 1:
        return records.candidates[found[0]]
    if found:
        named = ", ".join(found[:_MOST_NAMED]) + (", ..." if found[_MOST_NAMED:] else "")
        raise UnknownNameError(
            f"{len(found)} candidates begin with {printable(prefix)!r}: {named}; give more digits"
        )
    if len(records.candidates) > _MOST_NAMED:
        raise UnknownNameError(
            f"no candidate's identity begins with {printable(prefix)!r}; 'metaloop show RUN' "
            "lists them"
        )
    raise unknown_name("candidate", printable(prefix), records.candidates)


def verdicts_about(records: Records, identity: str) -> tuple[StoredVerdict, ...]:
    """Returns the verdicts that a candidate won or lost."""
    return tuple(
        stored
        for stored in records.verdicts
        if identity in (stored.verdict.winner, stored.verdict.loser)
    )


def children_of(records: Records, identity: str) -> tuple[StoredCandidate, ...]:
    """Returns the candidates that were made from this one."""
    return tuple(s for s in records.candidates.values() if identity in s.parents)


def story_json(records: Records, stored: StoredCandidate) -> dict[str, Any]:
    """Returns what `metaloop show RUN CANDIDATE --json` prints."""
    return {
        **entry_json(records, standing(records, stored)),
        "recipe": dict(recipe(stored.candidate)),
        "program": stored.candidate.program,
        "behaviour": stored.behaviour,
        "children": [child.identity for child in children_of(records, stored.identity)],
        "ancestry": [
            {
                "candidate": step.child.identity,
                "parent": step.parent.identity,
                "operator": step.child.operator,
                "changes": list(step.changes),
                "program_diff": list(step.diff),
            }
            for step in ancestry(records, stored.identity)
        ],
        "trials": [
            {
                "status": trial.trial.status,
                "rung": trial.trial.rung,
                "steps": trial.trial.steps,
                "cpu_seconds": trial.trial.cpu_seconds,
                "message": trial.trial.message,
                "results": [result_json(result) for result in trial.trial.results],
            }
            for trial in records.trials_of.get(stored.identity, ())
        ],
        "verdicts": [
            {**vars(v.verdict), "decided": v.decided}
            for v in verdicts_about(records, stored.identity)
        ],
        "openings": [
            {"opened": o.opened, "purpose": o.purpose, "result": result_json(o.result)}
            for o in records.openings
            if o.subject == stored.identity
        ],
        "short": short(stored.identity),
    }
