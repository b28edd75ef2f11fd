"""From the paths of images to classes: one folder per class, nesting makes groups.

`alphabet/character/1.png` belongs to class `alphabet/character` of group `alphabet`. Top folders
`train`, `val` and `test` without a common class are a published split.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from metaloop.core.errors import DataError
from metaloop.tasks.readers.finish import explain, finish, tally
from metaloop.tasks.readers.images import Picture, decode_all
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.readers.parts import PART_NAMES, published_parts
from metaloop.tasks.store import ClassInfo, LeftOut, PublishedPart, Reading


@dataclass(frozen=True)
class ImageFiles:
    """Images by their paths relative to a root, `/` between names; `load(path)` opens one."""

    paths: Sequence[str]
    load: Callable[[str], Picture]
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class ClassFolders:
    """Which images `paths [N]` belong to which classes: `targets [N]` index `classes`."""

    paths: list[str]
    targets: np.ndarray
    classes: list[ClassInfo]
    left_out: list[LeftOut]


def read_class_folders(
    where: str, name: str, kind: str, files: ImageFiles, options: ReadOptions
) -> Reading:
    """Returns the reading of image files that lie in one folder per class.

    Raises `DataError` if there are none, or if none of them can be read.
    """
    found = arrange(where, files)
    images, readable, polarity = decode_all(
        len(found.paths), lambda i: files.load(found.paths[i]), options
    )
    left_out = found.left_out + unreadable(where, found.paths, readable)
    return finish(
        where,
        kind,
        images,
        found.targets[readable],
        found.classes,
        left_out,
        name=name,
        polarity=polarity,
        strict=options.strict,
    )


def unreadable(where: str, names: Sequence[str], readable: np.ndarray) -> list[LeftOut]:
    """Returns what to say of images that are not among the `readable`; raises if none is."""
    if len(readable) == 0:
        raise DataError(
            f"{where}: none of its {len(names)} images can be read (first: {names[0]!r}); "
            "they are damaged, too large or no images at all"
        )
    broken = np.setdiff1d(np.arange(len(names)), readable)
    return [tally([names[i] for i in broken], "unreadable image")] if len(broken) else []


def arrange(where: str, files: ImageFiles) -> ClassFolders:
    """Returns the classes of image paths; raises `DataError` if there is no class folder."""
    paths = sorted(path for path in files.paths if "/" in path)
    loose = sorted(path for path in files.paths if "/" not in path)
    if not paths:
        also = f"; left out: {explain(files.left_out)}" if files.left_out else ""
        if loose:
            raise DataError(
                f"{where}: {len(loose)} images lie directly in it and none in class folders; "
                f"expected one folder of images per class: put each class in a folder{also}"
            )
        raise DataError(f"{where}: no images found; expected one folder of images per class{also}")
    left_out = list(files.left_out)
    if loose:
        left_out.append(tally([tidy(path) for path in loose], "image outside of any class folder"))
    part_of, stray = _parts_of(paths)
    if stray:
        reason = "not in a class folder of train, val or test"
        left_out.append(tally([tidy(path) for path in stray], reason))
        paths = [path for path in paths if path in part_of]
    names = [_class_name(path, bool(part_of)) for path in paths]
    unique = sorted(set(names))
    index = {name: i for i, name in enumerate(unique)}
    targets = np.array([index[name] for name in names], np.int64)
    parts: Sequence[PublishedPart | None] = [None] * len(unique)
    if part_of:
        parts, notices = published_parts(targets, [part_of[path] for path in paths], len(unique))
        left_out += notices
    classes = [
        ClassInfo(name, group=name.rpartition("/")[0], part=part)
        for name, part in zip(unique, parts, strict=True)
    ]
    return ClassFolders(paths, targets, classes, left_out)


def tidy(name: str) -> str:
    """Returns a file name as one line of valid, composed Unicode, however the disk stores it."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    composed = unicodedata.normalize("NFC", text)
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in composed)


def _parts_of(paths: Sequence[str]) -> tuple[dict[str, PublishedPart], list[str]]:
    """The part of every path if the top folders are parts, and the paths that lie beside them."""
    part_of: dict[str, PublishedPart] = {}
    for path in paths:
        top, _, rest = path.partition("/")
        part = PART_NAMES.get(top.lower())
        if part is not None and "/" in rest:
            part_of[path] = part
    if "train" not in part_of.values() or len(set(part_of.values())) < 2:
        return {}, []
    return part_of, [path for path in paths if path not in part_of]


def _class_name(path: str, below_part: bool) -> str:
    """The folder of an image, without the name of the part above it."""
    folder = path.rpartition("/")[0]
    return tidy(folder.partition("/")[2] if below_part else folder)
