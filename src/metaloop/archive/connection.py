"""Opening and creating the file of an archive, and saying in one line why that failed.

A new archive is built under a temporary name and then linked to its own, so that at every instant
there is either no archive or a whole one. WAL lets readers read while one process writes;
`synchronous = FULL` makes every commit outlive the process and the power.
"""

from __future__ import annotations

import errno
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from metaloop.archive import schema
from metaloop.core.errors import ArchiveError, MetaloopError, OutputError

_LONGEST_VALUE = 1 << 28  # bytes; the largest are the scores of a result, or a figure
_LIMIT_LENGTH = 0  # SQLITE_LIMIT_LENGTH of sqlite3.h; the module names it since Python 3.11
_CALLER_MISTAKES = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError)


def create_file(path: Path) -> None:
    """Makes an empty archive at `path`; `OutputError` if something is there or it cannot be."""
    if os.path.lexists(path):
        raise OutputError(f"'{path}' already exists; go on with it by --resume or choose another")
    if not path.parent.is_dir():
        raise OutputError(f"cannot make an archive in '{path.parent}': there is no such folder")
    if os.path.lexists(f"{path}-wal"):
        raise OutputError(
            f"'{path}-wal' is left of an archive that is gone; move it away, it may hold results"
        )
    temporary = path.with_name(f".{secrets.token_hex(6)}.archive.tmp")
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        with translated(path), closing(_connect(temporary, "mode=rw", 5.0)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN IMMEDIATE")
            schema.create_tables(connection)
            connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {schema.VERSION}")
            connection.execute("COMMIT")
        _give_name(temporary, path)
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot make an archive at '{path}': {_reason(error)}") from error
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            with suppress(OSError, ValueError):
                os.unlink(f"{temporary}{suffix}")


def open_file(path: Path, *, read_only: bool, wait_seconds: float) -> sqlite3.Connection:
    """Returns a connection to an archive of this version, or of an older one after upgrading it."""
    _check_file(path)
    with translated(path):
        if read_only:
            connection = _connect_reader(path, wait_seconds)
        else:
            connection = _connect(path, "mode=rw", wait_seconds)
        try:
            _limit(connection)
            if _checked_version(path, connection) < schema.VERSION:
                connection = _upgraded(connection, read_only)
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = FULL")
        except _CALLER_MISTAKES as error:  # there is no caller yet: the file has odd rules
            connection.close()
            raise ArchiveError(f"archive '{path}' is damaged: {error}") from error
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turns SQLite's errors about the file into `ArchiveError` and `OutputError`, in one line.

    Only SQLite is called inside; what a caller does between two calls keeps its own errors.
    """
    try:
        yield
    except _CALLER_MISTAKES:
        raise
    except sqlite3.Error as error:
        raise _explained(path, str(error)) from error
    except UnicodeDecodeError as error:  # SQLite quotes what it cannot parse
        raise _explained(path, f"malformed ({error.reason})") from error


def _explained(path: Path, text: str) -> MetaloopError:
    reason = " ".join(text.split())[:200]  # SQLite may quote lines of a damaged schema
    if "not a database" in reason:
        return ArchiveError(f"'{path}' is not a metaloop archive: it is not an SQLite file")
    if "too big" in reason:
        return ArchiveError(f"archive '{path}' has a value too large for any archive: {reason}")
    if "malformed" in reason or "no such" in reason or "decode" in reason:
        return ArchiveError(f"archive '{path}' is damaged or cut short: {reason}")
    if "locked" in reason:
        return ArchiveError(f"another process is writing to '{path}' and has not let go; try again")
    if "full" in reason:
        return OutputError(f"cannot write to archive '{path}': the disk is full")
    if "readonly" in reason:
        return OutputError(f"cannot write to archive '{path}': it is read-only")
    if "I/O" in reason:
        return OutputError(f"archive '{path}' cannot be read or written: {reason}")
    return ArchiveError(f"archive '{path}' cannot be used: {reason}")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _connect(path: Path, options: str, wait_seconds: float) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?{options}"
    connection = sqlite3.connect(uri, uri=True, timeout=wait_seconds, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


def _connect_reader(path: Path, wait_seconds: float) -> sqlite3.Connection:
    """Returns a connection that cannot write, on a read-only disk too.

    Where there is no `-wal`, no process has the archive open and all is in the one file: it is read
    as one that never changes, or SQLite would leave a `-wal` and a `-shm` beside it. A WAL database
    cannot be read where its `-shm` file cannot be made.
    """
    if not os.path.exists(f"{path}-wal"):
        return _connect(path, "immutable=1", wait_seconds)
    connection = _connect(path, "mode=ro", wait_seconds)
    try:
        _pragma(connection, "application_id")
    except sqlite3.OperationalError as error:
        connection.close()
        if not any(words in str(error) for words in ("unable to open", "readonly")):
            raise
        raise ArchiveError(
            f"archive '{path}' is in use or was left by a killed run, and you may not write "
            "beside it; copy it together with its '-wal' file and read the copy"
        ) from error
    return connection


def _check_file(path: Path) -> None:
    """Says what is wrong where SQLite would only say that it cannot open, or would wait forever.

    The file is not opened for that. Linux takes all locks of a process on a file away when it
    closes that file anywhere: another process would take an archive that is open here, too, for one
    that nobody has, and remove the `-wal` with what is written later.
    """
    try:
        if path.is_dir():
            raise ArchiveError(f"'{path}' is a folder, not an archive")
        if not path.exists():
            raise ArchiveError(f"there is no archive at '{path}'")
        if not path.is_file():
            raise ArchiveError(f"'{path}' is not a file")
        size, is_readable = path.stat().st_size, os.access(path, os.R_OK)
    except (OSError, ValueError) as error:
        raise ArchiveError(f"archive '{path}' cannot be read: {_reason(error)}") from error
    if not is_readable:
        raise ArchiveError(f"archive '{path}' cannot be read: {os.strerror(errno.EACCES)}")
    if not size:
        raise ArchiveError(f"'{path}' is not a metaloop archive: it is empty")


def _checked_version(path: Path, connection: sqlite3.Connection) -> int:
    """Returns the archive's version; refuses other databases and versions newer than this one."""
    if _pragma(connection, "application_id") != schema.APPLICATION_ID:
        raise ArchiveError(f"'{path}' is an SQLite file but not a metaloop archive")
    version = _pragma(connection, "user_version")
    if version > schema.VERSION:
        raise ArchiveError(
            f"archive '{path}' was written by a newer metaloop (version {version} of archives, "
            f"this one knows {schema.VERSION}); upgrade metaloop"
        )
    _check_tables(path, connection)
    if any(step not in schema.UPGRADES for step in range(version, schema.VERSION)):
        raise ArchiveError(f"archive '{path}' has version {version}, which cannot be upgraded")
    return version


def _check_tables(path: Path, connection: sqlite3.Connection) -> None:
    """Refuses a database in which reading a table would run what somebody else wrote."""
    for kind, name, text in connection.execute("SELECT type, name, sql FROM sqlite_master"):
        own = kind in ("table", "index") and "virtual" not in str(text).lower()[:40]
        if own and kind == "table":
            quoted = str(name).replace('"', '""')
            columns = connection.execute(f'PRAGMA table_xinfo("{quoted}")').fetchall()
            own = all(column["hidden"] == 0 for column in columns)  # else it is computed
        if not own:
            raise ArchiveError(
                f"archive '{path}' is not as metaloop makes them: it has a {str(kind)[:20]} "
                f"{str(name)[:40]!r} that computes what is read; get it again"
            )


def _limit(connection: sqlite3.Connection) -> None:
    """Keeps one value small, and functions that the file names from running."""
    connection.execute("PRAGMA trusted_schema = OFF")
    if hasattr(connection, "setlimit"):  # Python 3.11
        connection.setlimit(_LIMIT_LENGTH, _LONGEST_VALUE)


def _upgraded(connection: sqlite3.Connection, read_only: bool) -> sqlite3.Connection:
    """Returns the connection after upgrading the file, or for a reader a copy of it in memory."""
    if read_only:
        copy = sqlite3.connect(":memory:", isolation_level=None)
        copy.row_factory = sqlite3.Row
        connection.backup(copy)
        connection.close()
        connection = copy
    connection.execute("BEGIN IMMEDIATE")
    schema.upgrade(connection, _pragma(connection, "user_version"))
    connection.execute(f"PRAGMA user_version = {schema.VERSION}")
    connection.execute("COMMIT")
    return connection


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _give_name(temporary: Path, path: Path) -> None:
    """Gives a finished file its name unless another process has taken it meanwhile."""
    try:
        os.link(temporary, path)
    except FileExistsError as error:
        raise OutputError(f"'{path}' already exists: another process has just made it") from error
    except OSError:  # no hard links on this file system
        os.rename(temporary, path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # not everywhere can a folder be opened
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
