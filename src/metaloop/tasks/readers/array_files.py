"""Folders of `.npy` files, one array for each example: vectors, or images of any sizes."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from metaloop.core.errors import DataError
from metaloop.tasks.readers.arrays import channels_last, read_examples
from metaloop.tasks.readers.finish import finish, unreadable
from metaloop.tasks.readers.image_sets import decode_all
from metaloop.tasks.readers.images import Picture
from metaloop.tasks.readers.labels import LabelTable
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.readers.ranges import range_of_set
from metaloop.tasks.store import Reading
from metaloop.tasks.value_range import to_bytes

ARRAY_SUFFIX = ".npy"


def read_array_files(
    where: str,
    name: str,
    paths: Sequence[str],
    load: Callable[[str], Picture],
    labels: LabelTable,
    options: ReadOptions,
    notes: Sequence[str] = (),
) -> Reading:
    """Returns the reading of one array for each of the labels; damaged ones are left out.

    Raises `DataError` if the arrays are not of one kind.
    """
    arrays = [_load_or_none(load(path)) for path in paths]
    readable = np.flatnonzero([array is not None for array in arrays])
    found = [array for array in arrays if array is not None]
    broken = unreadable(where, paths, readable)
    left_out = [*labels.left_out, *broken]
    parts = None if labels.parts is None else labels.parts[readable]
    table = LabelTable(labels.targets[readable], labels.classes, left_out, parts)
    kind = "folder of arrays, one folder per class"
    if len({array.shape for array in found}) == 1:
        return read_examples(where, name, kind, np.stack(found), table, options, notes)
    if len({array.ndim for array in found}) > 1 or found[0].ndim < 2:
        shapes = sorted({str(list(array.shape)) for array in found})
        raise DataError(
            f"{where}: arrays have shapes {', '.join(shapes[:3])}{', ...' * (len(shapes) > 3)}; "
            f"expected vectors of one length, or images [h, w] or [h, w, channels]"
        )
    images = [channels_last(where, array[None])[0] for array in found]
    extremes = np.array([[image.min(), image.max()] for image in images])
    value_range = range_of_set(extremes, images[0].dtype, options.value_range, where)
    decoded = decode_all(len(images), lambda i: to_bytes(images[i][None], value_range)[0], options)
    return finish(
        where,
        f"{kind}, images",
        decoded.images,
        table.targets[decoded.readable],
        labels.classes,
        left_out,
        name=name,
        polarity=decoded.polarity,
        strict=options.strict,
        notes=notes,
        example_parts=None if table.parts is None else table.parts[decoded.readable],
        detail=decoded.detail,
    )


def load_array(source: Path | bytes) -> np.ndarray:
    """Returns the numbers in an npy file or its bytes; raises `ValueError` or `OSError`."""
    if isinstance(source, Path) and not source.is_file():
        raise OSError("no regular file")
    opened = io.BytesIO(source) if isinstance(source, bytes) else source
    array = np.load(opened, allow_pickle=False)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf" or array.size == 0:
        raise ValueError("no array of numbers")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError("not finite")
    return array


def _load_or_none(source: Picture) -> np.ndarray | None:
    assert isinstance(source, (Path, bytes))
    try:
        return load_array(source)
    except (OSError, ValueError, EOFError, SyntaxError, TypeError):
        return None
