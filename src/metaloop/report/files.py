"""Writing what a report makes: whole or not at all, and never over what is not a report."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from metaloop.core.errors import OutputError
from metaloop.report.page import page_of
from metaloop.report.reading import Records, archive_file

REPORT_NAME = "report.html"
_MARK = b'<meta name="generator" content="metaloop '
_MARK_WITHIN = 2000  # bytes


def write_report(records: Records, run: Path, out: Path | None = None) -> Path:
    """Returns where the page was written: `out`, or `report.html` beside the archive of `run`.

    An older report there is replaced; `OutputError` if there is anything else, or no place.
    """
    path = out if out is not None else archive_file(run).parent / REPORT_NAME
    if path.is_dir():
        raise OutputError(f"'{path}' is a folder; --out names the page to write")
    if os.path.lexists(path) and not _is_report(path):
        raise OutputError(f"'{path}' already exists and is no report; choose another --out")
    content = page_of(records).encode("utf-8")
    with _temporary(path) as temporary:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    return path


@contextmanager
def fresh(path: Path) -> Iterator[Path]:
    """Yields a path to write a file or folder at, which is given the name `path` in the end.

    `OutputError` if something is there already, or nothing can be written there.
    """
    if os.path.lexists(path):
        raise OutputError(f"'{path}' already exists; choose another --out")
    with _temporary(path) as temporary:
        yield temporary
        os.rename(temporary, path)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    if not path.parent.is_dir():
        raise OutputError(f"cannot write '{path}': there is no folder '{path.parent}'")
    temporary = path.with_name(f".{secrets.token_hex(6)}.report.tmp")
    try:
        yield temporary
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror or error}") from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        elif os.path.lexists(temporary):
            temporary.unlink()


def _is_report(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return _MARK in file.read(_MARK_WITHIN)
