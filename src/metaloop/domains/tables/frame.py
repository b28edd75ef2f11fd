"""`Frame`: the columns of a table with what each of them is, and its way through files.

A column of words is kept as codes into the words that are known, so that nothing is fitted here and
rows are cheap to take. What is missing is NaN, code -1 or an empty text; a word that is not among
the known ones has code -2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from metaloop.core.errors import DataError

Kind = Literal["number", "category", "date", "text"]
MISSING, UNSEEN = -1, -2
_NUMBERS, _CODES = "numbers.npy", "codes.npy"  # [columns, rows]
_TOGETHER = {_NUMBERS: "<f8", _CODES: "<i4"}


@dataclass(frozen=True)
class Column:
    """A column by name and kind; `words` are those of a category, a code is a place among them.

    `order` says how a date is written: `iso`, or the order of its parts, such as `dmy`.
    """

    name: str
    kind: Kind
    words: tuple[str, ...] = ()
    order: str = ""


@dataclass(frozen=True, eq=False)
class Frame:
    """Rows of columns: float64 of numbers and of days since 1970, int32 codes, or `str` objects."""

    schema: tuple[Column, ...]
    values: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        """The number of rows."""
        return len(next(iter(self.values.values()))) if self.values else 0

    def take(self, rows: np.ndarray) -> Frame:
        """Returns the frame of these rows, in their order."""
        return Frame(self.schema, {name: column[rows] for name, column in self.values.items()})

    def without(self, names: Sequence[str]) -> Frame:
        """Returns the frame without these columns."""
        kept = tuple(column for column in self.schema if column.name not in names)
        return Frame(kept, {column.name: self.values[column.name] for column in kept})

    def with_values(self, name: str, values: np.ndarray) -> Frame:
        """Returns the frame with other values in one column."""
        return Frame(self.schema, {**self.values, name: values})

    def missing(self, name: str) -> np.ndarray:
        """Returns which rows have nothing in a column, bool `[n]`."""
        values = self.values[name]
        if values.dtype == object:
            return np.array([not text for text in values], bool)
        return np.asarray(np.isnan(values) if values.dtype.kind == "f" else values == MISSING)


def row_hashes(frame: Frame) -> np.ndarray:
    """Returns a number for each row, uint64 `[n]`: rows of equal content have equal ones."""
    found = np.zeros(len(frame), np.uint64)
    odd = np.uint64(0x9E3779B97F4A7C15)
    for column in frame.schema:
        values = frame.values[column.name]
        if values.dtype == object:
            bits = np.unique(values.astype(str), return_inverse=True)[1].astype(np.uint64)
        else:
            bits = (
                np.where(np.isnan(values), np.nan, values + 0.0)
                if values.dtype.kind == "f"
                else values
            )
            bits = np.ascontiguousarray(bits.astype(np.float64)).view(np.uint64)
        found = (found ^ bits) * odd
        found ^= found >> np.uint64(29)
    return found


def write_frame(frame: Frame, folder: Path) -> None:
    """Writes the values of a frame: numbers in one file, codes in one, each text in two.

    A file for each of ten thousand columns would take seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, kind in _TOGETHER.items():
        columns = [column for column in frame.schema if _file_of(column) == name]
        if columns:
            shape = (len(columns), len(frame))
            held = np.lib.format.open_memmap(folder / name, "w+", np.dtype(kind), shape)
            for place, column in enumerate(columns):
                held[place] = frame.values[column.name]
            held.flush()
    for place, column in enumerate(frame.schema):
        if column.kind == "text":
            encoded = [str(text).encode() for text in frame.values[column.name]]
            np.save(folder / f"{place}.ends.npy", np.cumsum([len(e) for e in encoded], dtype="<i8"))
            joined = np.frombuffer(b"".join(encoded), np.uint8)
            np.save(folder / f"{place}.npy", joined, allow_pickle=False)


def read_frame(schema: Sequence[Column], folder: Path) -> Frame:
    """Returns the frame that `write_frame` wrote; numbers and codes are mapped into memory."""
    together = {
        name: iter(np.load(folder / name, mmap_mode="r", allow_pickle=False))
        for name in dict.fromkeys(map(_file_of, schema))
        if name
    }
    values: dict[str, np.ndarray] = {}
    for place, column in enumerate(schema):
        if column.kind != "text":
            values[column.name] = np.asarray(next(together[_file_of(column)]))
            continue
        joined = np.load(folder / f"{place}.npy", allow_pickle=False)
        ends = np.load(folder / f"{place}.ends.npy", allow_pickle=False)
        values[column.name] = _texts(joined.tobytes(), ends)
    return Frame(tuple(schema), values)


def _file_of(column: Column) -> str:
    """The file that a column shares with others; "" where it has its own."""
    if column.kind == "text":
        return ""
    return _CODES if column.kind == "category" else _NUMBERS


def check_columns(where: str, known: Sequence[Column], there: Sequence[str]) -> None:
    """Raises `DataError` where columns that a model needs are not among those that are there."""
    lacking = [column.name for column in known if column.name not in there]
    if lacking:
        named = ", ".join(map(repr, lacking[:5])) + (", ..." if lacking[5:] else "")
        raise DataError(
            f"{where} lacks {len(lacking)} column{'s' if lacking[1:] else ''} that the model was "
            f"trained with: {named}; add what is missing, empty cells are fine"
        )


def _texts(joined: bytes, ends: np.ndarray) -> np.ndarray:
    texts = np.empty(len(ends), object)
    begin = 0
    for place, end in enumerate(ends.tolist()):
        texts[place] = joined[begin:end].decode()
        begin = end
    return texts
