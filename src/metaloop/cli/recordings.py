"""Recordings as support and as inputs of `predict` and `fit`: folders, zips and single files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metaloop.core.errors import DataError
from metaloop.tasks.readers.class_folders import arrange
from metaloop.tasks.readers.image_files import ImageFiles
from metaloop.tasks.readers.image_folder import find_images
from metaloop.tasks.readers.recording_folder import RECORDINGS
from metaloop.tasks.readers.recordings import RECORDING_SUFFIXES, is_recording
from metaloop.tasks.readers.zip_archive import opened_zip
from metaloop.tasks.store import LeftOut


def recording_support(
    path: Path, classes_at: int | None
) -> tuple[list[Any], list[str], Sequence[LeftOut], Sequence[str]]:
    """Returns the recordings of a folder or zip, the word of each, what was left out, and notes.

    Raises `DataError` for anything else.
    """
    where = f"support '{path}'"
    if path.is_dir():
        return _arranged(where, find_images(path, RECORDINGS), classes_at)
    if path.suffix.lower() == ".zip" and path.is_file():
        with opened_zip(path, RECORDINGS) as files:
            return _arranged(where, files, classes_at)
    what = "is no folder or .zip" if path.exists() else "does not exist"
    raise DataError(f"{where} {what}; expected a folder with one folder of recordings per word")


def recording_inputs(path: Path) -> tuple[list[str], tuple[str, ...]]:
    """Returns the name and the path of each recording at or below `path`, sorted.

    Raises `DataError` if there is none.
    """
    if path.is_dir():
        found = sorted(str(path / name) for name in find_images(path, RECORDINGS).paths)
        if not found:
            raise DataError(f"folder '{path}' holds no recordings")
        return found, tuple(found)
    if not path.is_file() or not is_recording(path.name):
        what = "" if path.exists() else ", which does not exist"
        raise DataError(
            f"the model takes recordings ({' '.join(sorted(RECORDING_SUFFIXES))}), not '{path}'"
            f"{what}"
        )
    return [str(path)], (str(path),)


def _arranged(
    where: str, files: ImageFiles, classes_at: int | None
) -> tuple[list[Any], list[str], Sequence[LeftOut], Sequence[str]]:
    found = arrange(where, files, classes_at)
    labels = [found.classes[target].name for target in found.targets.tolist()]
    left_out = [item for item in found.left_out if not item.what.startswith("the split into")]
    return [found.load(name) for name in found.paths], labels, left_out, found.notes
