"""What PostgreSQL and its library say, as one line that helps and has no password."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from metaloop.archive.address import ServerAddress
from metaloop.core.errors import ArchiveError, MetaloopError, OutputError

_LONGEST = 300  # characters of what a server says

# by SQLSTATE: what it is called here, and what is wrong
_WRITING = {
    "25006": "it is read-only",
    "42501": "this user may not",
    "53100": "the server's disk is full",
}
_LOGIN = ("password authentication failed", "no password supplied", "authentication failed")
_LOGIN_CODES = ("28P01", "28000")


@contextmanager
def explained(address: ServerAddress, connecting: bool = False) -> Iterator[None]:
    """Turns the errors of psycopg inside into `ArchiveError`, `OutputError` and `ValueError`."""
    import psycopg  # optional extra

    try:
        yield
    except psycopg.errors.IntegrityError as error:
        raise ValueError(f"the record does not fit the archive: {_said(address, error)}") from None
    except psycopg.Error as error:
        raise _explained(address, error, connecting) from None
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise ArchiveError(
            f"archive '{address}' has text that is no UTF-8: {error.reason}"
        ) from None


def _explained(address: ServerAddress, error: Exception, connecting: bool) -> MetaloopError:
    said, code = _said(address, error), getattr(error, "sqlstate", None) or ""
    if connecting:
        return ArchiveError(_unreachable(address, said, code))
    if code in _WRITING:
        return OutputError(f"archive '{address}' cannot be written: {_WRITING[code]} ({said})")
    if code == "55P03":
        return ArchiveError(
            f"another process is writing to '{address}' and has not let go; try again"
        )
    if code.startswith("42"):  # a table or a column is not there
        return ArchiveError(f"archive '{address}' is damaged: {said}")
    if code.startswith("22"):
        return ArchiveError(f"archive '{address}' cannot hold a value: {said}")
    if not code or code.startswith(("08", "57", "25P03")):
        return OutputError(f"the server of archive '{address}' has gone away: {said}")
    return ArchiveError(f"archive '{address}' cannot be used: {said}")


def _unreachable(address: ServerAddress, said: str, code: str) -> str:
    if code in _LOGIN_CODES or any(words in said for words in _LOGIN):
        return (
            f"the server of archive '{address}' does not let this user in: {said}; put the right "
            "password into PGPASSWORD or ~/.pgpass"
        )
    if code == "3D000" or ('database "' in said and "does not exist" in said):
        return f"the server of archive '{address}' has no such database; make it with createdb"
    return f"archive '{address}' cannot be reached: {said}"


def _said(address: ServerAddress, error: Exception) -> str:
    """What was said, in one line and without passwords."""
    text = " ".join(address.hidden(str(error)).split())
    for prefix in ("connection failed: ", "FATAL: "):
        text = text.replace(prefix, "")
    return text[:_LONGEST].strip() or type(error).__name__
