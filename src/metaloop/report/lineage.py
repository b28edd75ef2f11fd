"""The lineage of a run: who came from whom by which change, as rows from ancestors to descendants.

Every candidate hangs on its first parent; further parents (crossover, committees) are named. Up to
`limit` candidates are shown: the promoted one with its ancestors, then the table's best with
theirs. The others are collapsed into one row below their nearest ancestor that is shown, which
says how many they are and how well the best of them did.

A row has a lane: the child that leads on (the promoted path, else the best) stays in its parent's
lane, its siblings branch off into the next. So the main line is straight and depth costs no width.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from metaloop.report.figures import count
from metaloop.report.reading import Records
from metaloop.report.standing import (
    Standing,
    operator_kind,
    operator_words,
    short,
    standing,
    standings,
)

LIMIT = 32  # rows that can be taken in; measured by eye
_LATEST_ON_PATH = 20  # of a promoted path longer than the limit


@dataclass(frozen=True)
class Row:
    """One line of the lineage: a candidate, or the collapsed ones below a row.

    `parent` is the row it hangs on (None: a founder) with `skipped` generations between;
    `others` are the identities of further parents. Without `entry` the row stands for `collapsed`
    candidates, the best of which is `best_hidden`.
    """

    entry: Standing | None
    lane: int
    parent: int | None
    leads_on: bool
    on_path: bool
    skipped: int = 0
    others: tuple[str, ...] = ()
    collapsed: int = 0
    best_hidden: Standing | None = None


@dataclass(frozen=True)
class Lineage:
    """The rows, parents before children, and how many candidates there are and were collapsed."""

    rows: tuple[Row, ...]
    candidates: int
    collapsed: int

    @property
    def lanes(self) -> int:
        """How many lanes the rows need."""
        return 1 + max((row.lane for row in self.rows), default=0)


def lineage_of(records: Records, best: str | None, limit: int = LIMIT) -> Lineage:
    """Returns the lineage of all that took part, with the path to the candidate `best` marked."""
    members = _with_ancestors(records)
    parent = {name: _first_known(entry.stored.parents, members) for name, entry in members.items()}
    path = _line(best, parent) if best in members else []
    order = [entry.identity for entry in standings(records) if entry.identity in members]
    shown = _selected(path, order, parent, limit)
    drawing = _Drawing(members, parent, shown, frozenset(path))
    return Lineage(tuple(drawing.rows()), len(members), len(members) - len(shown))


def edge_words(row: Row, labels: dict[str, str]) -> str:
    """Returns what led to a candidate: the operator's words, further parents, skipped steps."""
    assert row.entry is not None
    said = origin(row.entry)
    if row.others:
        partners = [f"{labels.get(other, '?')} ({short(other)})" for other in row.others]
        said += f", with {' and '.join(partners)}"
    if row.skipped:
        said = f"{count(row.skipped, 'step')} not drawn, then {said}"
    return said


def origin(entry: Standing) -> str:
    """Returns the operator as text: `net: width 64 -> 96`, or `from the catalogue`."""
    kind, words = operator_kind(entry.stored), operator_words(entry.stored)
    if words:
        return f"{kind}: {words.replace('->', '→')}"
    return kind if entry.stored.parents else f"from the {kind}"


def _with_ancestors(records: Records) -> dict[str, Standing]:
    """All that took part and their ancestors (of earlier runs too), in the order they were made."""
    wanted = [stored.identity for stored in records.taking_part]
    known = set(wanted)
    while wanted:
        stored = records.candidates.get(wanted.pop())
        fresh = [p for p in (stored.parents if stored else ()) if p not in known]
        known.update(fresh)
        wanted += fresh
    return {
        identity: standing(records, stored)
        for identity, stored in records.candidates.items()
        if identity in known
    }


def _first_known(parents: Iterable[str], members: Mapping[str, Standing]) -> str | None:
    return next((parent for parent in parents if parent in members), None)


def _line(start: str | None, parent: Mapping[str, str | None]) -> list[str]:
    """A candidate and its first parents, the oldest first; a circle (no honest one) is cut."""
    line: dict[str, None] = {}
    while start is not None and start not in line:
        line[start] = None
        start = parent[start]
    return list(line)[::-1]


def _selected(
    path: list[str], order: list[str], parent: Mapping[str, str | None], limit: int
) -> set[str]:
    if len(path) > limit:
        latest = max(1, min(_LATEST_ON_PATH, limit - 1))
        path = path[: limit - latest] + path[-latest:]
    shown = set(path)
    for identity in order:
        if len(shown) >= limit:
            break
        fresh = set(_line(identity, parent)) - shown
        if len(shown) + len(fresh) <= limit:
            shown |= fresh
    return shown


class _Drawing:
    """Puts the shown candidates in order, each after its parent, and gives them lanes."""

    def __init__(
        self,
        members: Mapping[str, Standing],
        parent: Mapping[str, str | None],
        shown: set[str],
        path: frozenset[str],
    ) -> None:
        self._members, self._path = members, path
        self._children: dict[str | None, list[str]] = {}
        self._hidden: dict[str | None, list[Standing]] = {}
        self._skipped: dict[str, int] = {}
        for identity in members:
            above = _line(identity, parent)[-2::-1]
            nearest = next((name for name in above if name in shown), None)
            if identity in shown:
                self._children.setdefault(nearest, []).append(identity)
                self._skipped[identity] = above.index(nearest) if nearest else len(above)
            else:
                self._hidden.setdefault(nearest, []).append(members[identity])
        self._rows: list[Row] = []

    def rows(self) -> list[Row]:
        """Returns the rows: founders with the promoted path first, then by their best value."""
        self._rows = []
        for founder in sorted(self._children.get(None, []), key=self._merit, reverse=True):
            self._add(founder, None, lane=0, leads_on=False)
        self._add_collapsed(None, None, lane=0)
        return self._rows

    def _add(self, identity: str, parent: int | None, lane: int, leads_on: bool) -> None:
        entry, number = self._members[identity], len(self._rows)
        self._rows.append(
            Row(
                entry=entry,
                lane=lane,
                parent=parent,
                leads_on=leads_on,
                on_path=identity in self._path,
                skipped=self._skipped[identity],
                others=entry.stored.parents[1:],
            )
        )
        children = sorted(self._children.get(identity, []), key=self._merit)
        for sibling in children[:-1]:
            self._add(sibling, number, lane + 1, leads_on=False)
        self._add_collapsed(identity, number, lane + 1 if children else lane)
        for heir in children[-1:]:
            self._add(heir, number, lane, leads_on=True)

    def _add_collapsed(self, identity: str | None, parent: int | None, lane: int) -> None:
        hidden = self._hidden.get(identity, [])
        if hidden:
            best = max(hidden, key=lambda entry: entry.value)
            self._rows.append(
                Row(
                    entry=None,
                    lane=lane,
                    parent=parent,
                    leads_on=False,
                    on_path=False,
                    collapsed=len(hidden),
                    best_hidden=best if best.search is not None else None,
                )
            )

    def _merit(self, identity: str) -> tuple[bool, float]:
        """What decides who leads on: the promoted path, then the best figure at or below."""
        below = [self._members[identity].value]
        waiting = list(self._children.get(identity, []))
        while waiting:
            name = waiting.pop()
            below.append(self._members[name].value)
            waiting += self._children.get(name, [])
        finite = [value for value in below if value > -math.inf]
        return identity in self._path, max(finite, default=-math.inf)
