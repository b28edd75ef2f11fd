"""An npz of arrays (`X`, `y`), or of encoded images one after another (`jpeg`, `offsets`)."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile

from metaloop.core.errors import DataError
from metaloop.tasks.readers.arrays import read_examples
from metaloop.tasks.readers.class_folders import tidy, unreadable
from metaloop.tasks.readers.finish import finish
from metaloop.tasks.readers.images import decode_all
from metaloop.tasks.readers.labels import LabelTable, read_labels
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.readers.zip_archive import check_sizes
from metaloop.tasks.store import Reading

# what an array may be called, case aside, in order of preference
_INPUTS = ("x", "images", "image", "data", "inputs", "features")
_PACKED = ("jpeg", "png", "encoded")
_LABELS = ("y", "labels", "label", "target", "targets")
_GROUPS = ("group", "groups")
_SPLITS = ("split", "splits", "class_split")
_CLASS_NAMES = ("class_names", "class_name", "target_names", "label_names", "classes")
# what NumPy raises on an array whose header is damaged
_DAMAGE = (ValueError, TypeError, SyntaxError, OverflowError, struct.error, tokenize.TokenError)
_EXPECTED = (
    "expected X and y (also images/labels or data/target), or jpeg, offsets and label; "
    "split, group and class_names are optional"
)


def read_npz(path: Path, options: ReadOptions) -> Reading:
    """Returns the reading of an npz; pickled objects in it are never loaded."""
    where = f"npz {str(path)!r}"
    try:
        check_sizes(path)
        with np.load(path, allow_pickle=False) as archive:
            return _read_members(where, path.stem, archive, options)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise DataError(
            f"{where} is damaged or no npz ({error}); write it again with numpy.savez"
        ) from error


def _read_members(where: str, name: str, archive: NpzFile, options: ReadOptions) -> Reading:
    """The reading of the arrays of an npz, by their names."""
    packed = _name_among(archive, _PACKED) if _name_among(archive, ("offsets",)) else None
    inputs_name = packed or _name_among(archive, _INPUTS)
    labels_name = _name_among(archive, _LABELS)
    if inputs_name is None or labels_name is None:
        missing = "examples (X)" if inputs_name is None else "labels (y)"
        found = ", ".join(tidy(key) for key in sorted(archive)) or "nothing"
        raise DataError(f"{where} has no {missing}: {_EXPECTED}; found {found}")
    labels = read_labels(
        where,
        _load(where, archive, labels_name),
        _load_any(where, archive, _SPLITS),
        _load_any(where, archive, _GROUPS),
        _load_any(where, archive, _CLASS_NAMES),
    )
    inputs = _load(where, archive, inputs_name)
    if packed is None:
        return read_examples(where, name, "npz of arrays", inputs, labels, options)
    offsets = _load_any(where, archive, ("offsets",))
    return _read_packed(where, name, inputs, offsets, labels, options)


def _read_packed(
    where: str,
    name: str,
    encoded: np.ndarray,
    offsets: np.ndarray,
    labels: LabelTable,
    options: ReadOptions,
) -> Reading:
    """The reading of encoded images: image i is `encoded[offsets[i]:offsets[i + 1]]`."""
    num_images = len(labels.targets)
    fits = encoded.dtype == np.uint8 and encoded.ndim == 1 and offsets.dtype.kind in "iu"
    if not fits or offsets.shape != (num_images + 1,):
        raise DataError(
            f"{where}: packed images are uint8 bytes [total] with int offsets "
            f"[{num_images + 1}] for {num_images} labels, got {encoded.dtype} "
            f"{list(encoded.shape)} with {offsets.dtype} {list(offsets.shape)}"
        )
    ends = offsets.astype(np.int64)
    if ends[0] < 0 or ends[-1] > len(encoded) or (np.diff(ends) < 0).any():
        raise DataError(
            f"{where}: offsets must rise from 0 to the number of bytes, {len(encoded)}; "
            f"got {ends[0]} to {ends[-1]}"
        )
    images, readable, polarity = decode_all(
        num_images, lambda i: encoded[ends[i] : ends[i + 1]].tobytes(), options
    )
    broken = unreadable(where, [f"image {i}" for i in range(num_images)], readable)
    return finish(
        where,
        "npz of encoded images",
        images,
        labels.targets[readable],
        labels.classes,
        [*labels.left_out, *broken],
        name=name,
        polarity=polarity,
        strict=options.strict,
    )


def _name_among(archive: NpzFile, names: tuple[str, ...]) -> str | None:
    """The first of these names that the npz has, as it is written there."""
    written = {key.lower(): key for key in archive}
    return next((written[name] for name in names if name in written), None)


def _load_any(where: str, archive: NpzFile, names: tuple[str, ...]) -> Any:
    """The array under the first of these names, or None."""
    name = _name_among(archive, names)
    return None if name is None else _load(where, archive, name)


def _load(where: str, archive: NpzFile, name: str) -> np.ndarray:
    """One array of the npz; raises `DataError` if it is damaged or holds Python objects."""
    try:
        array = archive[name]
    except _DAMAGE as error:
        if "pickle" not in str(error).lower():
            raise DataError(f"{where}: array {name!r} is damaged ({tidy(str(error))})") from error
        raise DataError(
            f"{where}: array {name!r} holds Python objects, which are never loaded because that "
            "can run code; save numbers or strings instead"
        ) from error
    if not isinstance(array, np.ndarray):  # a member that is no .npy comes as raw bytes
        raise DataError(f"{where}: {name!r} is not an array; write it with numpy.savez")
    return array
