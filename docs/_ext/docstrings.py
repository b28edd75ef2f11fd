"""Docstrings as they are written here, made into what Sphinx reads.

They are plain text: code in single backticks, lists with dashes, examples after `>>>`, and blocks
that are indented because they should look as they do. Nothing else in them is markup.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_CODE = re.compile(r"(`[^`]+`)")
_MARKUP = re.compile(r"([\\*|]|_(?!\w))")
_ITEM = ("- ", "1. ", "2. ", "3. ")


def restructured(lines: list[str]) -> list[str]:
    """Returns the lines of a docstring as reStructuredText."""
    made: list[str] = []
    was_block = False
    for paragraph in "\n".join(lines).split("\n\n"):
        rows = [row for row in paragraph.split("\n") if row.strip()]
        is_block = bool(rows) and all(row.startswith("    ") for row in rows)
        if is_block and not was_block:
            made += ["::", ""]
        if is_block or (rows and rows[0].startswith(">>> ")):
            made += [*rows, ""]
        else:
            made += [*_with_lists(_escaped("\n".join(rows)).split("\n")), ""]
        was_block = is_block
    return made


def _with_lists(rows: list[str]) -> list[str]:
    """The rows of a paragraph, with an empty one before a list that begins within it."""
    for place, row in enumerate(rows):
        if place and row.startswith(_ITEM) and not rows[0].startswith(_ITEM):
            return [*rows[:place], "", *rows[place:]]
    return rows


def _escaped(text: str) -> str:
    """Text with its spans of code in double backticks and nothing else that is markup."""
    parts = _CODE.split(text)
    return "".join(
        f"`{part}`" if _CODE.fullmatch(part) else _MARKUP.sub(r"\\\1", part) for part in parts
    )


def _process(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = restructured(lines)


def setup(app: Sphinx) -> dict[str, bool]:
    """Tells Sphinx to ask this file about docstrings."""
    app.connect("autodoc-process-docstring", _process)
    return {"parallel_read_safe": True}
