"""`Archive`: everything that was tried, measured, concluded and opened, in one SQLite file.

Only the coordinator of a run writes to it, apart from short appends (an opening that `evaluate`
records), which wait for their turn. What a write method has returned from outlives the process and
the power. Readers see whole transactions only and never wait.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, final

from metaloop.archive.connection import create_file, open_file, translated
from metaloop.archive.reading import Reading
from metaloop.archive.writing import Writing
from metaloop.core.errors import ArchiveError, OutputError

WAIT_SECONDS = 30.0  # for another writer, whose transactions take milliseconds


@final
class Archive(Reading, Writing):
    """An open archive: `Reading` and `Writing` are its methods. Not to be shared by processes.

    Close it, or use it in a `with` statement; what was committed is safe either way.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, read_only: bool) -> None:
        self.path = path
        self.read_only = read_only
        self._connection = connection

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> Archive:
        """Returns a new, empty archive; `OutputError` if `path` exists or cannot be written."""
        create_file(Path(path))
        return cls.open(path)

    @classmethod
    def open_or_create(cls, path: str | os.PathLike[str]) -> Archive:
        """Returns the archive at `path`, a new one if nothing is there; for several at once."""
        if not os.path.lexists(path):
            try:
                return cls.create(path)
            except OutputError:
                if not os.path.lexists(path):
                    raise
        return cls.open(path)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        read_only: bool = False,
        *,
        wait_seconds: float = WAIT_SECONDS,
    ) -> Archive:
        """Returns the archive at `path`; `ArchiveError` if there is none that can be used.

        An archive of an older version is upgraded (for a reader, a copy in memory).
        `wait_seconds` is how long a write waits for that of another process.
        """
        connection = open_file(Path(path), read_only=read_only, wait_seconds=wait_seconds)
        return cls(Path(path), connection, read_only)

    def close(self) -> None:
        """Ends the use of this archive."""
        self._connection.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Makes the writes inside one: all are kept, or after an exception none. May be nested."""
        if self.read_only:
            raise ArchiveError(f"archive '{self.path}' was opened for reading only")
        begin, commit, undo = "BEGIN IMMEDIATE", "COMMIT", ["ROLLBACK"]
        if self._connection.in_transaction:
            begin, commit = "SAVEPOINT part", "RELEASE part"
            undo = ["ROLLBACK TO part", "RELEASE part"]
        self._run(begin)
        try:
            yield
            self._run(commit)
        except BaseException:
            for statement in undo:
                if self._connection.in_transaction:  # a full disk has ended it already
                    self._run(statement)
            raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Makes all that is read inside one state of the archive, whatever is written meanwhile."""
        if self._connection.in_transaction:
            yield
            return
        self._run("BEGIN")
        try:
            yield
        finally:
            if self._connection.in_transaction:
                self._run("COMMIT")

    def query(self, select: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Returns the rows of a SELECT, for questions that no method answers."""
        with translated(self.path):
            return self._connection.execute(select, values).fetchall()

    def change(self, statement: str, values: Sequence[Any]) -> sqlite3.Cursor:
        """Runs one statement that writes; `ValueError` outside of a transaction."""
        if not self._connection.in_transaction:
            raise ValueError("an archive is written inside a transaction")
        return self._run(statement, values)

    def _run(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        with translated(self.path):
            return self._connection.execute(statement, values)
