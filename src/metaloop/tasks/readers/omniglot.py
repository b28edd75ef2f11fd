"""Omniglot in its original layout: two zips or folders, with the split lists of Vinyals if present.

Lists at `splits/vinyals/{train,val,test}.txt` have lines `ALPHABET/characterNN/rotRRR`; each line
is a class, its images turned anticlockwise by RRR degrees. All turns of one character share a unit.
Lake, Salakhutdinov, Tenenbaum 2015; lists of Vinyals et al. 2016 from Snell et al. 2017.
"""

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from metaloop.core.columns import Column, tensors_of
from metaloop.core.errors import DataError
from metaloop.tasks.readers.class_folders import read_class_folders
from metaloop.tasks.readers.finish import finish, tally
from metaloop.tasks.readers.image_files import ImageFiles
from metaloop.tasks.readers.image_folder import find_images
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.readers.zip_archive import opened_zip
from metaloop.tasks.store import ClassInfo, LeftOut, PublishedPart, Reading, Store

HALVES = ("images_background", "images_evaluation")
_LISTS = Path("splits", "vinyals")
_DEPTH = 2  # ALPHABET/characterNN
_PARTS: tuple[PublishedPart, ...] = ("train", "val", "test")


def is_omniglot(folder: Path) -> bool:
    """Returns whether both halves of Omniglot lie in the folder, packed or unpacked."""
    return all((folder / f"{half}.zip").is_file() or (folder / half).is_dir() for half in HALVES)


def read_omniglot(folder: Path, options: ReadOptions) -> Reading:
    """Returns Omniglot: with lists, its 6,492 rotated classes with published parts, or letters.

    Images are 28 x 28 with ink high, unless `options` say otherwise.
    """
    where, name = f"Omniglot in {str(folder)!r}", folder.resolve().name
    options.refuse_depth(where)
    lists = _read_lists(where, folder / _LISTS)
    strict, options = options.strict, replace(options, strict=False, classes_at=_DEPTH)
    if lists:  # encoders see the turned images
        options = replace(options, detail=0)
    with ExitStack() as stack:
        files = _join([_open_half(folder / half, stack) for half in HALVES])
        characters = read_class_folders(where, name, "Omniglot, original layout", files, options)
    store, left_out = characters.store, list(characters.left_out)
    if not lists:
        return finish(
            where,
            characters.kind,
            _pixels(store.inputs),
            store.targets.numpy(),
            store.classes,
            left_out,
            name=name,
            polarity=store.polarity,
            strict=strict,
            detail=None if store.detail is None else _pixels(store.detail),
        )
    inputs, targets, classes, unlisted = _turned(where, store, lists)
    return finish(
        where,
        "Omniglot, original layout with the lists of Vinyals",
        inputs,
        targets,
        classes,
        left_out + unlisted,
        name=name,
        polarity=store.polarity,
        strict=strict,
    )


def _pixels(column: Column) -> np.ndarray:
    (images,) = tensors_of(column)
    return images.numpy()


def _open_half(half: Path, stack: ExitStack) -> ImageFiles:
    """The images of one half, from its zip or its folder, with paths from the alphabet on."""
    packed = half.with_suffix(".zip")
    files = stack.enter_context(opened_zip(packed)) if packed.is_file() else find_images(half)
    prefix = f"{half.name}/"  # a zip may keep it as its top folder
    if all(path.startswith(prefix) for path in files.paths):
        bare = [path[len(prefix) :] for path in files.paths]
        return replace(files, paths=bare, load=lambda path: files.load(prefix + path))
    return files


def _join(halves: list[ImageFiles]) -> ImageFiles:
    """Both halves as one set of files; no alphabet occurs in both."""
    half_of = {path: half for half in halves for path in half.paths}
    return ImageFiles(
        list(half_of),
        lambda path: half_of[path].load(path),
        tuple(item for half in halves for item in half.left_out),
    )


def _read_lists(where: str, folder: Path) -> dict[tuple[str, int], PublishedPart]:
    """The part of every listed (character, rotation); empty if there are no lists."""
    if not any((folder / f"{part}.txt").exists() for part in _PARTS):
        return {}
    listed: dict[tuple[str, int], PublishedPart] = {}
    for part in _PARTS:
        path = folder / f"{part}.txt"
        if part == "val" and not path.exists():
            continue
        if not path.exists():
            raise DataError(f"{where}: {str(_LISTS)!r} has no {part}.txt; add it, or remove all")
        for line in path.read_text(encoding="utf-8").split():
            match = re.fullmatch(r"(.+)/rot(000|090|180|270)", line)
            if match is None:
                raise DataError(
                    f"{where}: {part}.txt has the line {line!r}; expected ALPHABET/characterNN/"
                    "rotRRR with RRR among 000, 090, 180, 270"
                )
            key = (match[1], int(match[2]))
            if listed.setdefault(key, part) != part:
                raise DataError(f"{where}: {line!r} is listed in {listed[key]} and in {part}")
    return listed


def _turned(
    where: str, store: Store, lists: dict[tuple[str, int], PublishedPart]
) -> tuple[np.ndarray, np.ndarray, list[ClassInfo], list[LeftOut]]:
    """Inputs, targets and classes of all listed (character, rotation) pairs, and what is not."""
    index_of = {info.name: i for i, info in enumerate(store.classes)}
    missing = sorted({character for character, _ in lists} - set(index_of))
    if missing:
        raise DataError(
            f"{where}: the lists name {len(missing)} characters of which there are no two images, "
            f"first {missing[0]!r}; the lists do not belong to these images"
        )
    unlisted = sorted(set(index_of) - {character for character, _ in lists})
    left_out = [tally(unlisted, "character not in the lists")] if unlisted else []
    parts_of = defaultdict(set)
    for (character, _), part in lists.items():
        parts_of[character].add(part)
    torn = sorted(character for character, parts in parts_of.items() if len(parts) > 1)
    if torn:
        raise DataError(f"{where}: the lists put turns of {torn[0]!r} into different parts")
    images = _pixels(store.inputs)
    rows: list[np.ndarray] = []
    targets: list[np.ndarray] = []
    classes: list[ClassInfo] = []
    for (character, degrees), part in sorted(lists.items()):
        source = index_of[character]
        group = store.classes[source].group
        examples = images[store.examples_of[source]]
        rows.append(np.rot90(examples, degrees // 90, axes=(2, 3)))
        targets.append(np.full(len(examples), len(classes)))
        classes.append(ClassInfo(f"{character}/rot{degrees:03d}", group, character, part))
    return np.concatenate(rows), np.concatenate(targets), classes, left_out
