"""A folder with one folder of images per class."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from metaloop.core.errors import DataError
from metaloop.tasks.readers.class_folders import ImageFiles, read_class_folders, tidy
from metaloop.tasks.readers.finish import tally
from metaloop.tasks.readers.images import IMAGE_SUFFIXES
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.store import Reading

_SYSTEM_FILES = frozenset({"__macosx", "thumbs.db", "desktop.ini"})


def read_image_folder(folder: Path, options: ReadOptions) -> Reading:
    """Returns the reading of a folder of class folders; class names are relative paths."""
    where, name = f"folder {str(folder)!r}", folder.resolve().name
    kind = "folder of images, one folder per class"
    return read_class_folders(where, name, kind, find_images(folder), options)


def find_images(folder: Path) -> ImageFiles:
    """Returns the images below `folder`; other files and closed folders are left out.

    Raises `OSError` if the folder itself cannot be listed.
    """
    images, others, closed = [], [], []
    for path, problem in _walk(folder, "", ()):
        if problem:
            closed.append(tidy(path))
        elif is_image_name(path):
            images.append(path)
        else:
            others.append(tidy(path))
    left_out = [tally(sorted(others), "not an image")] if others else []
    if closed:
        left_out.append(tally(sorted(closed), "folder cannot be opened"))
    return ImageFiles(images, lambda path: folder / path, tuple(left_out))


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
    if not is_image_name(path.name):
        raise DataError(
            f"{str(path)!r} is not an image; expected one of {' '.join(sorted(IMAGE_SUFFIXES))}"
        )
    return [path]


def is_hidden(name: str) -> bool:
    """Returns whether a file or folder is the operating system's business, not data."""
    return name.startswith(".") or name.lower() in _SYSTEM_FILES


def is_image_name(path: str) -> bool:
    """Returns whether the name ends as the names of images do."""
    return os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES


def _walk(folder: Path, prefix: str, above: tuple[str, ...]) -> Iterator[tuple[str, bool]]:
    """Files below a folder, by relative path; True marks a folder that cannot be opened.

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
        yield prefix.rstrip("/"), True
        return
    for entry in entries:
        if is_hidden(entry.name):
            continue
        if entry.is_dir():
            yield from _walk(folder / entry.name, f"{prefix}{entry.name}/", (*above, real))
        else:
            yield prefix + entry.name, False
