"""Tasks and their examples in one SQLite file: what was acknowledged is there after any crash.

Write-ahead logging with `synchronous=FULL`: a call that writes returns once the operating system
says that the disk has it. Examples are kept as they came, so that another version of a model can
be adapted to them. One server at a time owns the folder.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from metaloop.archive.lock import file_lock
from metaloop.core.errors import MachineError, MetaloopError, OutputError
from metaloop.serve.sent import KINDS, Sent

FILE_NAME = "tasks.sqlite"
_VERSION = 1
_SCHEMA = """
CREATE TABLE tasks (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, model TEXT NOT NULL, created REAL NOT NULL
) STRICT;
CREATE TABLE examples (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    task TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    label TEXT NOT NULL, kind TEXT NOT NULL, content BLOB NOT NULL, name TEXT NOT NULL,
    created REAL NOT NULL
) STRICT;
CREATE INDEX examples_by_task ON examples (task, id);
"""

Label = str | float | tuple[float, ...]
Found = TypeVar("Found")


@dataclass(frozen=True)
class TaskRow:
    """A task: its name for people, and the model that learns it."""

    id: str
    name: str
    model: str
    created: float


@dataclass(frozen=True)
class ExampleRow:
    """An example without its content: its label is a text, or the real value of a function."""

    id: int
    label: Label
    kind: str
    name: str


class TaskStore:
    """The file of tasks, open; threads may share it. In memory alone where no folder is given.

    Raises `OutputError` if another server has it, `MetaloopError` if it is no file of tasks. What
    the disk refuses later is a `MachineError`: then nothing was kept.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._lock, self._open = threading.Lock(), ExitStack()
        place = ":memory:"
        if folder is not None:
            place = str(folder / FILE_NAME)
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(
                    f"tasks cannot be kept in '{folder}': {error.strerror}; name another folder "
                    "with --tasks"
                ) from error
            self._open.enter_context(file_lock(folder / FILE_NAME, "--tasks"))
        try:
            self._connection = sqlite3.connect(place, check_same_thread=False, isolation_level=None)
            self._open.callback(self._connection.close)
            self._prepare(place)
            self._place, self._file = place, None if folder is None else os.stat(place)
        except sqlite3.Error as error:
            self._open.close()
            raise MetaloopError(f"'{place}' cannot be used for tasks: {error}") from error
        except MetaloopError:
            self._open.close()
            raise

    def close(self) -> None:
        """Closes the file; nothing is lost without."""
        with self._lock:
            self._open.close()

    def tasks(self) -> list[TaskRow]:
        """Returns all tasks, the oldest first."""
        return self._do(
            lambda db: [
                TaskRow(*row)
                for row in db.execute(
                    "SELECT id, name, model, created FROM tasks ORDER BY created, id"
                )
            ]
        )

    def add_task(self, task: TaskRow) -> None:
        """Keeps a new task."""
        row = (task.id, task.name, task.model, task.created)
        self._do(lambda db: db.execute("INSERT INTO tasks VALUES (?, ?, ?, ?)", row))

    def remove_task(self, task: str) -> None:
        """Forgets a task and all its examples."""
        self._do(lambda db: db.execute("DELETE FROM tasks WHERE id = ?", (task,)))

    def examples(self, task: str) -> list[ExampleRow]:
        """Returns the examples of a task in the order in which they came."""
        query = "SELECT id, label, kind, name FROM examples WHERE task = ? ORDER BY id"
        rows = self._do(lambda db: db.execute(query, (task,)).fetchall())
        return [ExampleRow(id_, _label(label), kind, name) for id_, label, kind, name in rows]

    def add_example(self, task: str, label: Label, sent: Sent) -> ExampleRow:
        """Keeps an example and returns it with its number, which no other example ever has."""
        row = (task, json.dumps(label), sent.kind, sent.content, sent.name, time.time())
        number = self._do(
            lambda db: (
                db.execute(
                    "INSERT INTO examples (task, label, kind, content, name, created) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    row,
                ).lastrowid
            )
        )
        assert number is not None
        return ExampleRow(number, label, sent.kind, sent.name)

    def remove_example(self, example: int) -> None:
        """Forgets an example."""
        self._do(lambda db: db.execute("DELETE FROM examples WHERE id = ?", (example,)))

    def sent(self, example: int) -> Sent | None:
        """Returns an example as it came; None if there is none of this number."""
        query = "SELECT kind, content, name FROM examples WHERE id = ?"
        row = self._do(lambda db: db.execute(query, (example,)).fetchone())
        if row is None or row[0] not in KINDS:
            return None
        return Sent(*row)

    def works(self) -> bool:
        """Whether the file can be read just now."""
        try:
            return bool(self._do(lambda db: db.execute("SELECT 1").fetchone()))
        except MachineError:
            return False

    def _prepare(self, place: str) -> None:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        tables = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if version == 0 and not tables:
            self._connection.executescript(
                f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;"
            )
        elif version != _VERSION:
            raise MetaloopError(
                f"'{place}' is no file of tasks of this metaloop (version {version}, expected "
                f"{_VERSION}); name another folder with --tasks"
            )

    def _check_there(self) -> None:
        """Raises `MachineError` if the open file is no longer the one at its place: it is lost."""
        try:
            there = self._file is None or os.path.samestat(os.stat(self._place), self._file)
        except OSError:
            there = False
        if not there:
            raise MachineError(
                f"tasks cannot be kept: '{self._place}' was removed or replaced; start the server "
                "again"
            )

    def _do(self, work: Callable[[sqlite3.Connection], Found]) -> Found:
        with self._lock:
            self._check_there()
            try:
                return work(self._connection)
            except sqlite3.Error as error:
                raise MachineError(f"tasks cannot be kept: {error}") from error


def _label(text: str) -> Label:
    value = json.loads(text)
    return tuple(value) if isinstance(value, list) else value
