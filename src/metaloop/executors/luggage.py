"""`Luggage`: what workers on other machines need of a run, and what comes back from them, as files.

A job finds files in a folder and leaves files there; who carries them knows nothing else of them.
Names without a slash are files that jobs have written: each is written once and read by later jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from metaloop.executors.base import Job

FOLDER = "{folder}"  # in `arguments`: the folder on the worker's machine


@dataclass(frozen=True)
class Luggage:
    """How a worker is started, what it has from the start, which files go to and fro.

    `arguments` of Python start a worker that calls `worker.serve`. `carried` are files and folders
    of `folder` that every machine gets; `shared` are folders in which workers of one machine make
    things for each other. `needs` says which written files a job reads; `read` returns the bytes of
    one, and `write` keeps what a job that is done has written.
    """

    arguments: tuple[str, ...]
    folder: Path
    carried: tuple[str, ...]
    shared: tuple[str, ...]
    needs: Callable[[Job], Sequence[str]]
    read: Callable[[str], bytes]
    write: Callable[[str, bytes], None]

    def files(self) -> dict[str, Path]:
        """Returns all files that are carried, by their place in the folder, in order."""
        found: dict[str, Path] = {}
        for name in self.carried:
            path = self.folder / name
            inside = sorted(path.rglob("*")) if path.is_dir() else [path]
            found |= {str(one.relative_to(self.folder)): one for one in inside if one.is_file()}
        return found
