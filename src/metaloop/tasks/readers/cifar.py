"""CIFAR-10 and CIFAR-100 as their author publishes them, in the binary and the python layout.

    cifar-10-batches-bin/   data_batch_1.bin ...  test_batch.bin   batches.meta.txt
    cifar-10-batches-py/    data_batch_1 ...      test_batch       batches.meta
    cifar-100-binary/       train.bin             test.bin         fine_label_names.txt, coarse_...
    cifar-100-python/       train                 test             meta

A binary record is one label (CIFAR-100: coarse, then fine) and 3,072 bytes: red, green, blue, each
32 rows of 32. The python files are pickles, of which only arrays and text are read
(`plain_pickle.py`). Classes are the fine ones; the coarse one of each is its group.
Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metaloop.core.errors import DataError
from metaloop.tasks.readers.arrays import read_examples
from metaloop.tasks.readers.labels import read_labels
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.readers.plain_pickle import read_plain_pickle
from metaloop.tasks.store import Reading

_SIDE, _CHANNELS = 32, 3
_PIXELS = _CHANNELS * _SIDE * _SIDE
_USUAL = ("cifar-10-batches-bin", "cifar-10-batches-py", "cifar-100-binary", "cifar-100-python")


@dataclass(frozen=True)
class _Batch:
    """Examples of one file: `pixels [n, 3072]`, `fine [n]`, and `coarse [n]` of CIFAR-100."""

    pixels: np.ndarray
    fine: np.ndarray
    coarse: np.ndarray | None


def is_cifar(folder: Path) -> bool:
    """Returns whether the folder holds CIFAR in one of these layouts, or one folder that does."""
    return _layout(folder) is not None


def read_cifar(folder: Path, options: ReadOptions) -> Reading:
    """Returns the reading of CIFAR-10 or CIFAR-100; every example has its published part.

    Raises `DataError` for files that are cut short, labels out of range, and pickles that ask for
    anything but arrays and text.
    """
    where = f"folder {str(folder)!r}"
    options.refuse_depth(where)
    found = _layout(folder)
    assert found is not None
    inside, binary, hundred = found
    train = (
        sorted(inside.glob("data_batch_*")) if not hundred else [inside / _name("train", binary)]
    )
    train = [path for path in train if (path.suffix == ".bin") == binary]
    test = inside / _name("test" if hundred else "test_batch", binary)
    read = _binary if binary else _pickled
    batches = [read(path, hundred) for path in [*train, test]]
    fine_names, coarse_names = _names(inside, binary, hundred)
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


def _layout(folder: Path) -> tuple[Path, bool, bool] | None:
    """Where the files are, whether they are binary, whether they are of CIFAR-100."""
    for inside in (folder, *(folder / name for name in _USUAL)):
        ten = {"data_batch_1", "test_batch"}
        if all((inside / f"{name}.bin").is_file() for name in ten):
            return inside, True, False
        if all((inside / name).is_file() for name in (*ten, "batches.meta")):
            return inside, False, False
        if all((inside / f).is_file() for f in ("train.bin", "test.bin", "fine_label_names.txt")):
            return inside, True, True
        if all((inside / name).is_file() for name in ("train", "test", "meta")):
            return inside, False, True
    return None


def _name(stem: str, binary: bool) -> str:
    return f"{stem}.bin" if binary else stem


def _binary(path: Path, hundred: bool) -> _Batch:
    labels = 2 if hundred else 1
    content = np.fromfile(path, np.uint8)
    if len(content) == 0 or len(content) % (labels + _PIXELS):
        raise DataError(
            f"'{path}' has {len(content):,} bytes, which is no number of records of "
            f"{labels + _PIXELS:,}: it is cut short or something else; get it again"
        )
    rows = content.reshape(-1, labels + _PIXELS)
    fine = rows[:, labels - 1].astype(np.int64)
    return _Batch(rows[:, labels:], fine, rows[:, 0].astype(np.int64) if hundred else None)


def _pickled(path: Path, hundred: bool) -> _Batch:
    content = _dictionary(path)
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
            f"'{path}' is no batch of CIFAR: expected data uint8 [n, {_PIXELS:,}] and as many "
            f"labels; get it again"
        )
    return _Batch(pixels, np.array(fine, np.int64), np.array(coarse, np.int64) if hundred else None)


def _is_labels(values: Any, number: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == number > 0
        and all(type(value) is int and 0 <= value < 256 for value in values)
    )


def _names(inside: Path, binary: bool, hundred: bool) -> tuple[list[str], list[str]]:
    """The names of the fine and of the coarse classes."""
    if binary:
        if not hundred:
            return _lines(inside / "batches.meta.txt"), []
        return _lines(inside / "fine_label_names.txt"), _lines(inside / "coarse_label_names.txt")
    path = inside / ("meta" if hundred else "batches.meta")
    content = _dictionary(path)
    keys = ("fine_label_names", "coarse_label_names") if hundred else ("label_names",)
    found = []
    for key in keys:
        names = content.get(key)
        if not isinstance(names, list) or not all(isinstance(n, (str, bytes)) for n in names):
            raise DataError(f"'{path}' has no list of names '{key}'; get it again")
        found.append([n.decode("utf-8", "replace") if isinstance(n, bytes) else n for n in names])
    return found[0], found[1] if hundred else []


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"'{path}' with the names of the classes cannot be read; it belongs beside the batches"
        ) from error


def _dictionary(path: Path) -> Mapping[str, Any]:
    """The dictionary of a pickle; its keys are bytes where Python 2 wrote it."""
    content = read_plain_pickle(path)
    if not isinstance(content, dict):
        raise DataError(f"'{path}' holds a {type(content).__name__}, expected a dictionary")
    return {
        k.decode("utf-8", "replace") if isinstance(k, bytes) else k: v for k, v in content.items()
    }
