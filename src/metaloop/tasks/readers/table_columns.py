"""Cells into columns: numbers where every cell is one, else text; a chunk of rows at a time.

A column whose first cells are numbers and whose later ones are not is text, as it is written. So a
table is read at most twice: `Columns.late` names the columns that only the whole of it told apart.
"""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Cells = Sequence[Any]
Opened = Callable[[], io.BufferedIOBase]  # the bytes of a file, from their beginning
Numbers = Callable[[Cells], np.ndarray | None]

CHUNK_CELLS = 2**19  # held as Python objects at a time, some 30 MB
_MOST_SHARED = 2**16  # texts that repeat are kept once; more different ones are no labels
_WORDS = ("na", "n/a", "n.a.", "#n/a", "<na>", "nan", "nat", "null", "(null)", "none", "nil")
MISSING = frozenset(("", *_WORDS, "missing", "?", "-", "--", "---", ".", "\\n"))  # among numbers
_COMMA = re.compile(r"\s*[+-]?\d*,\d+(e[+-]?\d+)?\s*", re.IGNORECASE)
_MOSTLY = 0.5  # of the cells that are not missing
# What Python takes for a number and a person does not: 1_000; and names that zeros begin, 007.
_NO_NUMBER = re.compile(r"_|(?:^|\n)\s*[+-]?0\d")


class Declared(NamedTuple):
    """Columns by name, and which of them a file or frame declares to be of categories."""

    columns: dict[str, np.ndarray]
    categories: frozenset[str] = frozenset()


class Columns:
    """Columns that grow chunk by chunk; `texts` names those that are known to be text."""

    def __init__(self, texts: Collection[str] = ()) -> None:
        self.texts = set(texts)
        self.late: set[str] = set()
        self.notes: tuple[str, ...] = ()  # how the file was understood
        self.decimal_comma = False  # whether a comma in a number is a point
        self._chunks: dict[str, list[np.ndarray]] = {}
        self._shared: dict[str, dict[str, str]] = {}
        self._rows = 0

    def add(self, chunk: Mapping[str, Cells], rows: int, numbers: Numbers) -> None:
        """Takes so many further rows; columns that have none of them are missing there."""
        for name in [name for name in chunk if name not in self._chunks]:
            self._chunks[name] = [np.full(self._rows, np.nan)] if self._rows else []
        for name in self._chunks:
            cells = chunk.get(name, (None,) * rows)
            self._chunks[name].append(self._converted(name, cells, numbers))
        self._rows += rows

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns the columns: int64, float64 with NaN for missing, or objects that are `str`.

        Where a comma is a point, columns with numbers in most cells have points in these.
        """
        found = {name: _joined(chunks) for name, chunks in self._chunks.items()}
        if self.decimal_comma:
            texts = [name for name, column in found.items() if column.dtype == object]
            found |= {name: _with_points(found[name]) for name in texts}
        return found

    def _converted(self, name: str, cells: Cells, numbers: Numbers) -> np.ndarray:
        if name not in self.texts:
            found = numbers(cells)
            if found is not None:
                return found
            if self._chunks[name]:
                self.late.add(name)
            self.texts.add(name)
        return text_column(cells, self._shared.setdefault(name, {}))


def numbers_in_text(cells: Cells, decimal_comma: bool = False) -> np.ndarray | None:
    """Returns written numbers as int64, or as float64 with NaN for the missing; None if others."""
    if decimal_comma:
        cells = [cell.replace(",", ".") if cell else cell for cell in cells]
    found: np.ndarray | None
    try:
        found = np.array(cells, np.int64)
    except OverflowError:
        return None  # a number of twenty digits is a name; as float64 it would be another's
    except (ValueError, TypeError):
        found = _floats(cells)
    known = found is not None and not _NO_NUMBER.search("\n".join(c for c in cells if c))
    return found if known else None


def numbers_in_values(cells: Cells) -> np.ndarray | None:
    """Returns numbers and truth values as int64 or, with None or NaN, as float64; None if others.

    Whole numbers beyond int64 are text, as they would no longer be told apart.
    """
    kinds = set(map(type, cells))
    if not kinds <= {int, float, bool, type(None)}:
        return None
    try:
        if kinds <= {int, bool}:
            return np.array(cells, np.int64)
        if int in kinds:
            np.array([cell for cell in cells if type(cell) is int], np.int64)
        return np.array([np.nan if cell is None else cell for cell in cells], np.float64)
    except OverflowError:
        return None


def text_column(cells: Cells, shared: dict[str, str] | None = None) -> np.ndarray:
    """Returns an object array of `str`, "" for what is missing; equal texts are one object."""
    shared = {} if shared is None else shared
    texts = np.empty(len(cells), object)
    for place, cell in enumerate(cells):
        text = cell if type(cell) is str else as_text(cell)
        if len(shared) < _MOST_SHARED:
            text = shared.setdefault(text, text)
        texts[place] = text
    return texts


def as_text(value: Any) -> str:
    """Returns a value as text: "" for a missing one, what is nested as JSON."""
    if is_missing(value):
        return ""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def is_missing(value: Any) -> bool:
    """Returns whether a value says that there is none: None, NaN, pandas' NA and NaT."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def _floats(cells: Cells) -> np.ndarray | None:
    try:
        return np.array(cells, np.float64)  # None is NaN
    except (ValueError, TypeError):
        pass
    missing = {cell for cell in set(cells) if cell is None or cell.strip().lower() in MISSING}
    if not missing:
        return None
    try:
        return np.array([np.nan if cell in missing else cell for cell in cells], np.float64)
    except (ValueError, TypeError):
        return None


def _with_points(texts: np.ndarray) -> np.ndarray:
    """Texts, with points for the commas of numbers where most of the cells are numbers."""
    counts = Counter(text for text in texts.tolist() if text.strip().lower() not in MISSING)
    points = {text: text.replace(",", ".") for text in counts if _COMMA.fullmatch(text)}
    numbers = sum(n for text, n in counts.items() if _floats((points.get(text, text),)) is not None)
    if not points or numbers < _MOSTLY * counts.total():
        return texts
    return text_column([points.get(text, text) for text in texts.tolist()])


def _joined(chunks: Sequence[np.ndarray]) -> np.ndarray:
    """One array; what is missing before a column of text began is ""."""
    if any(chunk.dtype == object for chunk in chunks):
        chunks = [c if c.dtype == object else text_column([None] * len(c)) for c in chunks]
    return np.concatenate(chunks)
