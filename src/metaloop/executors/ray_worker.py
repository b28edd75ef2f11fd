"""`RayWorker`: what `RayPool` has on another machine: a folder, and a worker process that it minds.

It is an actor of Ray; each job is one call of it, which tells of progress as it goes and ends with
the outcome and the files that the job has written. The job itself runs in a child process, minded
by a `LocalPool` of one: so hangs, crashes and kills mean the same there as on the own machine.

    TEMP/metaloop-ray-USER/RUN-MACHINE/carried/    what came with the run, once for the machine
                                       SHARED/     made by one of its workers, used by all
                                       PID/        the folder of a worker: links to these, states
                                       lock        held by workers while they live

A folder whose lock nobody holds was left behind by machines that died; the next worker removes it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import metaloop
from metaloop.core.errors import MetaloopError
from metaloop.executors.base import Job
from metaloop.executors.local_pool import LocalPool
from metaloop.executors.luggage import FOLDER

try:
    import fcntl
except ImportError:  # pragma: no cover
    fcntl = None  # type: ignore[assignment]

_SAY_SECONDS = 0.5  # between what is told of a running job
_LEAVE_SECONDS = 2.0  # until a job has noticed that it is over
_LOCK, _CARRIED = "lock", "carried"

Carried = Mapping[str, Sequence[Any]]  # a file's place: references to its pieces, in order


class RayWorker:
    """A worker of one run on some machine of a cluster; made there, by Ray.

    `token` is the run's, `carried` what all its machines get.
    """

    def __init__(
        self, token: str, arguments: Sequence[str], shared: Sequence[str], threads: int,
        carried: Carried,
    ) -> None:  # fmt: skip
        import ray  # optional extra

        self._leaving = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._node: str = ray.get_runtime_context().get_node_id()
        place = _own_place()
        _remove_left_behind(place)
        self._root = place / f"{token}-{self._node[:12]}"
        self._lock = _held(self._root)
        with _alone(self._root):
            _unpack(self._root, carried, ray.get)
        self._folder = self._root / str(os.getpid())
        self._folder.mkdir()
        for name in shared:
            (self._root / name).mkdir(exist_ok=True)
            (self._folder / name).symlink_to(self._root / name)
        for path in (self._root / _CARRIED).iterdir():
            (self._folder / path.name).symlink_to(path)
        self._links = {path.name for path in self._folder.iterdir()}
        safe_path = ["-P"] if sys.version_info >= (3, 11) else []
        command = [str(self._folder) if each == FOLDER else each for each in arguments]
        self._pool = LocalPool([sys.executable, *safe_path, *command], 1, threads=threads)

    def hello(self) -> dict[str, Any]:
        """Returns which metaloop this is, on which machine, and the CPU time so far."""
        about = {"version": metaloop.__version__, "sources": sources_digest()}
        here = {"host": platform.node(), "node": self._node}
        return {**about, **here, "cpu_total": self._cpu_total()}

    def perform(self, fields: Mapping[str, Any], needs: Mapping[str, Any]) -> Iterator[Any]:
        """Yields what is said of a job: `progress`, `ended` with its outcome, or `broken`.

        `fields` are those of a `Job`, `needs` the references of the files that it reads.
        """
        import ray  # optional extra

        self._idle.clear()
        try:
            for name, reference in needs.items():
                if not (self._folder / name).exists():
                    _write(self._folder / name, [ray.get(reference)])
            before = self._written()
            self._pool.submit(Job(**fields))
            while not self._leaving.is_set():
                outcomes = self._pool.wait(_SAY_SECONDS)
                contents = [dict(event.content) for event in self._pool.events()]
                yield {"said": "progress", "contents": contents, "cpu_total": self._cpu_total()}
                for outcome in outcomes:
                    names = sorted(self._written() - before) if outcome.status == "done" else []
                    files = {name: (self._folder / name).read_bytes() for name in names}
                    ended = {**asdict(outcome), "files": files}
                    del ended["job"]
                    yield {"said": "ended", "cpu_total": self._cpu_total(), **ended}
                    return
        except (MetaloopError, OSError) as error:
            yield {"said": "broken", "message": str(error), "cpu_total": self._cpu_total()}
        finally:
            self._idle.set()

    def leave(self) -> float:
        """Ends the worker process whatever it does, removes its folder; returns all CPU time."""
        self._leaving.set()
        self._idle.wait(_LEAVE_SECONDS)
        self._pool.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._lock.close()
        _remove_left_behind(self._root.parent)
        return self._cpu_total()

    def _written(self) -> set[str]:
        names = {path.name for path in self._folder.iterdir() if not path.name.startswith(".")}
        return names - self._links

    def _cpu_total(self) -> float:
        return self._pool.cpu_seconds + time.process_time()


def sources_digest() -> str:
    """Returns what tells this metaloop from another of the same version: a hash of its sources."""
    source = Path(metaloop.__file__).resolve().parent
    found = hashlib.sha256()
    for path in sorted(source.rglob("*.py")):
        found.update(str(path.relative_to(source)).encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]


def _own_place() -> Path:
    """Returns the folder for runs of this user on this machine, which nobody else can read."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    place = Path(tempfile.gettempdir()) / f"metaloop-ray-{user}"
    place.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and place.stat().st_uid != user:
        raise MetaloopError(f"'{place}' belongs to somebody else; remove it or set TMPDIR")
    return place


def _held(root: Path) -> BinaryIO:
    """Returns the open lock of a folder, held together with the other workers of its machine."""
    while True:
        root.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):  # removed in this moment by one who leaves
            file = open(root / _LOCK, "wb")  # noqa: SIM115  (held as long as the worker lives)
            if fcntl is None:
                return file
            fcntl.flock(file, fcntl.LOCK_SH)
            if (root / _LOCK).exists():
                return file
            file.close()


def _remove_left_behind(place: Path) -> None:
    """Removes the folders whose lock nobody holds."""
    if fcntl is None:
        return
    for root in place.iterdir():
        with suppress(OSError), open(root / _LOCK, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(root, ignore_errors=True)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Lets one worker of the machine at a time do this."""
    with open(root / "unpacking", "wb") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _unpack(root: Path, carried: Carried, get: Any) -> None:
    """Writes what came with the run, unless another worker of the machine has done so."""
    if (root / _CARRIED).is_dir():
        return
    partial = Path(tempfile.mkdtemp(prefix=".carried-", dir=root))
    for place, pieces in carried.items():
        path = partial / place
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, (get(piece) for piece in pieces))
    partial.rename(root / _CARRIED)


def _write(path: Path, pieces: Any) -> None:
    """Writes a file piece by piece; it appears whole or not at all."""
    temporary = path.with_name(f".{path.name}.part")
    with open(temporary, "wb") as file:
        for piece in pieces:
            file.write(memoryview(piece))
    os.replace(temporary, path)
