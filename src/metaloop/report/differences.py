"""What changed from parent to child: fields of the recipe, and lines of a program.

The ancestors of a candidate are followed through first parents, those of its program through
parents that have one; each step is a unified diff.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from metaloop.archive import StoredCandidate
from metaloop.core.records import Candidate, to_json
from metaloop.report.figures import value_text
from metaloop.report.reading import Records
from metaloop.report.standing import Standing, operator_kind, standings

_CONTEXT_LINES = 3
_MOST_LINES = 500  # of a program; the time that a comparison takes grows with their square
_MAKE_PROGRAMS = ("program", "inner loss")  # the kinds of operators that change programs


@dataclass(frozen=True)
class Step:
    """One generation: the child, its parent, changed fields, and the diff of their programs."""

    child: StoredCandidate
    parent: StoredCandidate
    changes: tuple[str, ...]
    diff: tuple[str, ...]


def ancestry(records: Records, identity: str) -> tuple[Step, ...]:
    """Returns the steps from a candidate back to its oldest ancestor, the latest step first."""
    steps: list[Step] = []
    seen = {identity}
    child = records.candidates.get(identity)
    while child is not None and child.parents and child.parents[0] not in seen:
        parent = records.candidates.get(child.parents[0])
        if parent is None:
            break
        seen.add(parent.identity)
        changes = changed_fields(parent.candidate, child.candidate)
        steps.append(Step(child, parent, changes, program_diff(parent, child)))
        child = parent
    return tuple(steps)


def oldest_program(records: Records, identity: str) -> StoredCandidate | None:
    """Returns the oldest ancestor that is a program too; None if there is none."""
    line = _program_line(records, identity)
    return line[-1] if len(line) > 1 else None


def is_generated(records: Records, identity: str) -> bool:
    """Returns whether a candidate's program was made by an operator, its own or an ancestor's."""
    return any(
        operator_kind(stored) in _MAKE_PROGRAMS for stored in _program_line(records, identity)
    )


def _program_line(records: Records, identity: str) -> list[StoredCandidate]:
    """Returns a candidate with a program and those that its program came from, latest first.

    Of several parents with programs the last counts: who gave no net is named after who did.
    """
    line: dict[str, StoredCandidate] = {}
    child = records.candidates.get(identity)
    while child is not None and child.candidate.program and child.identity not in line:
        line[child.identity] = child
        parents = [records.candidates[one] for one in child.parents if one in records.candidates]
        child = next((one for one in reversed(parents) if one.candidate.program), None)
    return list(line.values())


def best_generated(records: Records) -> Standing | None:
    """Returns the best candidate whose program was generated; None if none was measured."""
    measured = (entry for entry in standings(records) if entry.search is not None)
    return next((entry for entry in measured if is_generated(records, entry.identity)), None)


def changed_fields(parent: Candidate, child: Candidate) -> tuple[str, ...]:
    """Returns `plan.learning_rate 0.003 → 0.01` for each field that differs but the program."""
    before, after = choices_of(parent), choices_of(child)
    return tuple(
        f"{name} {value_text(before.get(name))} → {value_text(after.get(name))}"
        for name in sorted(before | after)
        if before.get(name) != after.get(name)
    )


def choices_of(candidate: Candidate) -> dict[str, Any]:
    """Returns every choice but the program by its place: `plan.learning_rate`, `net.width`.

    The name of a learner, net or augmentation stands at its own place, its options below.
    """
    return dict(_leaves(_fields(candidate)))


def program_diff(parent: StoredCandidate, child: StoredCandidate) -> tuple[str, ...]:
    """Returns the unified diff of two programs as lines, without its two lines of file names."""
    before, after = parent.candidate.program or "", child.candidate.program or ""
    lines = difflib.unified_diff(
        before.splitlines()[:_MOST_LINES],
        after.splitlines()[:_MOST_LINES],
        n=_CONTEXT_LINES,
        lineterm="",
    )
    return tuple(lines)[2:]


def recipe(candidate: Candidate) -> Mapping[str, str]:
    """Returns the parts of a candidate in words: learner, net, plan and data."""
    fields = _fields(candidate)
    plan, data = fields.pop("plan"), fields.pop("data")
    return {
        **{name: value_text(value) for name, value in fields.items()},
        "plan": ", ".join(f"{name} {value_text(value)}" for name, value in plan.items()),
        "data": " . ".join(map(value_text, data["generators"])) or "as it is",
        "families": value_text(data["families"]),
        "original share": value_text(data["original_share"]),
    }


def _fields(candidate: Candidate) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(to_json(candidate))
    fields.pop("program", None)
    return fields


def _leaves(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields `(plan.learning_rate, 0.003)`; the options of a choice stand below its name."""
    for name, value in fields.items():
        if (
            isinstance(value, dict)
            and set(value) == {"name", "options"}
            and isinstance(value["options"], dict)
        ):
            yield f"{prefix}{name}", value["name"]
            yield from _leaves(value["options"], f"{prefix}{name}.")
        elif isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
