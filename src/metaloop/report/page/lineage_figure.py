"""The lineage as a drawing: one row for each candidate, lanes for descent, words on the edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from metaloop.report.figures import count, figure, shortened
from metaloop.report.lineage import Lineage, Row, edge_words
from metaloop.report.page.markup import Html, element, number
from metaloop.report.standing import short

_FAILED = frozenset(("failed", "timed out", "diverged"))
_LANE, _CURVE, _GUTTER = 22.0, 12.0, 16.0  # pixels
_DRAWN_LANES = 8  # deeper branching is drawn in the last lane
_LONGEST_TITLE = 300  # characters
_LABEL_PIXELS, _WORD_PIXELS = 8.0, 7.0  # of a character, at most, in the fonts of most systems


@dataclass(frozen=True)
class _Frame:
    name: str
    width: float


_FRAMES = (_Frame("wide", 840.0), _Frame("narrow", 340.0))
_LOW, _HIGH = 28.0, 48.0  # pixels of a row without and with words above it


def lineage_figure(lineage: Lineage, labels: dict[str, str]) -> Html:
    """Returns the drawing with a caption; `labels` names further parents by identity."""
    if not lineage.rows:
        return element("p", "No candidate was recorded.", class_="quiet")
    drawings = [_drawing(lineage, labels, frame) for frame in _FRAMES]
    return element("figure", *drawings, _caption(lineage))


def _drawing(lineage: Lineage, labels: dict[str, str], frame: _Frame) -> Html:
    rows = lineage.rows
    crossed = any(row.others for row in rows)
    left = 14.0 + (_GUTTER if crossed else 0.0)
    places: list[tuple[float, float]] = []
    height = 8.0
    for row in rows:
        height += _LOW if _is_plain(row) else _HIGH
        places.append((left + _LANE * min(row.lane, _DRAWN_LANES), height - _LOW / 2))
    numbers = {row.entry.identity: index for index, row in enumerate(rows) if row.entry}
    text_left = left + _LANE * min(lineage.lanes, _DRAWN_LANES + 1) - 4
    edges = [_edge(row, index, places) for index, row in enumerate(rows)]
    # the highlighted ones last: they lie on top
    order = sorted(range(len(rows)), key=lambda index: rows[index].on_path)
    others = [
        _other_edge(places[numbers[other]], places[index], left)
        for index, row in enumerate(rows)
        for other in row.others
        if other in numbers
    ]
    return element(
        "svg",
        element("title", "Lineage of the candidates"),
        element("desc", _described(lineage)),
        *others,
        *(edges[index] for index in order),
        *(_node(row, *place) for row, place in zip(rows, places, strict=True)),
        _halo(rows, places),
        *(
            _words(row, text_left, y, frame, labels)
            for row, (_, y) in zip(rows, places, strict=True)
        ),
        viewBox=f"0 0 {number(frame.width)} {number(height + 4)}",
        class_=frame.name,
        role="img",
        aria_label="Lineage of the candidates",
    )


def _edge(row: Row, index: int, places: list[tuple[float, float]]) -> Html | None:
    """From the parent straight down its lane, then with a curve into the child's."""
    if row.parent is None:
        return None
    (from_x, from_y), (x, y) = places[row.parent], places[index]
    class_ = "trunk" if row.on_path else "branch"
    path = f"M{number(from_x)} {number(from_y)}"
    if x == from_x:
        path += f"V{number(y)}"
    else:
        path += (
            f"V{number(y - _CURVE)}Q{number(from_x)} {number(y)} {number(from_x + _CURVE)} "
            f"{number(y)}H{number(x)}"
        )
    return element("path", d=path, class_=class_)


def _other_edge(start: tuple[float, float], end: tuple[float, float], left: float) -> Html:
    """A dashed line from a further parent, around the lanes on their left."""
    edge = left - _GUTTER
    return element(
        "path",
        d=(
            f"M{number(start[0])} {number(start[1])}C{number(edge)} {number(start[1])} "
            f"{number(edge)} {number(end[1])} {number(end[0])} {number(end[1])}"
        ),
        class_="other",
    )


def _node(row: Row, x: float, y: float) -> Html:
    entry = row.entry
    if entry is None:
        return element("circle", cx=x, cy=y, r=4.5, class_="node-more")
    if entry.status in _FAILED and entry.search is None:
        arm = 4.5
        cross = (
            f"M{number(x - arm)} {number(y - arm)}L{number(x + arm)} {number(y + arm)}"
            f"M{number(x - arm)} {number(y + arm)}L{number(x + arm)} {number(y - arm)}"
        )
        return element("path", d=cross, class_="node-failed")
    if row.on_path:
        return element("circle", cx=x, cy=y, r=5.5, class_="node-path")
    class_ = "node-none" if entry.search is None else "node"
    return element("circle", cx=x, cy=y, r=5.0, class_=class_)


def _halo(rows: Sequence[Row], places: Sequence[tuple[float, float]]) -> Html | None:
    """A ring around the best one, where the highlighted way ends."""
    path = [place for row, place in zip(rows, places, strict=True) if row.on_path]
    if not path:
        return None
    return element("circle", cx=path[-1][0], cy=path[-1][1], r=9.0, class_="halo")


def _words(row: Row, left: float, y: float, frame: _Frame, labels: dict[str, str]) -> Html:
    room = frame.width - left - 6
    if row.entry is None:
        best = f", best {figure(row.best_hidden.search)}" if row.best_hidden else ""
        text = f"+ {count(row.collapsed, 'more candidate')}, not drawn{best}"
        fitting = shortened(text, int(room / _WORD_PIXELS))
        return element("text", fitting, x=left, y=y + 4.5, class_="words")
    entry = row.entry
    said = edge_words(row, labels)
    shown = figure(entry.search) if entry.search else entry.status
    label_room = room - _LABEL_PIXELS * (len(shown) + 1)
    name = f"{entry.label} · {short(entry.identity)}" if frame.name == "wide" else entry.label
    return element(
        "g",
        element("title", shortened(f"{said}: {entry.label}, {shown}", _LONGEST_TITLE)),
        None if _is_plain(row) else _above(shortened(said, int(room / _WORD_PIXELS)), left, y),
        element(
            "text",
            shortened(name, int(label_room / _LABEL_PIXELS)),
            x=left,
            y=y + 4.5,
            class_="strong accent" if row.on_path else None,
        ),
        element("text", shown, x=frame.width - 6, y=y + 4.5, text_anchor="end"),
    )


def _above(words: str, left: float, y: float) -> Html:
    return element("text", words, x=left, y=y - 15, class_="words")


def _is_plain(row: Row) -> bool:
    """Whether there is nothing to say above a row: a founder of the catalogue, collapsed ones."""
    return row.entry is None or (row.parent is None and row.entry.stored.operator == "catalogue")


def _described(lineage: Lineage) -> str:
    path = [row.entry.label for row in lineage.rows if row.on_path and row.entry]
    said = f"{count(lineage.candidates, 'candidate')}."
    return f"{said} The best one: {', then '.join(path)}." if path else said


def _caption(lineage: Lineage) -> Html:
    said = (
        f"{count(lineage.candidates, 'candidate')}, ancestors above descendants; the way to the "
        "best one is highlighted, figures are those on search. "
        "Those without words above came from the catalogue. A hollow dot has no figure, a cross "
        "failed, a dashed line leads from a further parent."
    )
    if lineage.collapsed:
        said += (
            f" {lineage.collapsed:,} of them are not drawn: those with the lowest places in the "
            "leaderboard; rows that begin with + say below whom they are."
        )
    return element("figcaption", said)
