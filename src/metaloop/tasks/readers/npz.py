"""An npz of arrays (`X`, `y`; `x_train`, ...) or of encoded images in a row (`jpeg`, `offsets`)."""

from __future__ import annotations

import struct
import tokenize
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile

from metaloop.core.damaged_zip import DAMAGED_ZIP
from metaloop.core.errors import DataError
from metaloop.core.large import MOST_IN_MEMORY, pieces, room
from metaloop.tasks.readers.arrays import read_examples
from metaloop.tasks.readers.finish import finish, unreadable
from metaloop.tasks.readers.image_sets import decode_all
from metaloop.tasks.readers.labels import LabelTable, as_labels, read_labels
from metaloop.tasks.readers.names import tidy
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.readers.parts import PART_NAMES
from metaloop.tasks.readers.recording_arrays import (
    Waveforms,
    is_of_waveforms,
    read_waveforms,
    waveforms_in,
)
from metaloop.tasks.readers.zip_archive import check_sizes
from metaloop.tasks.store import PublishedPart, Reading

# what an array may be called, case aside, in order of preference
_INPUTS = ("x", "images", "image", "data", "inputs", "features")
_PACKED = ("jpeg", "png", "encoded")
_LABELS = ("y", "labels", "label", "target", "targets")
_GROUPS = ("group", "groups")
_SPLITS = ("split", "splits", "class_split")
_CLASS_NAMES = ("class_names", "class_name", "target_names", "label_names", "classes")
# what NumPy raises on an array whose header is damaged
_DAMAGE = (ValueError, TypeError, SyntaxError, OverflowError, struct.error, tokenize.TokenError)
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_EXPECTED = (
    "expected X and y (also images/labels or data/target), or these of parts (x_train, y_train, "
    "x_test, ...), or jpeg, offsets and label; split, group and class_names are optional"
)


@dataclass(frozen=True)
class ArrayFile:
    """The arrays of an npz by what they mean; those of parts (`x_train`, `x_test`) are joined."""

    inputs: np.ndarray
    labels: np.ndarray | None = None
    split: np.ndarray | None = None
    group: np.ndarray | None = None
    class_names: np.ndarray | None = None
    offsets: np.ndarray | None = None  # of encoded images one after another


def read_npz(path: Path, options: ReadOptions) -> Reading:
    """Returns the reading of an npz; pickled objects in it are never loaded."""
    where = f"npz {str(path)!r}"
    options.refuse_depth(where)
    with _opened(where, path) as archive:
        if is_of_waveforms(list(archive)):
            return read_waveforms(where, path.stem, _by_name(where, archive), options)
    options.refuse_recordings(where)
    found = load_npz(path)
    assert found.labels is not None
    labels = read_labels(where, found.labels, found.split, found.group, found.class_names)
    if found.offsets is None:
        return read_examples(where, path.stem, "npz of arrays", found.inputs, labels, options)
    return _read_packed(where, path.stem, found.inputs, found.offsets, labels, options)


def load_npz(path: Path, labelled: bool = True) -> ArrayFile:
    """Returns the arrays of an npz; raises `DataError` if there are no examples or no labels.

    Labels may be missing where they are not asked for.
    """
    where = f"npz {str(path)!r}"
    with _opened(where, path) as archive:
        return _members(where, archive, labelled)


def load_waveforms(path: Path, labelled: bool = True) -> Waveforms:
    """Returns the recordings of an npz; raises `DataError` as `load_npz`, and without a rate."""
    where = f"npz {str(path)!r}"
    with _opened(where, path) as archive:
        return waveforms_in(where, _by_name(where, archive), labelled)


@contextmanager
def _opened(where: str, path: Path) -> Iterator[NpzFile]:
    """Gives the open npz; raises `DataError` if it is none, or damaged."""
    if not path.is_file():
        kind = "is no regular file" if path.exists() else "does not exist"
        raise DataError(f"{where} {kind}; expected a file that numpy.savez wrote")
    try:
        check_sizes(path)
        with np.load(path, allow_pickle=False) as archive:
            yield archive
    except (*DAMAGED_ZIP, NotImplementedError) as error:
        raise DataError(
            f"{where} is damaged or no npz ({error}); write it again with numpy.savez"
        ) from error


