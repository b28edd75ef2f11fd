"""Small tables for notebooks; whatever comes from data or programs is escaped."""

from __future__ import annotations

from collections.abc import Sequence

from metaloop.report.page.markup import element


def html_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], above: str = "", below: str = ""
) -> str:
    """Returns a table as HTML, with a line of text above and below it."""
    head = element("tr", *(element("th", name, style="text-align: left") for name in columns))
    body = [
        element("tr", *(element("td", cell, style="text-align: left") for cell in row))
        for row in rows
    ]
    return element(
        "div",
        element("p", element("strong", above)) if above else None,
        element("table", element("thead", head), element("tbody", *body)),
        element("p", element("small", below)) if below else None,
    )
