"""Tables of users: any table, and MovieLens' files without a header, known by their names.

`users.dat` is `user::gender::age::occupation::zip`, `u.user` is `user|age|gender|occupation|zip`.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from metaloop.core.errors import DataError
from metaloop.tasks.readers.tables import Table, read_table

_HEADLESS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "users.dat": ("::", ("user", "gender", "age", "occupation", "zip")),
    "u.user": ("|", ("user", "age", "gender", "occupation", "zip")),
}
_NUMBER = "age"  # all others are names, whatever they are written with


def read_users(path: str | Path) -> Table:
    """Returns the table of users in a file; raises `DataError`, one line, as `read_table` does."""
    path = Path(path)
    name = path.name.lower().removesuffix(".gz")
    if name not in _HEADLESS or not path.is_file():
        return read_table(path)
    separator, columns = _HEADLESS[name]
    where = f"users {str(path)!r}"
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix.lower() == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{where} cannot be read: {error}") from error
    lines = content.decode("utf-8", "replace").splitlines()
    cells: dict[str, list[str]] = {column: [] for column in columns}
    ages = []
    for number, line in enumerate(lines, 1):
        row = [cell.strip() for cell in line.split(separator)]
        if not any(row):
            continue
        try:
            if len(row) != len(columns):
                raise ValueError
            found = dict(zip(columns, row, strict=True))
            ages.append(float(found[_NUMBER] or "nan"))
        except ValueError:
            raise DataError(
                f"{where}, line {number}: expected {', '.join(columns)} apart by {separator!r}, "
                f"got {line[:60]!r}"
            ) from None
        for column, cell in found.items():
            cells[column].append(cell)
    if not ages:
        raise DataError(f"{where} has no rows")
    named = {column: np.array(each, object) for column, each in cells.items()}
    return Table(name, {**named, _NUMBER: np.array(ages)})
