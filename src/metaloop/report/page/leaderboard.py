"""The leaderboard: what every candidate is, how far it went, its figures, its cost, its parents."""

from __future__ import annotations

from collections.abc import Sequence

from metaloop.core.leagues import league_words
from metaloop.core.records import Result
from metaloop.report.claim import Claim, chance
from metaloop.report.figures import (
    choice_text,
    figure,
    printable,
    seconds,
    shortened,
    table_note,
)
from metaloop.report.lineage import origin
from metaloop.report.page.markup import Html, element, join
from metaloop.report.page.strip import extent_of, strip
from metaloop.report.page.tables import Column, Line, folded, table
from metaloop.report.standing import Standing, short

_SHOWN, _FOLDED = 20, 400  # rows: in sight, and behind a click; beyond them `export` has all
_LONGEST_TEXT, _LONGEST_WORDS = 240, 90
_COLUMNS = (
    Column("candidate"),
    Column("league"),
    Column("search", "number"),
    Column("promotion", "number"),
    Column("status"),
    Column("CPU-seconds", "number"),
    Column("what made it", "long"),
)


def leaderboard(entries: Sequence[Standing], claim: Claim) -> Html:
    """Returns the table: the best that the claim is about, the first rows, the others folded."""
    if not entries:
        return element("p", "No candidate was tried.", class_="quiet")
    best = claim.best.identity if claim.best else None
    entries = sorted(entries, key=lambda entry: entry.identity != best)
    extent = _extent(entries)
    lines = [_line(e, e.identity == best, extent) for e in entries[:_FOLDED]]
    content = [table("Leaderboard", _COLUMNS, lines[:_SHOWN])]
    rest = lines[_SHOWN:]
    if rest:
        content.append(folded(f"{len(rest):,} more", table("More candidates", _COLUMNS, rest)))
    if len(entries) > _FOLDED:
        left = len(entries) - _FOLDED
        content.append(
            element("p", f"{left:,} more are in the archive: metaloop export.", class_="quiet")
        )
    note = table_note(result for entry in entries for result in (entry.search, entry.promotion))
    return join(*content, element("p", note, class_="quiet") if note else None)


def _line(entry: Standing, is_best: bool, extent: tuple[float, float]) -> Line:
    candidate = entry.stored.candidate
    data = " . ".join(choice_text(generator) for generator in candidate.data.generators)
    told = [short(entry.identity)]
    told += ["plain baseline"] if entry.is_baseline else []
    told += [f"data {data}"] if data else []
    name = join(
        shortened(entry.label, _LONGEST_TEXT),
        element("span", shortened(" · ".join(told), _LONGEST_TEXT), class_="sub"),
    )
    search = join(figure(entry.search), _strip(entry.search, extent))
    parents = ", ".join(short(parent) for parent in entry.stored.parents)
    made = join(
        shortened(origin(entry), _LONGEST_WORDS),
        element("span", f"from {parents}", class_="sub") if parents else None,
    )
    spent = join(
        seconds(entry.cpu_seconds), element("span", f"{entry.steps:,} steps", class_="sub")
    )
    return Line(
        (
            name,
            shortened(league_words(entry.league), _LONGEST_WORDS),
            search,
            figure(entry.promotion),
            _status(entry),
            spent,
            made,
        ),
        best=is_best,
    )


def _status(entry: Standing) -> Html:
    said = f"rung {entry.rung + 1}" if entry.rung >= 0 else ""
    return join(printable(entry.status), element("span", said, class_="sub") if said else None)


def _extent(entries: Sequence[Standing]) -> tuple[float, float]:
    """Returns the range of all figures on `search`, with chance where it is known."""
    results = [entry.search for entry in entries if entry.search is not None]
    guessed = [value for result in results if (value := chance(result)) is not None]
    return extent_of(((result.value, result.ci95) for result in results), guessed)


def _strip(result: Result | None, extent: tuple[float, float]) -> Html | None:
    return None if result is None else strip(result.value, result.ci95, extent, chance(result))
