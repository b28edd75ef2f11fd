"""ARFF, the files of Weka, OpenML and ASlib: columns that say what they are, then rows of them.

Names and cells may be in single or double quotes, with a backslash before what is meant literally;
a `?` without quotes is missing, and so is NaN in a column of numbers. Rows may be sparse:
`{2 0.5, 7 'a b'}` names the columns that are not 0 (or the first of the declared values). What is
not read is refused: relational columns, and values that a column does not declare.
The format: Witten, Frank and Hall, "Data Mining", 3rd edition 2011, section 2.4.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from metaloop.core.errors import DataError
from metaloop.tasks.readers.text_encoding import encoding_of

_QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_NAME = re.compile(rf"\s*({_QUOTED}|[^\s{{]+)\s*(.*)", re.DOTALL)
_CELL = re.compile(rf"\s*({_QUOTED}|[^,]*?)\s*(,|$)", re.DOTALL)
_SPARSE = re.compile(rf"\s*(\d+)\s+({_QUOTED}|[^,\s]+)\s*(,|$)", re.DOTALL)
_WEIGHT = re.compile(r",\s*\{\s*[0-9.eE+-]+\s*\}\s*$")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_LITERAL: Mapping[str, str] = {"n": "\n", "t": "\t", "r": "\r"}
_NUMBERS = ("numeric", "real", "integer")
_TEXTS = ("string", "date")
_SHOWN = 40  # characters of a cell in a message
_MARKS = "'\"{}"

Opened = Callable[[], io.BufferedIOBase]


@dataclass(frozen=True)
class Attribute:
    """A declared column: its name, `number`, `text` or `nominal`, and the values of a nominal."""

    name: str
    kind: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class ArffTable:
    """What a file holds: float64 with NaN for numbers, else objects that are `str`, "" if missing.

    `columns` are in the order of the file, and all equally long.
    """

    relation: str
    attributes: tuple[Attribute, ...]
    columns: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @property
    def categories(self) -> frozenset[str]:
        """The names of the nominal columns."""
        return frozenset(each.name for each in self.attributes if each.kind == "nominal")


def read_arff_file(path: Path) -> ArffTable:
    """Returns what a file holds; raises `DataError` as `read_arff` does, or if there is none."""
    try:
        return read_arff(str(path), lambda: path.open("rb"))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def read_arff(where: str, opened: Opened) -> ArffTable:
    """Returns the columns of an ARFF file; `opened()` gives its bytes from their beginning.

    Raises `DataError`, with the line, for what is no ARFF, for rows of another length, for values
    that are not declared, and for kinds of columns that are not read. A file without rows is read.
    """
    encoding = encoding_of(lambda: _pieces(opened))
    if encoding is None:
        raise DataError(f"{where} is not UTF-8 text; save it as ARFF in UTF-8")
    with io.TextIOWrapper(cast(BinaryIO, opened()), encoding) as file:
        lines = _Lines(where, file)
        relation, attributes = _header(lines)
        rows: list[list[str | None]] = [[] for _ in attributes]
        for text in lines:
            cells = _row(lines, _WEIGHT.sub("", text), attributes)
            for column, cell in zip(rows, cells, strict=True):
                column.append(cell)
    columns = {
        attribute.name: _converted(where, attribute, cells)
        for attribute, cells in zip(attributes, rows, strict=True)
    }
    return ArffTable(relation, attributes, columns)


class _Lines(Iterator[str]):
    """Lines that say something, without comments; knows the number of the last one."""

    def __init__(self, where: str, file: io.TextIOWrapper) -> None:
        self.where, self.number, self._file = where, 0, file

    def __next__(self) -> str:
        for line in self._file:
            self.number += 1
            if "\0" in line:
                raise self.wrong("a NUL byte, which no text holds; is it an ARFF file at all?")
            text = line.strip()
            if text and not text.startswith("%"):
                return text
        raise StopIteration

    def wrong(self, what: str) -> DataError:
        return DataError(f"{self.where}, line {self.number}: {what}")


def _pieces(opened: Opened) -> Iterator[bytes]:
    with opened() as file:
        while piece := file.read(2**20):
            yield piece


def _header(lines: _Lines) -> tuple[str, tuple[Attribute, ...]]:
    relation, attributes = "", []
    for text in lines:
        word, _, rest = text.partition(" ") if " " in text else text.partition("\t")
        match word.lower().rstrip(","):  # ASlib has "@DATA," once
            case "@relation":
                relation = _plain(rest.strip())
            case "@attribute":
                attributes.append(_attribute(lines, rest))
            case "@data":
                return relation, _distinct(lines, attributes)
            case _:
                raise lines.wrong(
                    f"expected @relation, @attribute or @data, got {text[:_SHOWN]!r}; is it an "
                    "ARFF file?"
                )
    raise DataError(f"{lines.where} has no @data line; is it an ARFF file, and is it whole?")


def _distinct(lines: _Lines, attributes: list[Attribute]) -> tuple[Attribute, ...]:
    if not attributes:
        raise lines.wrong("@data comes before any @attribute; an ARFF file declares its columns")
    counts = Counter(attribute.name for attribute in attributes)
    twice = next((name for name, count in counts.items() if count > 1), None)
    if twice is not None:
        raise lines.wrong(f"two columns are called {twice[:_SHOWN]!r}; give each its own name")
    return tuple(attributes)


def _attribute(lines: _Lines, text: str) -> Attribute:
    found = _NAME.fullmatch(text)
    if found is None or not found[2]:
        raise lines.wrong(f"a column needs a name and a kind, got {text.strip()[:_SHOWN]!r}")
    name, kind = _plain(found[1]), found[2].strip()
    if kind.startswith("{"):
        if not kind.endswith("}"):
            raise lines.wrong(f"the values of {name[:_SHOWN]!r} are not closed by a brace")
        values = [_plain(cell) for cell in _cells(lines, kind[1:-1].strip())]
        return Attribute(name, "nominal", tuple(values))
    word = kind.split()[0].lower()
    if word in _NUMBERS:
        return Attribute(name, "number")
    if word in _TEXTS:
        return Attribute(name, "text")
    raise lines.wrong(
        f"column {name[:_SHOWN]!r} is of kind {kind[:_SHOWN]!r}; numbers, strings, dates and "
        "{values} are read"
    )


def _row(
    lines: _Lines, text: str, attributes: tuple[Attribute, ...]
) -> list[str | None] | Iterator[str | None]:
    """The cells of a row as text, None where missing."""
    if text.startswith("{"):
        return _sparse(lines, text, attributes)
    cells = _cells(lines, text)
    if len(cells) != len(attributes):
        raise lines.wrong(f"{len(cells)} cells, but {len(attributes)} columns are declared")
    return [None if cell == "?" else _plain(cell) for cell in cells]


def _cells(lines: _Lines, text: str) -> list[str]:
    """The cells between commas, as they are written, quotes included."""
    if not any(mark in text for mark in _MARKS):
        return [cell.strip() for cell in text.split(",")]
    cells, place, end = [], 0, ","
    while end == ",":
        found = _CELL.match(text, place)
        if found is None or (found[1][:1] in ("'", '"') and not _is_quoted(found[1])):
            raise lines.wrong(f"a quote is not closed, or text follows it: {text[place:][:_SHOWN]}")
        cells.append(found[1])
        place, end = found.end(), found[2]
    return cells


def _sparse(lines: _Lines, text: str, attributes: tuple[Attribute, ...]) -> list[str | None]:
    row: list[str | None] = [_usual(attribute) for attribute in attributes]
    if not text.endswith("}"):
        raise lines.wrong("a sparse row is not closed by a brace; is the file whole?")
    body, place = text[1:].rstrip().removesuffix("}").rstrip(), 0
    while place < len(body):
        found = _SPARSE.match(body, place)
        if found is None or int(found[1]) >= len(attributes):
            raise lines.wrong(
                f"a sparse row holds `column value` with columns 0 to {len(attributes) - 1}, got "
                f"{body[place:].strip()[:_SHOWN]!r}"
            )
        row[int(found[1])] = None if found[2] == "?" else _plain(found[2])
        place = found.end()
    return row


def _usual(attribute: Attribute) -> str | None:
    if attribute.kind == "number":
        return "0"
    return attribute.values[0] if attribute.values else None


def _is_quoted(cell: str) -> bool:
    return len(cell) > 1 and cell[0] in ("'", '"') and cell[-1] == cell[0]


def _plain(cell: str) -> str:
    """A cell without its quotes and backslashes."""
    if not _is_quoted(cell):
        return cell
    return _ESCAPED.sub(lambda found: _LITERAL.get(found[1], found[1]), cell[1:-1])


def _converted(where: str, attribute: Attribute, cells: list[str | None]) -> np.ndarray:
    if attribute.kind == "number":
        try:
            return np.array([np.nan if cell is None else cell for cell in cells], np.float64)
        except ValueError:
            wrong = next(cell for cell in cells if cell is not None and not _is_number(cell))
            raise DataError(
                f"{where}: column {attribute.name[:_SHOWN]!r} is declared to hold numbers, but has "
                f"{wrong[:_SHOWN]!r}; missing ones are written ?"
            ) from None
    if attribute.kind == "nominal":
        allowed = {None, *attribute.values}
        odd = next((cell for cell in cells if cell not in allowed), None)
        if odd is not None:
            raise DataError(
                f"{where}: column {attribute.name[:_SHOWN]!r} has the value {odd[:_SHOWN]!r}, "
                "which it does not declare"
            )
    column = np.empty(len(cells), object)
    column[:] = ["" if cell is None else cell for cell in cells]
    return column


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
