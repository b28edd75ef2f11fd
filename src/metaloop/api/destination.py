"""Where results go: refused before any work is done if nothing could be written there."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from metaloop.archive import Archive
from metaloop.core.errors import MetaloopError, OutputError
from metaloop.tasks.readers.tables import is_table

_RUNS = Path("runs")


def check_destination(out: Path, overwrite: bool = False) -> None:
    """Raises `OutputError` unless a file can be written at `out`, and nothing is there."""
    if out.is_dir():
        raise OutputError(f"'{out}' is a folder; --out names the model file to write")
    if not out.parent.is_dir():
        raise OutputError(f"cannot write '{out}': there is no folder '{out.parent}'")
    if not overwrite and os.path.lexists(out):
        raise OutputError(f"'{out}' already exists; choose another --out or remove it first")
    probe = out.with_name(f".{secrets.token_hex(6)}.metaloop.tmp")
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise OutputError(f"cannot write in '{out.parent}': {error.strerror}") from error


def fresh_folder(data: str) -> Path:
    """Returns `runs/NAME-n`, just made, with the smallest n that is free."""
    path = Path(data)
    name = path.resolve().name if path.name in ("", "..") else path.name
    name = name.removesuffix(".gz") if is_table(path) else name
    known = path.suffix in (".zip", ".npz", ".store") or is_table(path)
    name = name.removesuffix(Path(name).suffix) if known else name
    name = re.sub(r"[^\w.-]+", "-", name).strip(".-") or "data"
    number = 0
    try:
        _RUNS.mkdir(exist_ok=True)
        while True:
            number += 1
            try:
                (_RUNS / f"{name}-{number}").mkdir()
                return _RUNS / f"{name}-{number}"
            except FileExistsError:
                continue
    except OSError as error:
        raise OutputError(
            f"cannot make a folder in '{_RUNS}' ({error.strerror}); name another with --out"
        ) from error


def is_unused(folder: Path) -> bool:
    """Whether a run may begin in this folder: it is empty, or not there."""
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


def discard_unused(folder: Path) -> None:
    """Removes a run's folder in which nothing was tried, so that the name is free again."""
    known = {"archive.sqlite", "archive.sqlite-wal", "archive.sqlite-shm", "run.lock", "states"}
    try:
        if not {path.name for path in folder.iterdir()} <= known:
            return
        if (folder / "archive.sqlite").exists():
            with Archive.open(folder / "archive.sqlite", read_only=True) as archive:
                if archive.trials():
                    return
        if (folder / "states").is_dir():
            (folder / "states").rmdir()  # refuses if there is a state
        for name in known - {"states"}:
            (folder / name).unlink(missing_ok=True)
        os.rmdir(folder)
    except (OSError, MetaloopError):
        return
