"""Which files are examples: images or arrays by their ending, else by how their content begins."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from metaloop.tasks.readers.array_files import ARRAY_SUFFIX
from metaloop.tasks.readers.images import IMAGE_SUFFIXES, Picture, image_kind
from metaloop.tasks.store import LeftOut

HEAD_BYTES = 32
_SYSTEM_FILES = frozenset(
    {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "picasa.ini", "icon\r", "lost+found"}
    | {"@eadir", "@tmp", "#recycle", "#snapshot", "$recycle.bin", "system volume information"}
    | {"__pycache__"}
)
_LEFTOVERS = ("~", ".bak", ".orig", "_original", ".tmp", ".part", ".crdownload", ".download")


@dataclass(frozen=True)
class FileKind:
    """A kind of files that hold one example each: what one is called, and which files are such.

    `matches(name, head)`: `head()` gives the first 32 bytes, and costs opening the file.
    """

    noun: str
    an: str
    matches: Callable[[str, Callable[[], bytes]], bool]


@dataclass(frozen=True)
class ImageFiles:
    """Images by their paths relative to a root, `/` between names; `load(path)` opens one.

    `ignored`: paths of the system's own files and folders; `empty`: folders without any image.
    `noun` is what one of the files is called, where they are files of another kind.
    """

    paths: Sequence[str]
    load: Callable[[str], Picture]
    left_out: tuple[LeftOut, ...] = ()
    ignored: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    noun: str = "image"


def is_hidden(name: str) -> bool:
    """Returns whether a file or folder is the operating system's business, not data."""
    return name.startswith(".") or name.lower() in _SYSTEM_FILES


def is_image(name: str, head: Callable[[], bytes]) -> bool:
    """Returns whether a file is an image or array; `head()` gives its first 32 bytes.

    Those are asked for only where the name tells nothing: it has no ending, or an unknown one.
    """
    ending = os.path.splitext(name)[1].lower()
    if ending in IMAGE_SUFFIXES or ending == ARRAY_SUFFIX:
        return True
    if name.lower().endswith(_LEFTOVERS):
        return False
    kind = image_kind(head())
    return bool(kind) and (kind != "TIFF" or ending in ("", ".") or "tif" in ending)


IMAGES = FileKind("image", "an image", is_image)
