"""`run_lock`: one run at a time writes into a run's directory; `file_lock`: or makes a file.

The operating system holds the lock, so it ends with the process that holds it, however that ends.
Where there is no `fcntl` (Windows) nothing is locked.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from metaloop.core.errors import OutputError

try:
    import fcntl
except ImportError:  # pragma: no cover
    fcntl = None  # type: ignore[assignment]

LOCK_NAME = "run.lock"
_held: set[int] = set()


@contextmanager
def run_lock(directory: str | os.PathLike[str]) -> Iterator[None]:
    """Holds the lock of a run's directory, or raises `OutputError` if another run has it.

    Forked workers do not inherit it: when the coordinator is killed the lock is free at once.
    """
    with _lock(Path(directory) / LOCK_NAME, os.fspath(directory)):
        yield


@contextmanager
def file_lock(out: Path, option: str = "--out") -> Iterator[None]:
    """Holds the lock of a file that is being made, or raises `OutputError` if another has it.

    The lock is a file beside `out` that is gone afterwards. `option` names another place.
    """
    path = out.with_name(f"{out.name}.lock")
    while True:
        with _lock(path, os.fspath(out), option) as handle:
            if not _is_at(path, handle):  # who had it before has just removed it
                continue
            try:
                yield
            finally:
                with suppress(OSError):
                    os.unlink(path)
            return


@contextmanager
def _lock(path: Path, what: str, option: str = "--out") -> Iterator[int]:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise OutputError(f"cannot write in '{path.parent}': {reason}") from error
    _held.add(handle)
    try:
        _acquire(handle, what, option)
        with suppress(OSError):  # the number only helps the message; a full disk must not stop us
            os.ftruncate(handle, 0)
            os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield handle
    finally:
        _held.discard(handle)
        os.close(handle)


def _is_at(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except OSError:
        return False


def _acquire(handle: int, what: str, option: str) -> None:
    if fcntl is None:  # pragma: no cover
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
        named = f" (process {owner})" if owner else ""
        raise OutputError(
            f"another metaloop run is writing here{named}: '{what}'; wait for it to end, "
            f"or choose another {option}"
        ) from error
    except OSError as error:
        raise OutputError(f"cannot lock '{what}': {error.strerror}") from error


def _forget_in_child() -> None:
    for handle in _held:
        with suppress(OSError):
            os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
