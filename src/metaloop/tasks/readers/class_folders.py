"""From the paths of images to classes: one folder per class, nesting makes groups.

`alphabet/character/1.png` belongs to class `alphabet/character` of group `alphabet`. What else
folders may be (parts, sessions, thumbnails) is the rule of `layout.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from metaloop.core.errors import DataError
from metaloop.tasks.duplicates import copies_at_other_sizes
from metaloop.tasks.readers import layout
from metaloop.tasks.readers.array_files import ARRAY_SUFFIX, read_array_files
from metaloop.tasks.readers.finish import explain, finish, tally, unreadable
from metaloop.tasks.readers.image_files import ImageFiles
from metaloop.tasks.readers.image_sets import decode_all
from metaloop.tasks.readers.images import Picture, check_heif, num_pixels
from metaloop.tasks.readers.labels import LabelTable
from metaloop.tasks.readers.names import tidy
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.readers.pages import with_pages
from metaloop.tasks.readers.parts import published_parts
from metaloop.tasks.store import ClassInfo, LeftOut, PublishedPart, Reading


@dataclass(frozen=True)
class ClassFolders:
    """Which images `paths [N]` belong to which classes: `targets [N]` index `classes`.

    `load(path)` opens one: a file, a page of it, or an array. `parts [N]`: the published ones.
    """

    paths: list[str]
    targets: np.ndarray
    classes: list[ClassInfo]
    left_out: list[LeftOut]
    notes: list[str]
    load: Callable[[str], Picture]
    parts: np.ndarray | None = None


def read_class_folders(
    where: str, name: str, kind: str, files: ImageFiles, options: ReadOptions
) -> Reading:
    """Returns the reading of image files that lie in one folder per class.

    Raises `DataError` if there are none, or if none of them can be read.
    """
    found = arrange(where, files, options.classes_at)
    if found.paths[0].lower().endswith(ARRAY_SUFFIX):
        labels = LabelTable(found.targets, found.classes, found.left_out, found.parts)
        return read_array_files(where, name, found.paths, found.load, labels, options, found.notes)
    decoded = decode_all(len(found.paths), lambda i: found.load(found.paths[i]), options, where)
    readable = decoded.readable
    check_heif(where, found.paths, readable, found.load)
    left_out = found.left_out + unreadable(where, found.paths, readable)
    parts = None if found.parts is None else found.parts[readable]

    def size_of(index: int) -> int:
        return num_pixels(found.load(found.paths[readable[index]]))

    targets = found.targets[readable]
    small = copies_at_other_sizes(torch.from_numpy(decoded.images), targets, size_of)
    if len(small):
        names = [tidy(found.paths[i]) for i in readable[small]]
        left_out.append(tally(names, "the same picture is there in a larger size"))
        decoded = decoded.without(small)
        parts = None if parts is None else np.delete(parts, small)
    return finish(
        where,
        kind,
        decoded.images,
        found.targets[decoded.readable],
        found.classes,
        left_out,
        name=name,
        polarity=decoded.polarity,
        strict=options.strict,
        notes=found.notes,
        example_parts=parts,
        detail=decoded.detail,
    )


def arrange(where: str, files: ImageFiles, classes_at: int | None = None) -> ClassFolders:
    """Returns the classes of image paths, by the rule of `layout`.

    Raises `DataError` if there is no class folder.
    """
    paths = sorted(path for path in files.paths if "/" in path)
    loose = sorted(path for path in files.paths if "/" not in path)
    noun = files.noun
    if not paths:
        also = f"; left out: {explain(files.left_out)}" if files.left_out else ""
        if loose:
            raise DataError(
                f"{where}: {len(loose)} {noun}s lie directly in it and none in class folders; "
                f"expected one folder of {noun}s per class: put each class in a folder{also}"
            )
        raise DataError(
            f"{where}: no {noun}s found; expected one folder of {noun}s per class{also}"
        )
    left_out = list(files.left_out)
    if loose:
        left_out.append(
            tally([tidy(path) for path in loose], f"{noun} outside of any class folder")
        )
    if files.empty:
        left_out.append(tally(files.empty, f"folder without {noun}s"))
    paths, arrays = _one_kind(paths)
    if arrays:
        left_out.append(tally([tidy(path) for path in arrays], "array beside images"))
    inside: dict[layout.Folder, list[str]] = defaultdict(list)
    folder_of = {path: tuple(tidy(name) for name in path.split("/")[:-1]) for path in paths}
    for path in paths:
        inside[folder_of[path]].append(path)
    found = layout.lay_out(where, {f: len(names) for f, names in inside.items()}, classes_at)
    tidied = {folder: [tidy(path) for path in names] for folder, names in inside.items()}
    left_out += layout.left_out(found.strays, tidied)
    used = ImageFiles([p for p in paths if folder_of[p] in found.classes], files.load)
    pages = with_pages(used)
    notes = [*found.notes, *pages.notes, *_ignored(files)]
    names = [found.classes[folder_of[pages.file_of.get(p, p)]] for p in pages.paths]
    parts = [found.parts.get(folder_of[pages.file_of.get(p, p)]) for p in pages.paths]
    return _classes(list(pages.paths), names, parts, left_out, notes, pages.load)


def _classes(
    paths: list[str],
    names: Sequence[str],
    parts: Sequence[PublishedPart | None],
    left_out: list[LeftOut],
    notes: list[str],
    load: Callable[[str], Picture],
) -> ClassFolders:
    """The classes of the names, in their order, with units and parts."""
    unique = sorted(set(names))
    index = {name: i for i, name in enumerate(unique)}
    targets = np.array([index[name] for name in names], np.int64)
    units = layout.shared_units(unique)
    shared = len({unit for unit in units if unit})
    if shared:
        notes = [*notes, f"{shared} names stand in several groups; they are kept in one part each"]
    of_class: Sequence[PublishedPart | None] = [None] * len(unique)
    of_examples = None
    known = [part for part in parts if part is not None]
    if len(known) == len(parts):
        of_class, notices = published_parts(targets, known, len(unique), units)
        left_out, of_examples = left_out + notices, np.array(known)
    elif known:
        notes = [*notes, "some classes have parts and others none; the parts were merged"]
    classes = [
        ClassInfo(name, name.rpartition("/")[0], unit, part)
        for name, unit, part in zip(unique, units, of_class, strict=True)
    ]
    return ClassFolders(paths, targets, classes, left_out, notes, load, of_examples)


def _one_kind(paths: list[str]) -> tuple[list[str], list[str]]:
    """The paths that are examples, and arrays that only lie beside images."""
    arrays = [path for path in paths if path.lower().endswith(ARRAY_SUFFIX)]
    if not arrays or len(arrays) == len(paths):
        return paths, []
    beside = set(arrays)
    return [path for path in paths if path not in beside], arrays


def _ignored(files: ImageFiles) -> list[str]:
    """What to say of the system's own files and folders."""
    if not files.ignored:
        return []
    names = sorted({name.rpartition("/")[2] for name in files.ignored})
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return [
        f"{len(files.ignored)} files and folders of the system are ignored: "
        f"{', '.join(names[:4])}{more}"
    ]
