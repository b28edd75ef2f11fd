"""CIFAR-10 and CIFAR-100 as their author publishes them, in the binary and the python layout.

    cifar-10-batches-bin/   data_batch_1.bin ...  test_batch.bin   batches.meta.txt
    cifar-10-batches-py/    data_batch_1 ...      test_batch       batches.meta
    cifar-100-binary/       train.bin             test.bin         fine_label_names.txt, coarse_...
    cifar-100-python/       train                 test             meta

They are read from these folders, or from the archives that these come in (`cifar_files.py`). A
binary record is one label (CIFAR-100: coarse, then fine) and 3,072 bytes: red, green, blue, each 32
rows of 32. The python files are pickles, of which only arrays and text are read
(`core/pickled.py`). Classes are the fine ones; the coarse one of each is its group.
Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metaloop.core.errors import DataError
from metaloop.core.pickled import UnsafePickleError, read_pickle
from metaloop.tasks.readers.arrays import read_examples
from metaloop.tasks.readers.cifar_files import (
    CifarFiles,
    files_in_archive,
    files_in_folder,
    is_archive,
)
from metaloop.tasks.readers.labels import read_labels
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.store import Reading

_SIDE, _CHANNELS = 32, 3
_PIXELS = _CHANNELS * _SIDE * _SIDE


@dataclass(frozen=True)
class _Batch:
    """Examples of one file: `pixels [n, 3072]`, `fine [n]`, and `coarse [n]` of CIFAR-100."""

    pixels: np.ndarray
    fine: np.ndarray
    coarse: np.ndarray | None


def is_cifar(path: Path) -> bool:
    """Returns whether a folder holds CIFAR in one of these layouts, or one folder that does.

    Or whether a file is an archive of such a folder.
    """
    return _in_folder(path) is not None if path.is_dir() else is_archive(path)


def read_cifar(path: Path, options: ReadOptions) -> Reading:
    """Returns the reading of CIFAR-10 or CIFAR-100; every example has its published part.

    Raises `DataError` for files that are cut short, labels out of range, pickles that ask for
    anything but arrays and text, and archives that are not as published.
    """
    where = f"{'folder' if path.is_dir() else 'archive'} {str(path)!r}"
    options.refuse_depth(where)
    files = _in_folder(path) if path.is_dir() else files_in_archive(path)
    layout = None if files is None else _layout(files.names)
    if files is None or layout is None:
        raise DataError(f"{where} lacks batches of CIFAR or the names of its classes; get it again")
    binary, hundred = layout
    train = [_name("train", binary)]
    if not hundred:
        train = [name for name in sorted(files.names) if name.startswith("data_batch_")]
        train = [name for name in train if name.endswith(".bin") == binary]
    test = _name("test" if hundred else "test_batch", binary)
    read = _binary if binary else _pickled
    batches = [read(files, name, hundred) for name in [*train, test]]
    fine_names, coarse_names = _names(files, binary, hundred)
    fine = np.concatenate([batch.fine for batch in batches])
    number = len(batches[-1].fine)
    split = np.array(["train"] * (len(fine) - number) + ["test"] * number)
    group = None
    if hundred:
        coarse = np.concatenate([batch.coarse for batch in batches if batch.coarse is not None])
        if coarse.min() < 0 or coarse.max() >= len(coarse_names):
            raise DataError(f"{where}: coarse labels run to {coarse.max()}, of {len(coarse_names)}")
        group = np.array(coarse_names)[coarse]
    labels = read_labels(where, fine, split, group, fine_names)
    pixels = np.concatenate([batch.pixels for batch in batches])
    images = pixels.reshape(-1, _CHANNELS, _SIDE, _SIDE).transpose(0, 2, 3, 1)
    kind = f"CIFAR-{100 if hundred else 10}, {'binary' if binary else 'python'} layout"
    name = "cifar100" if hundred else "cifar10"
    return read_examples(where, name, kind, images, labels, options)


def _in_folder(folder: Path) -> CifarFiles | None:
    """The files of the first layout that is in a folder."""
    found = (files for files in files_in_folder(folder) if _layout(files.names) is not None)
    return next(found, None)


def _layout(names: Set[str]) -> tuple[bool, bool] | None:
    """Whether files of these names are binary, whether they are of CIFAR-100."""
    if names >= {"data_batch_1.bin", "test_batch.bin"}:
        return True, False
    if names >= {"data_batch_1", "test_batch", "batches.meta"}:
        return False, False
    if names >= {"train.bin", "test.bin", "fine_label_names.txt"}:
        return True, True
    return (False, True) if names >= {"train", "test", "meta"} else None


def _name(stem: str, binary: bool) -> str:
    return f"{stem}.bin" if binary else stem


def _binary(files: CifarFiles, name: str, hundred: bool) -> _Batch:
    labels = 2 if hundred else 1
    content = np.frombuffer(files.load(name), np.uint8)
    if len(content) == 0 or len(content) % (labels + _PIXELS):
        raise DataError(
            f"{files.called(name)} has {len(content):,} bytes, which is no number of records of "
            f"{labels + _PIXELS:,}: it is cut short or something else; get it again"
        )
    rows = content.reshape(-1, labels + _PIXELS)
    fine = rows[:, labels - 1].astype(np.int64)
    return _Batch(rows[:, labels:], fine, rows[:, 0].astype(np.int64) if hundred else None)


def _pickled(files: CifarFiles, name: str, hundred: bool) -> _Batch:
    content = _dictionary(files, name)
    pixels = content.get("data")
    fine = content.get("fine_labels" if hundred else "labels")
    coarse = content.get("coarse_labels") if hundred else None
    if (
        not isinstance(pixels, np.ndarray)
        or pixels.dtype != np.uint8
        or pixels.ndim != 2
        or pixels.shape[1] != _PIXELS
        or not _is_labels(fine, len(pixels))
        or (hundred and not _is_labels(coarse, len(pixels)))
    ):
        raise DataError(
            f"{files.called(name)} is no batch of CIFAR: expected data uint8 [n, {_PIXELS:,}] and "
            f"as many labels; get it again"
        )
    return _Batch(pixels, np.array(fine, np.int64), np.array(coarse, np.int64) if hundred else None)


def _is_labels(values: Any, number: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == number > 0
        and all(type(value) is int and 0 <= value < 256 for value in values)
    )


def _names(files: CifarFiles, binary: bool, hundred: bool) -> tuple[list[str], list[str]]:
    """The names of the fine and of the coarse classes."""
    if binary:
        if not hundred:
            return _lines(files, "batches.meta.txt"), []
        return _lines(files, "fine_label_names.txt"), _lines(files, "coarse_label_names.txt")
    name = "meta" if hundred else "batches.meta"
    content = _dictionary(files, name)
    keys = ("fine_label_names", "coarse_label_names") if hundred else ("label_names",)
    found = []
    for key in keys:
        names = content.get(key)
        if not isinstance(names, list) or not all(isinstance(n, (str, bytes)) for n in names):
            raise DataError(f"{files.called(name)} has no list of names '{key}'; get it again")
        found.append([n.decode("utf-8", "replace") if isinstance(n, bytes) else n for n in names])
    return found[0], found[1] if hundred else []


def _lines(files: CifarFiles, name: str) -> list[str]:
    try:
        return files.load(name).decode("utf-8").split()
    except (KeyError, OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{files.called(name)} with the names of the classes cannot be read; it belongs beside "
            "the batches"
        ) from error


def _dictionary(files: CifarFiles, name: str) -> Mapping[str, Any]:
    """The dictionary of a pickle; its keys are bytes where Python 2 wrote it."""
    try:
        content = read_pickle(files.load(name))
    except UnsafePickleError as error:
        raise DataError(
            f"{files.called(name)} cannot be read ({error}); a pickle can run code: nothing of it "
            "was run, get it again"
        ) from error
    if not isinstance(content, dict):
        raise DataError(
            f"{files.called(name)} holds a {type(content).__name__}, expected a dictionary"
        )
    return {
        k.decode("utf-8", "replace") if isinstance(k, bytes) else k: v for k, v in content.items()
    }