def _members(where: str, archive: NpzFile, labelled: bool) -> ArrayFile:
    """The arrays of an npz, by their names."""
    packed = _name_among(archive, _PACKED) if _name_among(archive, ("offsets",)) else None
    inputs = packed or _name_among(archive, _INPUTS)
    labels = _name_among(archive, _LABELS)
    if inputs is None or (labels is None and labelled):
        joined = _of_parts(where, archive, labelled)
        if joined is not None:
            return joined
        missing = "examples (X)" if inputs is None else "labels (y)"
        found = ", ".join(tidy(key) for key in sorted(archive)) or "nothing"
        raise DataError(f"{where} has no {missing}: {_EXPECTED}; found {found}")
    return ArrayFile(
        _load(where, archive, inputs),
        None if labels is None else _load(where, archive, labels),
        _load_any(where, archive, _SPLITS),
        _load_any(where, archive, _GROUPS),
        _load_any(where, archive, _CLASS_NAMES),
        None if packed is None else _load_any(where, archive, ("offsets",)),
    )


def _of_parts(where: str, archive: NpzFile, labelled: bool) -> ArrayFile | None:
    """The arrays of parts, such as `x_train` or `train_images`, joined; None if there are none."""
    inputs: dict[PublishedPart, str] = {}
    labels: dict[PublishedPart, str] = {}
    for key in archive:
        words = key.lower().split("_")
        parts = [PART_NAMES[word] for word in words if word in PART_NAMES]
        rest = "_".join(word for word in words if word not in PART_NAMES)
        if len(parts) == 1 and rest in (*_INPUTS, *_LABELS):
            (inputs if rest in _INPUTS else labels).setdefault(parts[0], key)
    if not inputs or (labelled and inputs.keys() != labels.keys()):
        return None
    found = {part: _load(where, archive, key) for part, key in inputs.items()}
    shapes = {part: array.shape[1:] for part, array in found.items()}
    if len(set(shapes.values())) > 1 or any(array.ndim == 0 for array in found.values()):
        raise DataError(
            f"{where}: its parts hold examples of different shapes: "
            + ", ".join(f"{inputs[part]} {list(found[part].shape)}" for part in found)
        )
    return ArrayFile(
        np.concatenate(list(found.values())),
        np.concatenate(
            [as_labels(where, labels[part], _load(where, archive, labels[part])) for part in found]
        )
        if inputs.keys() == labels.keys()
        else None,
        np.concatenate([np.full(len(array), part) for part, array in found.items()]),
        None,
        _load_any(where, archive, _CLASS_NAMES),
    )


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
    decoded = decode_all(num_images, lambda i: encoded[ends[i] : ends[i + 1]].tobytes(), options)
    broken = unreadable(where, [f"image {i}" for i in range(num_images)], decoded.readable)
    return finish(
        where,
        "npz of encoded images",
        decoded.images,
        labels.targets[decoded.readable],
        labels.classes,
        [*labels.left_out, *broken],
        name=name,
        polarity=decoded.polarity,
        strict=options.strict,
        example_parts=None if labels.parts is None else labels.parts[decoded.readable],
        detail=decoded.detail,
    )


def _by_name(where: str, archive: NpzFile) -> dict[str, Callable[[], np.ndarray]]:
    """What loads each array, by its name in lower case."""
    return {key.lower(): partial(_load, where, archive, key) for key in archive}


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
        array = _large_array(archive, name)
        array = archive[name] if array is None else array
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


def _large_array(archive: NpzFile, name: str) -> np.ndarray | None:
    """A large array of numbers, read piece by piece to where there is room for it; else None."""
    member, within = f"{name}.npy", archive.zip
    if within is None or member not in within.namelist():
        return None
    if within.getinfo(member).file_size <= MOST_IN_MEMORY:
        return None
    with within.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            return None
        shape, by_columns, dtype = _HEADERS[version](file)
        if by_columns or dtype.hasobject or not shape:
            return None
        array = room(shape, dtype)
        for piece in pieces(array):
            rows = array[piece]
            content = file.read(rows.nbytes)
            if len(content) < rows.nbytes:
                raise ValueError("it ends too early")
            array[piece] = np.frombuffer(content, dtype).reshape(rows.shape)
        file.read()  # to its end, where its checksum is compared
    return array
