"""Texts as support and as inputs of `predict` and `fit`: tables with a column of text, or lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metaloop.core.errors import DataError
from metaloop.tasks.readers.table_files import text_rows, texts_of
from metaloop.tasks.readers.table_roles import find_roles, second_text, text_column
from metaloop.tasks.readers.tables import TABLE_ENDINGS, is_table, read_table
from metaloop.tasks.store import LeftOut

Columns = Mapping[str, str | Sequence[str]]
AT_ONCE = 4096  # texts that are predicted in one go
_LINES = (".txt", ".text")


def text_support(
    path: Path, columns: Columns | None
) -> tuple[list[str], list[Any], Sequence[LeftOut], list[str]]:
    """Returns the texts of a table, the label of each, what was left out, and what to note.

    Raises `DataError` for anything but a table with a text and a label.
    """
    where = f"support '{path}'"
    if not (is_table(path) and path.is_file()):
        what = "is none" if path.exists() else "does not exist"
        raise DataError(
            f"{where} {what}: the model takes texts, expected a table with the columns text and "
            f"label ({', '.join(TABLE_ENDINGS)})"
        )
    table = read_table(path)
    roles = find_roles(where, table, columns)
    if roles.text is None:
        raise DataError(
            f"{where} has no column of text ({roles.note}), and the model takes texts; name it "
            "with --text NAME"
        )
    rows = text_rows(table, roles)
    return rows.texts, rows.labels.tolist(), rows.left_out, [roles.note]


def streamed_texts(
    paths: Sequence[Path], columns: Columns | None
) -> Iterator[tuple[list[str], tuple[str, ...]]]:
    """Yields names and texts, a few thousand at a time, in the order of `paths`.

    A file with one text a line is read as it goes, so that it may be of any length; a table is read
    as a whole. Raises as `text_inputs`, for a path that is none before the first text.
    """
    for path in paths:
        if not path.is_file():
            text_inputs(path, columns)
    for path in paths:
        if path.suffix.lower() not in _LINES:
            names, texts = text_inputs(path, columns)
            for start in range(0, len(texts), AT_ONCE):
                yield names[start : start + AT_ONCE], texts[start : start + AT_ONCE]
            continue
        yield from _lines_of(path)


def _lines_of(path: Path) -> Iterator[tuple[list[str], tuple[str, ...]]]:
    """The lines of a file; empty ones at its end are none, others are texts."""
    start, held, empty = 0, [], 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            for line in file:
                text = line.rstrip("\r\n")
                if not text.strip():
                    empty += 1
                    continue
                held += [""] * empty + [text]
                empty = 0
                if len(held) >= AT_ONCE:
                    yield _named(path, np.arange(start, start + len(held))), tuple(held)
                    start, held = start + len(held), []
    except UnicodeDecodeError as error:
        raise DataError(f"'{path}' is not UTF-8 text ({error.reason}); save it as that") from error
    if held:
        yield _named(path, np.arange(start, start + len(held))), tuple(held)
    elif not start:
        raise DataError(f"'{path}' has no text; expected one a line")


def text_inputs(path: Path, columns: Columns | None) -> tuple[list[str], tuple[str, ...]]:
    """Returns a name for each text of a table or of a file with one text a line, and the texts.

    Empty lines at the end of a file are none. Raises `DataError` for other files.
    """
    if is_table(path) and path.is_file():
        table = read_table(path)
        present = {  # labels may be those of a support alone
            role: names
            for role, names in (columns or {}).items()
            if role == "text" or all(name in table for name in _listed(names))
        }
        name = text_column(table, present)
        texts = texts_of(table, name, second_text(table, [n for n in table.columns if n != name]))
        return _named(path, np.arange(len(table))), tuple(texts)
    if path.suffix.lower() not in _LINES or not path.is_file():
        what = "" if path.exists() else ", which does not exist"
        raise DataError(
            f"the model takes texts: give it a table with a column of text "
            f"({', '.join(TABLE_ENDINGS)}) or a .txt with one text a line, not '{path}'{what}"
        )
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"'{path}' is not UTF-8 text ({error.reason}); save it as that") from error
    if not lines:
        raise DataError(f"'{path}' has no text; expected one a line")
    return _named(path, np.arange(len(lines))), tuple(lines)


def _listed(names: str | Sequence[str]) -> Sequence[str]:
    return [names] if isinstance(names, str) else names


def _named(path: Path, rows: np.ndarray) -> list[str]:
    return [f"{path}[{row}]" for row in rows.tolist()]
