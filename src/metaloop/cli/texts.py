"""Texts as support and as inputs of `predict` and `fit`: tables with a column of text, or lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from metaloop.api.speaking import warn
from metaloop.core.errors import DataError
from metaloop.tasks.readers.image_folder import find_images
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.readers.table_files import MOST_CHARACTERS, text_rows, texts_of
from metaloop.tasks.readers.table_roles import (
    columns_of_inputs,
    find_roles,
    second_text,
    text_column,
)
from metaloop.tasks.readers.tables import TABLE_ENDINGS, is_table, read_table
from metaloop.tasks.readers.text_encoding import GUESSED, encoding_of
from metaloop.tasks.readers.text_folder import TEXT_SUFFIXES, TEXTS, texts_in, texts_of_files
from metaloop.tasks.readers.zip_archive import opened_zip
from metaloop.tasks.store import LeftOut

Columns = Mapping[str, str | Sequence[str]]
_PIECE = 1 << 20  # bytes
AT_ONCE = 4096  # texts that are predicted in one go


def text_support(
    path: Path, options: ReadOptions
) -> tuple[list[str], list[Any], Sequence[LeftOut], list[str]]:
    """Returns the texts of a table, the label of each, what was left out, and what to note.

    They may lie in a folder or zip as well, a file each, with one folder per class. Raises
    `DataError` for anything but that and a table with a text and a label.
    """
    where = f"support '{path}'"
    if path.is_dir() or (path.suffix.lower() == ".zip" and path.is_file()):
        options.refuse_columns(where)
        return _folder_support(where, path, options.classes_at)
    options.refuse_depth(where)
    if not (is_table(path) and path.is_file()):
        what = "is none" if path.exists() else "does not exist"
        raise DataError(
            f"{where} {what}: the model takes texts, expected a table with the columns text and "
            f"label ({', '.join(TABLE_ENDINGS)}), or a folder of text files per class"
        )
    table = read_table(path)
    roles = find_roles(where, table, options.columns)
    if roles.text is None:
        raise DataError(
            f"{where} has no column of text ({roles.note}), and the model takes texts; name it "
            "with --text NAME"
        )
    rows = text_rows(where, table, roles)
    notes = [roles.note, *table.notes, *rows.notes]
    return rows.texts, rows.labels.tolist(), rows.left_out, notes


def _folder_support(
    where: str, path: Path, classes_at: int | None
) -> tuple[list[str], list[Any], Sequence[LeftOut], list[str]]:
    if path.is_dir():
        found = texts_in(where, find_images(path, TEXTS), classes_at)
    else:
        with opened_zip(path, TEXTS) as files:
            found = texts_in(where, files, classes_at)
    labels = [found.classes[target].name for target in found.targets.tolist()]
    left_out = [item for item in found.left_out if not item.what.startswith("the split into")]
    return found.texts, labels, left_out, found.notes


def streamed_texts(
    paths: Sequence[Path], columns: Columns | None
) -> Iterator[tuple[list[str], tuple[str, ...]]]:
    """Yields names and texts, a few thousand at a time, in the order of `paths`.

    A file with one text a line is read as it goes, so that it may be of any length; a table is read
    as a whole. Raises as `text_inputs`, for a path that is none before the first text.
    """
    for path in paths:
        if not path.is_file() and not path.is_dir():
            text_inputs(path, columns)
    for path in paths:
        if path.is_dir() or path.suffix.lower() not in TEXT_SUFFIXES:
            names, texts = text_inputs(path, columns)
            for start in range(0, len(texts), AT_ONCE):
                yield names[start : start + AT_ONCE], texts[start : start + AT_ONCE]
            continue
        yield from _lines_of(path)


def _lines_of(path: Path) -> Iterator[tuple[list[str], tuple[str, ...]]]:
    """The lines of a file; empty ones at its end are none, others are texts."""
    start, empty = 0, 0
    held: list[str] = []
    with path.open(encoding=_encoding(path)) as file:
        for line in iter(partial(file.readline, MOST_CHARACTERS + 2), ""):
            text = line.rstrip("\n")
            if len(text) > MOST_CHARACTERS:
                raise DataError(
                    f"'{path}' has a line of more than {MOST_CHARACTERS:,} characters, line "
                    f"{start + len(held) + empty + 1}; expected one text a line"
                )
            if not text.strip():
                empty += 1
                continue
            held += [""] * empty + [text]
            empty = 0
            if len(held) >= AT_ONCE:
                yield _named(path, np.arange(start, start + len(held))), tuple(held)
                start, held = start + len(held), []
    if held:
        yield _named(path, np.arange(start, start + len(held))), tuple(held)
    elif not start:
        raise DataError(f"'{path}' has no text; expected one a line")


def _encoding(path: Path) -> str:
    """In which encoding a file is, which is read once for it, a piece at a time; a guess is said.

    Raises `DataError` if it is no text.
    """

    def chunks() -> Iterator[bytes]:
        with path.open("rb") as file:
            yield from iter(partial(file.read, _PIECE), b"")

    encoding = encoding_of(chunks)
    if encoding is None or any(b"\0" in piece for piece in chunks() if encoding != "utf-16"):
        raise DataError(f"'{path}' is no text in UTF-8, UTF-16 or Latin-1; expected one a line")
    if encoding in GUESSED:
        warn(f"'{path}' is {GUESSED[encoding]}")
    return encoding


def text_inputs(path: Path, columns: Columns | None) -> tuple[list[str], tuple[str, ...]]:
    """Returns a name for each text of a table or of a file with one text a line, and the texts.

    Of a folder every text file is one text, by path. Empty lines at the end of a file are none.
    Raises `DataError` for other files.
    """
    if path.is_dir():
        files = [path / name for name in sorted(find_images(path, TEXTS).paths)]
        if not files:
            raise DataError(f"folder '{path}' holds no text files ({' '.join(TEXT_SUFFIXES)})")
        return list(map(str, files)), texts_of_files(files)
    if is_table(path) and path.is_file():
        table = read_table(path)
        name = text_column(table, columns_of_inputs(table, columns, "text"))
        others = [other for other in table.columns if other != name]
        texts = texts_of(f"'{path}'", table, name, second_text(table, others))
        long = [row for row, text in enumerate(texts) if len(text) > MOST_CHARACTERS]
        if long:
            raise DataError(
                f"'{path}' has a text of more than {MOST_CHARACTERS:,} characters in row "
                f"{long[0] + 1} after the header; cut or remove it"
            )
        return _named(path, np.arange(len(table))), tuple(texts)
    if path.suffix.lower() not in TEXT_SUFFIXES or not path.is_file():
        what = "" if path.exists() else ", which does not exist"
        raise DataError(
            f"the model takes texts: give it a table with a column of text "
            f"({', '.join(TABLE_ENDINGS)}) or a .txt with one text a line, not '{path}'{what}"
        )
    pieces = list(_lines_of(path))
    names, texts = (
        [each for piece in side for each in piece] for side in zip(*pieces, strict=True)
    )
    return names, tuple(texts)


def _named(path: Path, rows: np.ndarray) -> list[str]:
    return [f"{path}[{row}]" for row in rows.tolist()]
