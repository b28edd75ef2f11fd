"""Every look at a sealed part in words: who, what was seen, by which protocol, when and why."""

from __future__ import annotations

from dataclasses import dataclass

from metaloop.archive import Opening
from metaloop.report.figures import figure, measured_on, policy_name, shortened, task_name
from metaloop.report.reading import Records
from metaloop.report.standing import name_of, short

_LONGEST_TEXT = 400


@dataclass(frozen=True)
class Look:
    """An opening as text; `seen` says so where nothing was seen because it was broken off."""

    who: str
    seen: str
    protocol: str
    opened: str
    why: str


def looks_of(records: Records) -> tuple[Look, ...]:
    """Returns all openings in the archive, of this run or not, oldest first."""
    return tuple(_look(records, opening) for opening in records.openings)


def _look(records: Records, opening: Opening) -> Look:
    how, result = opening.protocol, opening.result
    known = opening.subject in records.candidates
    parts = [how.part, task_name(how), f"{how.queries} queries"]
    parts += [measured_on(result)] if result else []
    return Look(
        who=name_of(records, opening.subject) if known else f"model {short(opening.subject)}",
        seen=figure(result) if result else "broken off: nothing was seen",
        protocol=(
            f"{', '.join(parts)}, {policy_name(how)}; episodes {short(how.list_hash)}, "
            f"data {short(how.data_hash)}"
        ),
        opened=opening.opened,
        why=shortened(f"{opening.purpose} ({_where(records, opening)})", _LONGEST_TEXT),
    )


def _where(records: Records, opening: Opening) -> str:
    if opening.run is None:
        return "outside of any run"
    own = any(opening.run == run.id for run in records.tries)
    return "this run" if own else f"run {opening.run}"
