"""`Archive`: everything that was tried, measured, concluded and opened.

It is one SQLite file, or a database of a PostgreSQL server that several runs on several machines
share. Of a file only the coordinator of a run writes, apart from short appends (an opening that
`evaluate` records), which wait for their turn; so do all who write to a server. What a write method
has returned from outlives the process and the power. Readers see whole transactions only and never
wait.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, final

from metaloop.archive.address import Place, ServerAddress, place_of
from metaloop.archive.in_file import FileStorage, create_file
from metaloop.archive.on_server import open_server
from metaloop.archive.reading import Reading
from metaloop.archive.storage import Row, Storage
from metaloop.archive.writing import Writing
from metaloop.core.errors import ArchiveError, OutputError

WAIT_SECONDS = 30.0  # for another writer, whose transactions take milliseconds


@final
class Archive(Reading, Writing):
    """An open archive: `Reading` and `Writing` are its methods. Not to be shared by processes.

    Close it, or use it in a `with` statement; what was committed is safe either way.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    @property
    def place(self) -> Place:
        """Where the archive is; as text it has no password."""
        return self.storage.place

    @property
    def path(self) -> Path:
        """The file of an archive that is one."""
        assert isinstance(self.storage.place, Path), "an archive on a server has no file"
        return self.storage.place

    @property
    def read_only(self) -> bool:
        """Whether it was opened for reading only."""
        return self.storage.read_only

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> Archive:
        """Returns a new, empty archive; `OutputError` if `path` exists or cannot be written."""
        create_file(Path(path))
        return cls.open(Path(path))

    @classmethod
    def open_or_create(cls, place: str | os.PathLike[str] | ServerAddress) -> Archive:
        """Returns the archive at `place`, a new one if nothing is there; for several at once."""
        found = place_of(place)
        if isinstance(found, ServerAddress):
            return cls(open_server(found, read_only=False, wait_seconds=WAIT_SECONDS, create=True))
        if not os.path.lexists(found):
            try:
                return cls.create(found)
            except OutputError:
                if not os.path.lexists(found):
                    raise
        return cls.open(found)

    @classmethod
    def open(
        cls,
        place: str | os.PathLike[str] | ServerAddress,
        read_only: bool = False,
        *,
        wait_seconds: float = WAIT_SECONDS,
    ) -> Archive:
        """Returns the archive at `place`; `ArchiveError` if there is none that can be used.

        An archive of an older version is upgraded (for a reader of a file, a copy in memory).
        `wait_seconds` is how long a write waits for that of another process.
        """
        found = place_of(place)
        if isinstance(found, ServerAddress):
            return cls(open_server(found, read_only=read_only, wait_seconds=wait_seconds))
        return cls(FileStorage(found, read_only=read_only, wait_seconds=wait_seconds))

    def close(self) -> None:
        """Ends the use of this archive."""
        self.storage.close()

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
            raise ArchiveError(f"archive '{self.place}' was opened for reading only")
        begin, commit, undo = self.storage.begin_writing, "COMMIT", ["ROLLBACK"]
        if self.storage.in_transaction:
            begin, commit = "SAVEPOINT part", "RELEASE part"
            undo = ["ROLLBACK TO part", "RELEASE part"]
        self.storage.change(begin)
        try:
            yield
            self.storage.change(commit)
        except BaseException:
            for statement in undo:
                if self.storage.in_transaction:  # a full disk or a lost server has ended it already
                    self.storage.change(statement)
            raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Makes all that is read inside one state of the archive, whatever is written meanwhile."""
        if self.storage.in_transaction:
            yield
            return
        self.storage.change(self.storage.begin_reading)
        try:
            yield
        finally:
            if self.storage.in_transaction:
                self.storage.change("COMMIT")

    def query(self, select: str, values: Sequence[Any] = ()) -> list[Row]:
        """Returns the rows of a SELECT, for questions that no method answers."""
        return self.storage.query(select, values)

    def change(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Returns how many rows a statement has changed; `ValueError` outside of a transaction."""
        self._require_transaction()
        return self.storage.change(statement, values)

    def insert(self, table: str, rows: Sequence[Mapping[str, Any]]) -> list[int]:
        """Adds rows of equal columns, returns their numbers.

        Tables without numbers return nothing. `ValueError` outside of a transaction, or for a row
        that names something unknown.
        """
        self._require_transaction()
        return self.storage.insert(table, rows)

    def _require_transaction(self) -> None:
        if not self.storage.in_transaction:
            raise ValueError("an archive is written inside a transaction")
