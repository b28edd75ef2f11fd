"""A zip with one folder of images per class, read in place and never extracted to disk."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath

from metaloop.core.damaged_zip import DAMAGED_ZIP
from metaloop.core.errors import DataError
from metaloop.tasks.readers.class_folders import read_class_folders
from metaloop.tasks.readers.finish import tally
from metaloop.tasks.readers.image_files import (
    HEAD_BYTES,
    IMAGES,
    FileKind,
    ImageFiles,
    is_hidden,
)
from metaloop.tasks.readers.image_folder import without_images
from metaloop.tasks.readers.names import tidy
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.store import Reading

MAX_TOTAL_BYTES = 8 << 30
MAX_MEMBER_BYTES = 256 << 20
MAX_RATIO = 200  # of members above _RATIO_FROM; no real image compresses so well
_RATIO_FROM = 1 << 20
_ARCHIVES = frozenset((".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"))


def read_zip_archive(path: Path, options: ReadOptions) -> Reading:
    """Returns the reading of a zip of class folders."""
    where, kind = f"zip {str(path)!r}", "zip of images, one folder per class"
    with opened_zip(path) as files:
        return read_class_folders(where, path.stem, kind, files, options)


@contextmanager
def opened_zip(path: Path, kind: FileKind = IMAGES) -> Iterator[ImageFiles]:
    """Gives the files of a kind in a zip; `DataError` if it is damaged or not to be trusted."""
    where = f"zip {str(path)!r}"
    try:
        with zipfile.ZipFile(path) as archive:
            members = {_checked_name(member, where): member for member in archive.infolist()}
            _check_total(members.values(), where)
            yield _image_files(archive, members, kind)
    except DAMAGED_ZIP as error:
        raise DataError(
            f"{where} is damaged or not a zip ({str(error) or 'it ends too early'}); "
            "copy or download it again"
        ) from error
    except NotImplementedError as error:
        raise DataError(f"{where} cannot be read: {error}; pack it again as plain zip") from error


def check_sizes(path: Path) -> None:
    """Raises `DataError` if a zip (or npz) would unpack to more than can be meant."""
    with zipfile.ZipFile(path) as archive:
        _check_total(archive.infolist(), repr(str(path)))


def _image_files(
    archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], kind: FileKind
) -> ImageFiles:
    """The images among the members, hidden files dropped, other files counted."""
    folders = [name for name in members if members[name].filename.endswith(("/", "\\"))]
    files = [name for name in members if not members[name].filename.endswith(("/", "\\"))]
    shown = [name for name in files if not _hidden(name)]
    images = [name for name in shown if kind.matches(name, partial(_head, archive, members[name]))]
    others = sorted(set(shown) - set(images))
    nested = [tidy(name) for name in others if PurePosixPath(name).suffix.lower() in _ARCHIVES]
    plain = [tidy(n) for n in others if PurePosixPath(n).suffix.lower() not in _ARCHIVES]
    left_out = [tally(plain, f"not {kind.an}")] if plain else []
    if nested:
        left_out.append(tally(nested, "archive inside of the zip"))
    above = {name[:at] for name in shown for at, char in enumerate(name) if char == "/"}
    seen = {tidy(name) for name in (*above, *folders) if name and not _hidden(name)}
    return ImageFiles(
        images,
        lambda name: archive.read(members[name]),
        tuple(left_out),
        tuple(sorted({tidy(hidden) for name in members if (hidden := _hidden(name))})),
        tuple(without_images(sorted(seen), [tidy(name) for name in images])),
        kind.noun,
    )


def _hidden(name: str) -> str:
    """The path as far as the first name in it that is the system's; "" if there is none."""
    names = name.split("/")
    hidden = next((i for i, part in enumerate(names) if is_hidden(part)), None)
    return "" if hidden is None else "/".join(names[: hidden + 1])


def _head(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """The first bytes of a member; none if it is damaged."""
    try:
        with archive.open(member) as file:
            return file.read(HEAD_BYTES)
    except (*DAMAGED_ZIP, OSError):
        return b""


def _checked_name(member: zipfile.ZipInfo, where: str) -> str:
    """The member's path with forward slashes; raises if the member is unsafe."""
    name = member.filename.replace("\\", "/")
    shown = tidy(name)[:200]
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in name.split("/"):
        raise DataError(
            f"{where} holds a file that points outside of it ({shown!r}); "
            "do not trust this file, or pack it again with relative paths"
        )
    if member.flag_bits & 0x1:
        raise DataError(f"{where} is encrypted ({shown!r}); pack it again without a password")
    if member.file_size > MAX_MEMBER_BYTES:
        raise DataError(
            f"{where} holds a file of {member.file_size / 2**20:,.0f} MB ({shown!r}); "
            f"at most {MAX_MEMBER_BYTES >> 20} MB each are read"
        )
    ratio = member.file_size / max(1, member.compress_size)
    if member.file_size > _RATIO_FROM and ratio > MAX_RATIO:
        raise DataError(
            f"{where} holds a file that unpacks to {ratio:,.0f} times its size ({shown!r}); "
            f"more than {MAX_RATIO} times is taken for a zip bomb and refused"
        )
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _check_total(members: Iterable[zipfile.ZipInfo], where: str) -> None:
    """Raises if all members together are absurdly large."""
    total = sum(member.file_size for member in members)
    if total > MAX_TOTAL_BYTES:
        raise DataError(
            f"{where} unpacks to {total / 2**30:,.1f} GB; at most {MAX_TOTAL_BYTES >> 30} GB are "
            "read: make images smaller or use fewer"
        )
