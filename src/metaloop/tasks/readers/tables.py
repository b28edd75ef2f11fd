"""Tables: CSV, TSV, JSONL, JSON, Parquet and ARFF files (each also .gz), and data frames."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from metaloop.core.errors import DataError
from metaloop.tasks.readers.arff import read_arff
from metaloop.tasks.readers.names import tidy
from metaloop.tasks.readers.table_columns import Columns, Declared, Opened
from metaloop.tasks.readers.table_csv import read_delimited
from metaloop.tasks.readers.table_frames import frame_columns
from metaloop.tasks.readers.table_json import read_json_lines, read_json_list
from metaloop.tasks.readers.table_parquet import read_parquet

TABLE_ENDINGS: Final = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".arff")
_GZIP = ".gz"


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of equal length by name, rows in the order of the file.

    A column is int64, or float64 with NaN where there is no number, or an object array of `str`
    with "" where there is no text. A column is of numbers where every cell that is not missing is
    one; "007" and whole numbers beyond int64 are text. `notes`: how a file was understood.
    `categories`: columns that are declared to be such (nominal attributes of ARFF, dictionaries of
    Arrow and Parquet, categoricals of data frames), whatever their cells look like.
    """

    name: str
    columns: Mapping[str, np.ndarray]
    notes: tuple[str, ...] = ()
    categories: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        lengths = {len(column) for column in self.columns.values()}
        if len(lengths) > 1:
            raise DataError(
                f"{self.name}: columns are of different lengths: "
                + ", ".join(f"{name} {len(of)}" for name, of in self.columns.items())
            )
        object.__setattr__(self, "columns", MappingProxyType(dict(self.columns)))

    def __len__(self) -> int:
        """The number of rows."""
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def __contains__(self, column: object) -> bool:
        """Whether a column of this name is there, whatever its case."""
        return isinstance(column, str) and column.lower() in map(str.lower, self.columns)

    def is_text(self, column: str) -> bool:
        """Returns whether a column holds text."""
        return bool(self.columns[column].dtype == object)

    def missing(self, column: str) -> np.ndarray:
        """Returns which rows have nothing in that column, bool `[n]`."""
        values = self.columns[column]
        if self.is_text(column):
            return np.array([not text.strip() for text in values], bool)
        return np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)


def is_table(path: str | Path) -> bool:
    """Returns whether a path ends as a table does."""
    return _ending(path) in TABLE_ENDINGS


def read_table(path: str | Path) -> Table:
    """Returns the table in a file, of the format that its ending names.

    Raises `DataError`, one line, for a file that is damaged, empty, without a header or without
    rows, with the line where there is one.
    """
    path = Path(path)
    where = f"table {str(path)!r}"
    ending = _ending(path)
    if ending not in TABLE_ENDINGS:
        raise DataError(f"{where}: expected one of {', '.join(TABLE_ENDINGS)}, each also .gz")
    if not path.is_file():
        kind = "is no regular file" if path.exists() else "does not exist"
        raise DataError(f"{where} {kind}; expected a table")
    opened = partial(_opened, path)
    try:
        found, notes = _columns(where, ending, opened)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"{where} ends in .gz but is no gzip file, or is cut short ({error}); compress it again"
        ) from error
    except OSError as error:
        raise DataError(f"{where} cannot be read: {error.strerror or error}") from error
    return _with_rows(where, Table(_name(path), found.columns, notes, found.categories))


def table_of(frame: Any, name: str = "table") -> Table:
    """Returns the table of a pandas or polars DataFrame, an Arrow table or a dictionary of columns.

    Raises `DataError` for anything else, for columns that are no `[n]`, and where there is no row.
    """
    found = frame_columns(name, frame)
    return _with_rows(name, Table(name, found.columns, categories=found.categories))


def _columns(where: str, ending: str, opened: Opened) -> tuple[Declared, tuple[str, ...]]:
    if ending == ".parquet":
        return read_parquet(where, opened), ()
    if ending == ".arff":
        read_in = read_arff(where, opened)
        return Declared(dict(read_in.columns), read_in.categories), ()

    def read(texts: Collection[str]) -> Columns:
        if ending in (".csv", ".tsv"):
            return read_delimited(where, opened, ending == ".tsv", texts)
        reader = read_json_list if ending == ".json" else read_json_lines
        return reader(where, opened, texts)

    columns = read(())
    if columns.late:  # numbers first and text later: once more, as what is written
        texts = columns.texts
        del columns
        columns = read(texts)
    return Declared(columns.arrays()), columns.notes


def _with_rows(where: str, table: Table) -> Table:
    if not len(table):
        names = ", ".join(map(tidy, table.columns)) or "none"
        raise DataError(f"{where} has no rows (columns: {names})")
    return table


def _opened(path: Path) -> io.BufferedIOBase:
    """The bytes of a file, unpacked if it ends in .gz."""
    return gzip.GzipFile(path, "rb") if path.suffix.lower() == _GZIP else path.open("rb")


def _ending(path: str | Path) -> str:
    path = Path(path)
    return (Path(path.stem) if path.suffix.lower() == _GZIP else path).suffix.lower()


def _name(path: Path) -> str:
    return Path(path.stem).stem if path.suffix.lower() == _GZIP else path.stem
