"""Where CIFAR's files are: in a folder, or in the archive that their author publishes.

`cifar-10-python.tar.gz` and its three sisters are read in one pass into memory, and nothing of them
is written to disk. They hold a folder with a few plain files: an archive with anything else, with
links or paths that lead out of it, or that unpacks to more than CIFAR has, is refused.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path, PurePosixPath

from metaloop.core.errors import DataError
from metaloop.tasks.readers.names import tidy

FOLDERS = ("cifar-10-batches-bin", "cifar-10-batches-py", "cifar-100-binary", "cifar-100-python")
MOST_BYTES = 256 << 20  # unpacked; the largest has 186 MB
_MOST_FILES = 32
_ENDINGS = (".tar.gz", ".tgz", ".tar")
_DAMAGE = (
    *(tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile),
    *(ArithmeticError, RecursionError, ValueError),  # of headers that are made up
)


@dataclass(frozen=True)
class CifarFiles:
    """Files of one layout by name; `load` gives the bytes of one, `where` is said of them all."""

    where: str
    names: frozenset[str]
    load: Callable[[str], bytes]

    def called(self, name: str) -> str:
        """Returns what one of them is called in messages."""
        return f"'{name}' of {self.where}"


def files_in_folder(folder: Path) -> Iterator[CifarFiles]:
    """Yields the files of a folder, and of those in it that are called as published."""
    for inside in (folder, *(folder / name for name in FOLDERS)):
        if inside.is_dir():
            names = frozenset(path.name for path in inside.iterdir() if path.is_file())

            def load(name: str, inside: Path = inside) -> bytes:
                return (inside / name).read_bytes()

            yield CifarFiles(f"folder {str(inside)!r}", names, load)


def is_archive(path: Path) -> bool:
    """Returns whether a file is a tar whose first entry lies in a folder called as published."""
    if not path.is_file() or not path.name.lower().endswith(_ENDINGS):
        return False
    try:
        with _opened(path) as archive:
            first = archive.next()
            parts = PurePosixPath("" if first is None else first.name).parts
    except (DataError, OSError, *_DAMAGE):
        return False  # whoever reads it as something else says what is wrong
    return bool(parts) and parts[0] in FOLDERS


def files_in_archive(path: Path) -> CifarFiles:
    """Returns the files of a published archive; `DataError` if it is damaged or not to be trusted.

    `_Limited` ends what unpacks to too much, in headers as well, before it fills the memory.
    """
    where = f"archive {str(path)!r}"
    found: dict[str, bytes] = {}
    try:
        with _opened(path) as archive:
            for member in archive:
                name = _checked_name(member, where, found)
                content = archive.extractfile(member) if name else None
                if content is not None:
                    found[name] = content.read()
    except _DAMAGE as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{where} is damaged or cut short ({reason}); get it again") from error
    return CifarFiles(where, frozenset(found), found.__getitem__)


def _checked_name(member: tarfile.TarInfo, where: str, found: dict[str, bytes]) -> str:
    """The name of a file in the archive's folder, "" of the folder; raises for anything else."""
    parts, shown = PurePosixPath(member.name).parts, tidy(member.name)[:200]
    usual = member.isdir() or (member.isreg() and not member.issparse())
    inside = parts[:1] and parts[0] in FOLDERS and ".." not in parts and len(parts) <= 2
    if not usual or not inside or len(found) >= _MOST_FILES or parts[-1] in found:
        raise DataError(
            f"{where} holds {shown!r}, which CIFAR has not, or not so (a link, a path that leads "
            "elsewhere, a file that comes twice); do not trust it, and get it again"
        )
    if member.size > MOST_BYTES:
        raise DataError(f"{where} holds {shown!r} of {member.size / 2**20:,.0f} MB; {_TOO_MUCH}")
    return "" if member.isdir() else parts[-1]


_TOO_MUCH = "that is more than CIFAR has: do not trust it, and get it again"


class _Limited:
    """What is unpacked, until it is more than CIFAR can have: then reading raises `DataError`."""

    def __init__(self, file: BufferedIOBase, where: str) -> None:
        self._file, self._where, self._left = file, where, MOST_BYTES

    def read(self, size: int) -> bytes:
        """Returns up to `size` bytes."""
        content = self._file.read(size)
        self._left -= len(content)
        if self._left < 0:
            raise DataError(
                f"{self._where} unpacks to more than {MOST_BYTES / 2**20:,.0f} MB; {_TOO_MUCH}"
            )
        return content


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    """Gives the archive as a stream, so that nothing in it is read that was not passed before."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        plain = gzip.GzipFile(fileobj=file) if packed else file
        limited = _Limited(plain, f"archive {str(path)!r}")
        with tarfile.open(fileobj=limited, mode="r|") as archive:  # type: ignore[call-overload]
            yield archive
