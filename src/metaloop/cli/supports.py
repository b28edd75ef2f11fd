"""Supports of `generate`: the images of one class, or of several, by the name of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from metaloop.cli.inputs import model_of, of_support, opened_images, pictures, read_support
from metaloop.core.errors import DataError
from metaloop.core.inputs import InputFormat
from metaloop.estimators import FewShotGenerator
from metaloop.estimators.generator import too_small
from metaloop.estimators.images import sizes_of
from metaloop.tasks.readers.array_files import ARRAY_SUFFIX
from metaloop.tasks.readers.class_folders import arrange
from metaloop.tasks.readers.image_files import ImageFiles
from metaloop.tasks.readers.images import size_of
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.store import LeftOut
from metaloop.tasks.value_range import ValueRange


@dataclass(frozen=True)
class Classes:
    """What an estimator can be fitted to, for each class by its name."""

    images: dict[str, Any]
    left_out: Sequence[LeftOut] = ()
    notes: list[str] = field(default_factory=list)


def images_by_class(
    path: Path,
    estimator: FewShotGenerator,
    classes_at: int | None = None,
    declared: ValueRange | None = None,
) -> Classes:
    """Returns the images of each class: a folder or zip with nothing but images is one class.

    Raises `DataError` if there are none, if one cannot be read, or if one is a single pixel.
    """
    known, where = model_of(estimator).read_format, f"support '{path}'"
    options = ReadOptions(classes_at=classes_at, value_range=declared)
    if path.is_dir() or path.suffix.lower() == ".zip":
        with opened_images(where, path) as files:
            if not files.paths:
                raise DataError(f"{where} has no images; give a folder with a few of one class")
            found = _of_files(where, path, files, known, options)
            if found is not None:
                return found
    support = read_support(path, model_of(estimator), options)
    named = ((f"image {row + 1}", size) for row, size in enumerate(sizes_of(support.X)))
    notes = [*support.notes, *_sizes(where, named, known)]
    return Classes(_by_name(support.X, support.labels), support.left_out, notes)


def _of_files(
    where: str, path: Path, files: ImageFiles, known: InputFormat, options: ReadOptions
) -> Classes | None:
    """The classes of image files; None where they are arrays in class folders."""
    left_out, notes = list(files.left_out), list[str]()
    names, load = sorted(files.paths), files.load
    if options.classes_at is None and not any("/" in name for name in names):
        labels = [path.resolve().name if path.is_dir() else path.stem] * len(names)
    else:
        found = arrange(where, files, options.classes_at)
        if found.paths[0].lower().endswith(ARRAY_SUFFIX):
            return None
        names, load = found.paths, found.load
        labels = [found.classes[target].name for target in found.targets.tolist()]
        left_out, notes = of_support(found)
    X = pictures(where, names, load, known, options.value_range)
    sizes = ((f"'{name.rpartition('/')[2]}'", size_of(load(name))) for name in names)
    return Classes(_by_name(X, labels), left_out, [*notes, *_sizes(where, sizes, known)])


def _by_name(X: Any, labels: Sequence[Any]) -> dict[str, Any]:
    """The images of each class, in the order in which the classes come."""
    names = np.array([str(label) for label in labels])
    images = {}
    for name in dict.fromkeys(names.tolist()):
        rows = np.flatnonzero(names == name)
        images[name] = X[rows] if isinstance(X, np.ndarray) else [X[row] for row in rows]
    return images


def _sizes(
    where: str, named: Iterable[tuple[str, tuple[int, int]]], wanted: InputFormat
) -> list[str]:
    """What is to be said of the sizes of images; raises `DataError` for single pixels."""
    height, width = wanted.shape[1:]
    other = set()
    for name, size in named:
        if why := too_small(size):
            raise DataError(f"{where}: {name} {why}")
        other |= {size} - {(width, height)}
    if not other:
        return []
    first = " x ".join(map(str, min(other)))
    return [f"images of {first} pixels become {width} x {height}, the size of the model"]
