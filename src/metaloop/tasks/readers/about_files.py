"""Tables of what is known of users or items: any table, and MovieLens' files without a header.

These are known by their names (each also .gz): `users.dat` is `user::gender::age::occupation::zip`,
`u.user` is `user|age|gender|occupation|zip`, `movies.dat` is `item::title::genre|genre|...`, and
`u.item` is `item|title|01-Jan-1995|video|address` and a 0 or 1 for each of 19 genres. The old ones
are Latin-1. `movies.csv` has a header, and is a table as others are.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from metaloop.core.errors import DataError
from metaloop.tasks.readers.tables import Table, read_table
from metaloop.tasks.readers.text_encoding import encoding_of

_GENRES: Final = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance"),
    *("Sci-Fi", "Thriller", "War", "Western"),
)


def _number(cell: str) -> float:
    return float(cell or "nan")


def _year(cell: str) -> float:
    """Of a date as 01-Jan-1995."""
    return float(cell.rpartition("-")[2] or "nan")


@dataclass(frozen=True)
class _Layout:
    """What stands between the cells of a line, and what is made of each; None: nothing.

    `genres`: behind these cells there is a 0 or 1 for each, and a column `genres` has their names.
    """

    separator: str
    columns: Mapping[str, Callable[[str], Any] | None]
    genres: tuple[str, ...] = ()

    def __str__(self) -> str:
        flags = f", {len(self.genres)} genres as 0 or 1" if self.genres else ""
        return f"{', '.join(self.columns)}{flags} apart by {self.separator!r}"

    def row(self, line: str) -> dict[str, Any]:
        """Returns the cells of a line by their column; raises `ValueError` for other lines."""
        cells = [cell.strip() for cell in line.split(self.separator)]
        own, flags = cells[: len(self.columns)], cells[len(self.columns) :]
        if len(own) != len(self.columns) or len(flags) != len(self.genres) or {*flags} - {"0", "1"}:
            raise ValueError(line)
        pairs = zip(self.columns.items(), own, strict=True)
        found = {name: made(cell) for (name, made), cell in pairs if made is not None}
        if self.genres:
            having = zip(self.genres, flags, strict=True)
            found["genres"] = "|".join(genre for genre, flag in having if flag == "1")
        return found


_HEADLESS: Final[Mapping[str, _Layout]] = {  # what is no number is a name, however it is written
    "users.dat": _Layout(
        "::", {"user": str, "gender": str, "age": _number, "occupation": str, "zip": str}
    ),
    "u.user": _Layout(
        "|", {"user": str, "age": _number, "gender": str, "occupation": str, "zip": str}
    ),
    "movies.dat": _Layout("::", {"item": str, "title": str, "genres": str}),
    "u.item": _Layout(
        "|", {"item": str, "title": str, "year": _year, "video": None, "address": None}, _GENRES
    ),
}


def read_about(path: str | Path) -> Table:
    """Returns the table in a file; raises `DataError`, one line, as `read_table` does.

    Lists of names (`Drama|War`) stay as they are written.
    """
    path = Path(path)
    name = path.name.lower().removesuffix(".gz")
    if name not in _HEADLESS or not path.is_file():
        return read_table(path)
    layout, where = _HEADLESS[name], f"table {str(path)!r}"
    rows = []
    for number, line in enumerate(_lines(where, path), 1):
        if not line.strip():
            continue
        try:
            rows.append(layout.row(line))
        except ValueError:
            raise DataError(
                f"{where}, line {number}: expected {layout}, got {line[:60]!r}"
            ) from None
    if not rows:
        raise DataError(f"{where} has no rows")
    columns = {each: [row[each] for row in rows] for each in rows[0]}
    return Table(name, {each: _column(values) for each, values in columns.items()})


def _lines(where: str, path: Path) -> list[str]:
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix.lower() == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{where} cannot be read: {error}") from error
    encoding = encoding_of(lambda: (content,))
    if encoding is None:
        raise DataError(f"{where} is neither UTF-8 nor Latin-1 text; save it as UTF-8")
    return content.decode(encoding).splitlines()


def _column(values: list[Any]) -> np.ndarray:
    return np.array(values, np.float64 if isinstance(values[0], float) else object)
