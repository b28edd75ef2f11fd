"""Recordings as support and as inputs of `predict` and `fit`: folders, zips, files, tables, npz."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metaloop.core.errors import DataError
from metaloop.tasks.readers.class_folders import arrange
from metaloop.tasks.readers.image_files import ImageFiles
from metaloop.tasks.readers.image_folder import find_images
from metaloop.tasks.readers.labels import label_values
from metaloop.tasks.readers.npz import load_waveforms
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.readers.recording_folder import RECORDINGS, without_speakers
from metaloop.tasks.readers.recording_tables import TableRecordings, recordings_in
from metaloop.tasks.readers.recordings import (
    MOST_SECONDS,
    RATE,
    RECORDING_SUFFIXES,
    decode_recording,
    is_recording,
    samples_of,
)
from metaloop.tasks.readers.tables import TABLE_ENDINGS, is_table, read_table
from metaloop.tasks.readers.zip_archive import opened_zip
from metaloop.tasks.store import LeftOut

Columns = Mapping[str, str | Sequence[str]]
Found = tuple[list[Any], list[Any], Sequence[LeftOut], Sequence[str]]


def recording_support(path: Path, options: ReadOptions) -> Found:
    """Returns the recordings of a support, the word of each, what was left out, and notes.

    A folder or zip with a folder per word, a table of paths and labels, or an npz of waveforms.
    Raises `DataError` for anything else, and for a recording of a table that cannot be used.
    """
    where = f"support '{path}'"
    if is_table(path) and path.is_file():
        options.refuse_depth(where)
        found = recordings_in(where, read_table(path), path.parent, options)
        assert found.labels is not None
        return _opened(path, found), found.labels.tolist(), found.left_out, found.notes
    options.refuse_columns(where)
    if _is_npz(path):
        options.refuse_depth(where)
        waves = load_waveforms(path)
        assert waves.labels is not None
        labels = label_values(where, waves.labels, waves.class_names)
        sounds = _pairs(waves.X, waves.rates)
        if len(sounds) != len(labels):
            raise DataError(f"{where}: {len(sounds)} recordings but {len(labels)} labels")
        return sounds, labels, (), ()
    if path.is_dir():
        return _arranged(where, find_images(path, RECORDINGS), options.classes_at)
    if path.suffix.lower() == ".zip" and path.is_file():
        with opened_zip(path, RECORDINGS) as files:
            return _arranged(where, files, options.classes_at)
    what = "is no folder, .zip, table or .npz" if path.exists() else "does not exist"
    raise DataError(f"{where} {what}; expected a folder with one folder of recordings per word")


def recording_inputs(path: Path, columns: Columns | None) -> tuple[list[str], tuple[Any, ...]]:
    """Returns the name of each recording at or below `path`, and what an estimator takes of it.

    A table names recordings, as that of a support does, and need not have labels; an npz has
    waveforms with their rate. Raises `DataError` if there is none.
    """
    if is_table(path) and path.is_file():
        options = ReadOptions(columns=columns)
        found = recordings_in(f"table '{path}'", read_table(path), path.parent, options, False)
        return found.names, tuple(_opened(path, found))
    if _is_npz(path):
        waves = load_waveforms(path, labelled=False)
        names = [f"{path}[{row}]" for row in range(len(waves.X))]
        return names, tuple(_pairs(waves.X, waves.rates))
    names = recording_files(path)
    return names, tuple(names)


def recording_files(path: Path) -> list[str]:
    """Returns the path of each recording at or below `path`, sorted; raises `DataError` if none."""
    if path.is_dir():
        found = sorted(str(path / name) for name in find_images(path, RECORDINGS).paths)
        if not found:
            raise DataError(f"folder '{path}' holds no recordings")
        return found
    if not path.is_file() or not is_recording(path.name):
        what = "" if path.exists() else ", which does not exist"
        raise DataError(
            f"the model takes recordings ({' '.join(sorted(RECORDING_SUFFIXES))}), or tables "
            f"({', '.join(TABLE_ENDINGS)}) and .npz of them, not '{path}'{what}"
        )
    return [str(path)]


def usable(names: Sequence[str], sources: Sequence[Any]) -> tuple[list[str], list[Any], list[str]]:
    """Returns the names of recordings that can be used, their samples, and why others cannot."""
    good: list[str] = []
    samples: list[Any] = []
    reasons: list[str] = []
    for name, source in zip(names, sources, strict=True):
        try:
            if isinstance(source, tuple):
                samples.append((samples_of(*source).samples, RATE))
            else:
                samples.append((decode_recording(Path(source)).samples, RATE))
            good.append(name)
        except DataError as error:
            reasons.append(f"recording '{name}' cannot be used: {error}")
    return good, samples, reasons


def _is_npz(path: Path) -> bool:
    return path.suffix.lower() == ".npz" and not path.is_dir()


def _opened(path: Path, found: TableRecordings) -> list[tuple[np.ndarray, int]]:
    """The samples that a table names; raises `DataError` for the first that cannot be used."""
    sounds = []
    for index, name in enumerate(found.names):
        try:
            sounds.append((found.load(index, MOST_SECONDS).samples, RATE))
        except (DataError, OSError) as error:
            raise DataError(f"recording '{name}' of '{path}' cannot be used: {error}") from error
    return sounds


def _pairs(X: Sequence[np.ndarray] | np.ndarray, rates: np.ndarray) -> list[tuple[Any, float]]:
    return [(np.asarray(each), float(rate)) for each, rate in zip(X, rates, strict=True)]


def _arranged(where: str, files: ImageFiles, classes_at: int | None) -> Found:
    files, notes = without_speakers(files, classes_at)
    found = arrange(where, files, classes_at)
    labels = [found.classes[target].name for target in found.targets.tolist()]
    left_out = [item for item in found.left_out if not item.what.startswith("the split into")]
    X = [found.load(name) for name in found.paths]
    return X, labels, left_out, [*found.notes, *notes]
