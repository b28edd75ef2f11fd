"""`FileStorage`: the tables of an archive in one SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, final

from metaloop.archive.connection import create_file, open_file, translated
from metaloop.archive.schema import WITHOUT_NUMBER
from metaloop.archive.storage import Row, Storage, insertion
from metaloop.core.errors import MetaloopError

__all__ = ["FileStorage", "create_file"]


@final
class FileStorage(Storage):
    """A connection to the file of an archive."""

    begin_writing: ClassVar[str] = "BEGIN IMMEDIATE"
    begin_reading: ClassVar[str] = "BEGIN"

    def __init__(self, path: Path, *, read_only: bool, wait_seconds: float) -> None:
        self.place = self.path = path
        self.read_only = read_only
        self._connection = open_file(path, read_only=read_only, wait_seconds=wait_seconds)

    def query(self, select: str, values: Sequence[Any] = ()) -> list[Row]:
        """Returns the rows of a SELECT."""
        with self._translated():
            return self._connection.execute(select, values).fetchall()

    def change(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Runs one statement; returns how many rows it has changed."""
        with self._translated():
            return self._connection.execute(statement, values).rowcount

    def insert(self, table: str, rows: Sequence[Mapping[str, Any]]) -> list[int]:
        """Adds rows of equal columns; returns their numbers, nothing for tables without."""
        if not rows:
            return []
        statement, numbers = insertion(table, list(rows[0])), []
        with self._translated():
            for row in rows:
                numbers.append(self._connection.execute(statement, tuple(row.values())).lastrowid)
        return [] if table in WITHOUT_NUMBER else [number for number in numbers if number]

    def change_many(self, statement: str, values: Sequence[Sequence[Any]]) -> None:
        """Runs one statement for each of many values."""
        with self._translated():
            self._connection.executemany(statement, values)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open; not after one that a full disk has ended."""
        return self._connection.in_transaction

    def reclaim(self) -> None:
        """Makes the file as small as what is in it, if there is room for a copy meanwhile."""
        with suppress(MetaloopError):
            self.change("VACUUM")

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            with translated(self.path):
                yield
        except sqlite3.IntegrityError as error:
            raise ValueError(f"the record does not fit the archive: {error}") from error
