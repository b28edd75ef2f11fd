"""A folder with one folder of images per class."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal

from metaloop.core.errors import DataError
from metaloop.tasks.readers.class_folders import read_class_folders
from metaloop.tasks.readers.finish import tally
from metaloop.tasks.readers.image_files import (
    HEAD_BYTES,
    IMAGES,
    FileKind,
    ImageFiles,
    is_hidden,
    is_image,
)
from metaloop.tasks.readers.images import IMAGE_SUFFIXES
from metaloop.tasks.readers.names import tidy
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.store import Reading

_Kind = Literal["example", "other", "special", "closed", "ignored", "folder"]
_REASONS: dict[_Kind, str] = {
    "other": "not {an}",
    "special": "no regular file: a pipe, a device or a broken link",
    "closed": "folder cannot be opened",
}


def read_image_folder(folder: Path, options: ReadOptions) -> Reading:
    """Returns the reading of a folder of class folders; class names are relative paths."""
    where, name = f"folder {str(folder)!r}", folder.resolve().name
    kind = "folder of images, one folder per class"
    return read_class_folders(where, name, kind, find_images(folder), options)


def find_images(folder: Path, kind: FileKind = IMAGES) -> ImageFiles:
    """Returns the files of a kind below `folder`; other files and closed folders are left out.

    Only regular files are ever opened. Raises `OSError` if the folder itself cannot be listed.
    """
    found: dict[_Kind, list[str]] = {}
    for path, what in walk(folder, kind.matches):
        found.setdefault(what, []).append(path if what == "example" else tidy(path))
    images = found.get("example", [])
    left_out = [
        tally(sorted(found[what]), reason.format(an=kind.an))
        for what, reason in _REASONS.items()
        if what in found
    ]
    return ImageFiles(
        images,
        lambda path: folder / path,
        tuple(left_out),
        tuple(found.get("ignored", ())),
        tuple(without_images(found.get("folder", []), [tidy(path) for path in images])),
        kind.noun,
    )


def without_images(folders: list[str], images: list[str]) -> list[str]:
    """Returns the outermost of the folders below which there are none of the images."""
    full = {path[:at] for path in images for at, char in enumerate(path) if char == "/"}
    empty = sorted(set(folders) - full)
    return [name for name in empty if name.rpartition("/")[0] in full | {""}]


def list_images(path: str | Path) -> list[Path]:
    """Returns the image at `path`, or all images below the folder at `path`, sorted.

    Raises `DataError` if there is none.
    """
    path = Path(path)
    if path.is_dir():
        try:
            images = [path / name for name in sorted(find_images(path).paths)]
        except OSError as error:
            raise DataError(f"folder {str(path)!r} cannot be read: {error.strerror}") from error
        if not images:
            raise DataError(f"folder {str(path)!r} holds no images")
        return images
    if not path.exists():
        raise DataError(f"{str(path)!r} does not exist; expected an image or a folder of images")
    if not path.is_file():
        raise DataError(
            f"{str(path)!r} is no regular file; expected an image or a folder of images"
        )
    if not is_image(path.name, lambda: _head(path)):
        raise DataError(
            f"{str(path)!r} is not an image; expected one of {' '.join(sorted(IMAGE_SUFFIXES))}"
        )
    return [path]


def _head(path: str | Path) -> bytes:
    """The first bytes of a regular file; none if it cannot be opened."""
    try:
        with open(path, "rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""


def walk(
    folder: Path,
    matches: Callable[[str, Callable[[], bytes]], bool],
    prefix: str = "",
    above: tuple[str, ...] = (),
) -> Iterator[tuple[str, _Kind]]:
    """Gives what lies below a folder, by relative path; examples are the files that match.

    Links are followed, except to a folder that is being walked already.
    """
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        if not above:
            raise
        yield prefix.rstrip("/"), "closed"
        return
    if above:
        yield prefix.rstrip("/"), "folder"
    for entry in entries:
        path = prefix + entry.name
        if is_hidden(entry.name):
            yield path, "ignored"
        elif _is(entry.is_dir):
            yield from walk(folder / entry.name, matches, f"{path}/", (*above, real))
        elif not _is(entry.is_file):
            yield path, "special"
        else:
            yield path, "example" if matches(entry.name, partial(_head, entry.path)) else "other"


def _is(test: Callable[[], bool]) -> bool:
    """Whether the test of a directory entry holds; a link that leads in a circle is nothing."""
    try:
        return test()
    except OSError:
        return False
