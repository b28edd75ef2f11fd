"""CSV and TSV: a header, then rows of as many cells, told apart by a comma, semicolon or tab.

UTF-8 (with or without its mark) or UTF-16 with its mark; what is neither is taken for Latin-1 (that
of Windows), and this is said. Quoted cells may hold delimiters and line ends, and be long: what is
too long for a text is told by who knows which column that is. In files with semicolons a comma is a
decimal point, as spreadsheets of much of Europe write. A row that repeats the header, as in files
that were joined, is left out and told.
"""

from __future__ import annotations

import csv
import io
import re
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import BinaryIO, cast

from metaloop.core.errors import DataError
from metaloop.tasks.readers.names import tidy
from metaloop.tasks.readers.table_columns import (
    CHUNK_CELLS,
    Columns,
    Numbers,
    Opened,
    numbers_in_text,
)
from metaloop.tasks.readers.text_encoding import GUESSED, UTF16_MARKS

_DELIMITERS = (",", ";", "\t")
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*", re.IGNORECASE)
_MARK = "\ufeff"  # of UTF-8, before each of the files that were joined
_SHOWN = 40  # characters of a cell in a message
_MOST_IN_CELL = 1 << 27  # characters; the module csv has four bytes of each in memory


def read_delimited(where: str, opened: Opened, tabs: bool, texts: Collection[str]) -> Columns:
    """Returns the columns of a file; `tabs`: a header without any delimiter is one of tabs.

    Raises `DataError`, with the line, for rows of another length, for NUL bytes and for what is no
    text, and if there is no header or no row.
    """
    with opened() as raw:
        start = raw.read(2)
    for encoding in ("utf-16",) if start in UTF16_MARKS else ("utf-8-sig", *GUESSED):
        with io.TextIOWrapper(cast(BinaryIO, opened()), encoding, newline="") as lines:
            try:
                with _long_cells():
                    columns = _read(where, _checked(where, lines), tabs, texts)
            except UnicodeDecodeError as error:
                reason = error.reason
                continue
        if encoding in GUESSED:
            columns.notes = (GUESSED[encoding], *columns.notes)
        return columns
    raise DataError(f"{where} is not UTF-8 text ({reason}); save it as CSV in UTF-8")


class _Limit:
    """The limit of cells, which the module csv has one of for all threads, while files are read."""

    lock = threading.Lock()
    readers = 0
    usual = 0


@contextmanager
def _long_cells() -> Iterator[None]:
    """Cells may have `_MOST_IN_CELL` characters; the last reader puts the usual limit back."""
    with _Limit.lock:
        _Limit.readers += 1
        if _Limit.readers == 1:
            _Limit.usual = csv.field_size_limit()
            csv.field_size_limit(max(_MOST_IN_CELL, _Limit.usual))
    try:
        yield
    finally:
        with _Limit.lock:
            _Limit.readers -= 1
            if not _Limit.readers:
                csv.field_size_limit(_Limit.usual)


def _read(where: str, lines: Iterator[str], tabs: bool, texts: Collection[str]) -> Columns:
    skipped, first = next(((i, line) for i, line in enumerate(lines) if line.strip()), (0, ""))
    if not first:
        raise DataError(f"{where} is empty; expected a header and rows")
    delimiter = _delimiter(first, tabs)
    reader = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
    columns = Columns(texts)
    columns.decimal_comma = delimiter == ";"
    again: list[int] = []
    numbers = partial(numbers_in_text, decimal_comma=delimiter == ";")
    try:
        written = [cell.strip() for cell in next(reader)]
        header = [tidy(cell) for cell in written]
        _check_header(where, header, delimiter)
        most = max(1, CHUNK_CELLS // len(header))
        rows: list[list[str]] = []
        for row in reader:
            if len(row) != len(header):
                if not row:
                    continue
                raise DataError(
                    f"{where}, line {skipped + reader.line_num}: {len(row)} cells, but the header "
                    f"has {len(header)}; every row needs as many cells as there are columns"
                )
            if _repeats(row, written):
                again.append(skipped + reader.line_num)
                continue
            rows.append(row)
            if len(rows) == most:
                _add(columns, header, rows, numbers)
        _add(columns, header, rows, numbers)
    except csv.Error as error:
        raise DataError(
            f"{where}, line {skipped + reader.line_num}: {_explained(error)}"
        ) from error
    if again:
        columns.notes = (_repeated(again),)
    return columns


def _repeats(row: list[str], header: list[str]) -> bool:
    """Whether a row is the header again; a word may be the name of the only column."""
    if row[0].lstrip(_MARK).strip() != header[0] or len(header) < 2:
        return False
    return [cell.strip() for cell in row[1:]] == header[1:]


def _repeated(lines: list[int]) -> str:
    """What is said of rows that repeat the header."""
    if len(lines) == 1:
        return f"line {lines[0]:,} repeats the header and is left out"
    return f"{len(lines):,} lines repeat the header and are left out, the first is {lines[0]:,}"


def _add(columns: Columns, header: list[str], rows: list[list[str]], numbers: Numbers) -> None:
    cells = zip(*rows, strict=True) if rows else [()] * len(header)
    columns.add(dict(zip(header, cells, strict=True)), len(rows), numbers)
    rows.clear()


def _checked(where: str, lines: Iterable[str]) -> Iterator[str]:
    """The lines; raises `DataError` at a NUL byte."""
    for number, line in enumerate(lines, 1):
        if "\0" in line:
            raise DataError(
                f"{where}, line {number}: a NUL byte, which no text holds; is it a table at all? "
                "Save it as CSV in UTF-8"
            )
        yield line


def _delimiter(header: str, tabs: bool) -> str:
    """The delimiter that a header has most of outside of quotes."""
    bare = re.sub(r'"[^"]*"', "", header)
    best = max(_DELIMITERS, key=bare.count)
    return best if bare.count(best) else ("\t" if tabs else ",")


def _check_header(where: str, header: list[str], delimiter: str) -> None:
    """Raises `DataError` unless every column has a name of its own and no name is a measurement.

    Columns that are numbered from 0 or 1 on, as data frames have them, are named so; the first may
    have no name, as an index.
    """
    numeric = [name for name in header if _NUMBER.fullmatch(name.replace(",", "."))]
    numbered = [[str(i + start) for i in range(len(numeric))] for start in (0, 1)]
    if numeric and numeric not in numbered:
        raise DataError(
            f"{where}: a header is expected, but the first line holds the number "
            f"{numeric[0][:_SHOWN]}; write the names of the columns above the rows"
        )
    for place, name in enumerate(header):
        if not name and (place or len(header) == 1):
            raise DataError(
                f"{where}: column {place + 1} of {len(header)} has no name in the header; give "
                f"it one (cells are told apart by {delimiter!r})"
            )
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise DataError(
            f"{where}: {header.count(twice)} columns are called {twice[:_SHOWN]!r}; give each a "
            "name of its own"
        )


def _explained(error: csv.Error) -> str:
    message = str(error)
    if "field larger" in message:
        return (
            f"a cell of more than {_MOST_IN_CELL:,} characters; is a quote not closed? A text has "
            "a million at most"
        )
    if "unexpected end" in message:
        return "the file ends inside of a quoted cell; a quote is not closed"
    return f'{message}; inside of a quoted cell a quote is written twice: ""'
