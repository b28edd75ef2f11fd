"""Recordings as support and as inputs of `predict` and `fit`: folders, zips, files, tables, npz."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from metaloop.core.errors import DataError
from metaloop.tasks.readers.class_folders import arrange
from metaloop.tasks.readers.image_files import ImageFiles
from metaloop.tasks.readers.image_folder import find_images
from metaloop.tasks.readers.labels import label_values
from metaloop.tasks.readers.names import tidy
from metaloop.tasks.readers.npz import load_waveforms
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.readers.recording_folder import RECORDINGS, without_speakers
from metaloop.tasks.readers.recording_set import odd_recordings
from metaloop.tasks.readers.recording_tables import TableRecordings, recordings_in
from metaloop.tasks.readers.recordings import (
    MOST_SECONDS,
    RATE,
    RECORDING_SUFFIXES,
    Recording,
    decode_recording,
    is_recording,
    samples_of,
)
from metaloop.tasks.readers.tables import TABLE_ENDINGS, is_table, read_table
from metaloop.tasks.readers.zip_archive import opened_zip
from metaloop.tasks.store import LeftOut

Columns = Mapping[str, str | Sequence[str]]
Found = tuple[list[Any], list[Any], Sequence[LeftOut], Sequence[str]]
Source = str | bytes | tuple[Any, float] | Callable[[], Recording]
"""A path, the content of a file, samples with their rate, or what opens a recording."""


@dataclass(frozen=True)
class Heard:
    """Recordings that can be used: the name of each, its samples with their rate.

    `reasons`: why others cannot; `notes`: what is to be said of those that can.
    """

    names: list[str]
    samples: list[tuple[np.ndarray, int]]
    reasons: list[str]
    notes: list[str]


@dataclass(frozen=True)
class _Support:
    names: list[str]
    sources: list[Source]
    labels: list[Any]
    left_out: Sequence[LeftOut] = ()
    notes: Sequence[str] = ()


def recording_support(path: Path, options: ReadOptions) -> Found:
    """Returns the recordings of a support, the word of each, what was left out, and notes.

    A folder or zip with a folder per word, a table of paths and labels, or an npz of waveforms.
    Raises `DataError` for anything else, and for recordings that cannot be used.
    """
    found = _support(path, options)
    sound = heard(found.names, found.sources)
    if sound.reasons:
        more = f" (and {len(sound.reasons) - 1:,} more)" if len(sound.reasons) > 1 else ""
        raise DataError(f"support '{path}': {sound.reasons[0]}{more}")
    return sound.samples, found.labels, found.left_out, [*found.notes, *sound.notes]


def _support(path: Path, options: ReadOptions) -> _Support:
    where = f"support '{path}'"
    if is_table(path) and path.is_file():
        options.refuse_depth(where)
        found = recordings_in(where, read_table(path), path.parent, options)
        assert found.labels is not None
        labels = found.labels.tolist()
        return _Support(found.names, _openers(found), labels, found.left_out, found.notes)
    options.refuse_columns(where)
    if _is_npz(path):
        options.refuse_depth(where)
        waves = load_waveforms(path)
        assert waves.labels is not None
        labels = label_values(where, waves.labels, waves.class_names)
        names, sounds = _waves(path, waves.X, waves.rates)
        if len(sounds) != len(labels):
            raise DataError(f"{where}: {len(sounds)} recordings but {len(labels)} labels")
        return _Support(names, sounds, labels)
    if path.is_dir():
        return _arranged(where, find_images(path, RECORDINGS), options.classes_at)
    if is_zip(path):
        with opened_zip(path, RECORDINGS) as files:
            return _arranged(where, files, options.classes_at)
    what = "is no folder, .zip, table or .npz" if path.exists() else "does not exist"
    raise DataError(f"{where} {what}; expected a folder with one folder of recordings per word")


def recording_inputs(path: Path, columns: Columns | None) -> tuple[list[str], tuple[Any, ...]]:
    """Returns the name of each recording at or below `path`, and what opens it (`heard`).

    A table names recordings, as that of a support does, and need not have labels; an npz has
    waveforms with their rate. Raises `DataError` if there is none.
    """
    if is_table(path) and path.is_file():
        options = ReadOptions(columns=columns)
        found = recordings_in(f"table '{path}'", read_table(path), path.parent, options, False)
        return found.names, tuple(_openers(found))
    if _is_npz(path):
        waves = load_waveforms(path, labelled=False)
        names, sounds = _waves(path, waves.X, waves.rates)
        return names, tuple(sounds)
    if is_zip(path):
        with opened_zip(path, RECORDINGS) as files:
            if not files.paths:
                raise DataError(f"zip '{path}' holds no recordings")
            inside = sorted(files.paths)
            return [f"{path}/{tidy(name)}" for name in inside], tuple(map(files.load, inside))
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
            f"the model takes recordings ({' '.join(sorted(RECORDING_SUFFIXES))}), or folders, "
            f".zip, tables ({', '.join(TABLE_ENDINGS)}) and .npz of them, not '{path}'{what}"
        )
    return [str(path)]


def heard(names: Sequence[str], sources: Sequence[Source]) -> Heard:
    """Returns the recordings decoded, at 16 kHz, with what is to be said of them."""
    good: list[str] = []
    recordings: list[Recording] = []
    reasons: list[str] = []
    for name, source in zip(names, sources, strict=True):
        try:
            recordings.append(_decoded(source))
            good.append(name)
        except (DataError, OSError) as error:
            reasons.append(f"recording '{name}' cannot be used: {error}")
    samples = [(each.samples, RATE) for each in recordings]
    return Heard(good, samples, reasons, odd_recordings(recordings, good))


def is_zip(path: Path) -> bool:
    """Returns whether a path is a zip, by its name."""
    return path.suffix.lower() == ".zip" and path.is_file()


def _decoded(source: Source) -> Recording:
    if isinstance(source, bytes):
        return decode_recording(source)
    if isinstance(source, str):
        return decode_recording(Path(source))
    return samples_of(*source) if isinstance(source, tuple) else source()


def _is_npz(path: Path) -> bool:
    return path.suffix.lower() == ".npz" and not path.is_dir()


def _openers(found: TableRecordings) -> list[Source]:
    return [partial(found.load, index, MOST_SECONDS) for index in range(len(found.names))]


def _waves(
    path: Path, X: Sequence[np.ndarray] | np.ndarray, rates: np.ndarray
) -> tuple[list[str], list[Source]]:
    sounds: list[Source] = [(np.asarray(x), float(rate)) for x, rate in zip(X, rates, strict=True)]
    return [f"{path}[{row}]" for row in range(len(sounds))], sounds


def _arranged(where: str, files: ImageFiles, classes_at: int | None) -> _Support:
    files, notes = without_speakers(files, classes_at)
    found = arrange(where, files, classes_at)
    labels = [found.classes[target].name for target in found.targets.tolist()]
    left_out = [item for item in found.left_out if not item.what.startswith("the split into")]
    sources = [_as_source(found.load(name)) for name in found.paths]
    return _Support(list(found.paths), sources, labels, left_out, [*found.notes, *notes])


def _as_source(opened: Any) -> Source:
    """What a folder or a zip gives for a recording: where it is, or its content."""
    return opened if isinstance(opened, bytes) else str(opened)
