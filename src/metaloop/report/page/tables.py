"""Tables with headers that a screen reader finds, in a frame that scrolls if they are too wide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from metaloop.report.figures import when
from metaloop.report.page.markup import Html, element, join

NOTHING = "-"  # in a cell


@dataclass(frozen=True)
class Column:
    """A column: its name and what its cells are, `text`, `number` (to the right) or `long` text."""

    name: str
    kind: str = "text"


@dataclass(frozen=True)
class Line:
    """The cells of a row; the first is its header. `best` marks the row."""

    cells: tuple[str, ...]
    best: bool = False


def table(name: str, columns: Sequence[Column], lines: Sequence[Line]) -> Html:
    """Returns a table called `name` (for those who cannot see where it stands).

    A column in which no row has anything is left out.
    """
    used = [
        index
        for index in range(len(columns))
        if index == 0 or any(line.cells[index] != NOTHING for line in lines)
    ]
    columns = [columns[index] for index in used]
    lines = [replace(line, cells=tuple(line.cells[index] for index in used)) for line in lines]
    head = [element("th", c.name, scope="col", class_=_class(c)) for c in columns]
    body = [
        element("tr", *_cells(columns, line), class_="best" if line.best else None)
        for line in lines
    ]
    return element(
        "div",
        element(
            "table",
            element("thead", element("tr", *head)),
            element("tbody", *body),
            aria_label=name,
        ),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label=name,
    )


def moment(time: str) -> Html:
    """Returns a time as a cell: the day, and below it the hour."""
    day, _, hour = when(time).partition(" ")
    return join(day, element("span", hour, class_="sub"))


def folded(summary: str, *content: str | None) -> Html:
    """Returns content that is opened by a click on its summary, without any script."""
    return element("details", element("summary", summary), *content)


def pairs(entries: Sequence[tuple[str, str]]) -> Html:
    """Returns a list of names with what belongs to them."""
    return element(
        "dl", *(join(element("dt", name), element("dd", value)) for name, value in entries)
    )


def _cells(columns: Sequence[Column], line: Line) -> list[Html]:
    assert len(columns) == len(line.cells)
    cells = []
    for index, (column, cell) in enumerate(zip(columns, line.cells, strict=True)):
        if index == 0:
            cells.append(element("th", cell, scope="row", class_=_class(column)))
        else:
            cells.append(element("td", cell, class_=_class(column)))
    return cells


def _class(column: Column) -> str | None:
    return None if column.kind == "text" else column.kind
