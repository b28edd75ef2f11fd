"""Supports of `generate`: the images of one class, or of several, by the name of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from metaloop.cli.inputs import model_of, opened_images, pictures, read_support
from metaloop.core.errors import DataError
from metaloop.core.inputs import InputFormat
from metaloop.estimators import FewShotGenerator
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.store import LeftOut
from metaloop.tasks.value_range import ValueRange

_LEAST_SIDE = 2  # pixels: of one there is no image to learn from
_MOST_LOOKED_AT = 64


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
    """Returns the images of each class: a folder with images in it is one class.

    Raises `DataError` if there are none, if one cannot be read, or if one is a single pixel.
    """
    model = model_of(estimator)
    where = f"support '{path}'"
    if path.is_dir() and classes_at is None:
        with opened_images(where, path) as files:
            loose = sorted(name for name in files.paths if "/" not in name)
            if not files.paths:
                raise DataError(f"{where} has no images; give a folder with a few of one class")
            if loose and len(loose) == len(files.paths):
                X = pictures(where, loose, files.load, model.read_format, declared)
                notes = _sizes(where, X, model.read_format)
                return Classes({path.resolve().name: X}, files.left_out, notes)
    options = ReadOptions(classes_at=classes_at, value_range=declared)
    found = read_support(path, model, options)
    labels = np.array([str(label) for label in found.labels])
    images = {}
    for name in dict.fromkeys(labels.tolist()):
        rows = np.flatnonzero(labels == name)
        images[name] = (
            found.X[rows] if isinstance(found.X, np.ndarray) else [found.X[row] for row in rows]
        )
    notes = [*found.notes, *_sizes(where, found.X, model.read_format)]
    return Classes(images, found.left_out, notes)


def _sizes(where: str, X: Any, wanted: InputFormat) -> list[str]:
    """What is to be said of the size of files; raises `DataError` for single pixels."""
    sizes = []
    for source in X[:_MOST_LOOKED_AT] if isinstance(X, list) else ():
        if isinstance(source, Path):
            with Image.open(source) as image:
                sizes.append((source, image.size))
        elif isinstance(source, Image.Image):
            sizes.append((Path("page"), source.size))
    for source, size in sizes:
        if min(size) < _LEAST_SIDE:
            raise DataError(
                f"{where}: '{source.name}' is {size[0]} x {size[1]} pixels; an image to learn from "
                f"has {_LEAST_SIDE} or more on each side"
            )
    height, width = wanted.shape[1:]
    other = {size for _, size in sizes if size != (width, height)}
    if not other:
        return []
    first = " x ".join(map(str, sorted(other)[0]))
    return [f"images of {first} pixels become {width} x {height}, the size of the model"]
