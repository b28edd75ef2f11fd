"""`Storage`: what an archive asks of whatever keeps its tables: a file of SQLite, or PostgreSQL.

SQL is what both understand, with `?` for values. What they do not have in common is here: how
transactions begin, how new rows tell their numbers, and which of their errors mean what.

- a record that names something unknown is a `ValueError`, and leaves its transaction usable where
  that has a nested one;
- all that a user can mend is `ArchiveError` or `OutputError`, in one line, without a password.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

from metaloop.archive.address import Place


@runtime_checkable
class Row(Protocol):
    """A row of a table: values by the names of columns."""

    def __getitem__(self, name: str, /) -> Any: ...

    def keys(self) -> Any:
        """Returns the names of columns."""


class Storage(ABC):
    """One connection to the tables of an archive. Not to be shared by processes."""

    begin_writing: ClassVar[str]  # SQL after which no other process writes, until the end
    begin_reading: ClassVar[str]  # SQL after which one state is read
    place: Place
    read_only: bool

    @abstractmethod
    def query(self, select: str, values: Sequence[Any] = ()) -> list[Row]:
        """Returns the rows of a SELECT."""

    @abstractmethod
    def change(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Runs one statement; returns how many rows it has changed."""

    @abstractmethod
    def insert(self, table: str, rows: Sequence[Mapping[str, Any]]) -> list[int]:
        """Adds rows of equal columns; returns their numbers, nothing for tables without."""

    @abstractmethod
    def change_many(self, statement: str, values: Sequence[Sequence[Any]]) -> None:
        """Runs one statement for each of many values, in one go where a server is far away."""

    @property
    @abstractmethod
    def in_transaction(self) -> bool:
        """Whether a transaction is open; not after one that the storage has ended by itself."""

    @abstractmethod
    def reclaim(self) -> None:
        """Gives the room of removed rows back, where nobody else does."""

    @abstractmethod
    def close(self) -> None:
        """Ends the connection; what was not committed is gone."""


def insertion(table: str, columns: Sequence[str]) -> str:
    """Returns the statement that adds one row."""
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
