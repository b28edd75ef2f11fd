"""Support sets and inputs of `predict` and `fit`: files become what an estimator takes.

Unlike the data of `learn`, a class may have a single example here, and nothing is left out
silently: a support image that cannot be read is refused by its name.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metaloop.catalogue import Model
from metaloop.core.errors import DataError
from metaloop.core.inputs import InputFormat
from metaloop.estimators import FewShotClassifier
from metaloop.tasks.readers import decode_image, list_images
from metaloop.tasks.readers.class_folders import ImageFiles, tidy
from metaloop.tasks.readers.image_folder import find_images
from metaloop.tasks.readers.zip_archive import check_sizes, opened_zip

_INPUT_NAMES = ("x", "images", "image", "data", "inputs", "features")  # as `learn` reads them
_LABEL_NAMES = ("y", "labels", "label", "target", "targets")
_ARRAY_SUFFIXES = (".npz", ".npy")


@dataclass(frozen=True)
class Inputs:
    """Some inputs of one kind, `X` as an estimator takes it, and a name for each of them."""

    names: list[str]
    X: Any


def input_format_of(estimator: FewShotClassifier) -> InputFormat:
    """Returns what the learner of a loaded estimator takes, fitted or not."""
    learner = estimator.task_.model if hasattr(estimator, "task_") else estimator.model
    assert isinstance(learner, Model)
    return learner.input_format


def read_support(path: Path, input_format: InputFormat) -> tuple[Any, list[Any]]:
    """Returns X and the labels of a folder or zip of class folders, or of an npz with X and y.

    Raises `DataError` if there is nothing, or if an image cannot be read.
    """
    if path.suffix.lower() == ".npz" and not path.is_dir():
        arrays = _arrays(path)
        labels = _named(path, arrays, _LABEL_NAMES, "labels (y)")
        return _named(path, arrays, _INPUT_NAMES, "examples (X)"), labels.tolist()
    if input_format.kind != "image":
        raise DataError(
            f"the model takes vectors of {input_format.shape[0]} numbers: give it an .npz with X "
            f"and y, not '{path}'"
        )
    if path.is_dir():
        try:
            files = find_images(path)
        except OSError as error:
            raise DataError(f"folder '{path}' cannot be read: {error.strerror}") from error
        return _pictures(path, files, input_format)
    if path.suffix.lower() == ".zip" and path.is_file():
        with opened_zip(path) as files:
            return _pictures(path, files, input_format)
    what = "is no folder, .zip or .npz" if path.exists() else "does not exist"
    raise DataError(f"support '{path}' {what}; expected a folder with one folder per class")


def read_inputs(paths: Sequence[Path], input_format: InputFormat) -> list[Inputs]:
    """Returns the inputs in the order of `paths`: images, folders of images, .npz or .npy arrays.

    Images are opened later. Raises `DataError` for a path that holds nothing of the model's kind.
    """
    groups: list[Inputs] = []
    images: list[Path] = []
    for path in paths:
        if path.suffix.lower() in _ARRAY_SUFFIXES and not path.is_dir():
            groups, images = [*groups, *_of_images(images)], []
            groups.append(_of_array(path))
        elif input_format.kind != "image":
            raise DataError(
                f"the model takes vectors of {input_format.shape[0]} numbers: give it an .npz or "
                f".npy, not '{path}'"
            )
        else:
            images += list_images(path)
    return [*groups, *_of_images(images)]


def unreadable(images: Sequence[Path], input_format: InputFormat) -> dict[Path, str]:
    """Returns why, for each of the images that cannot be read."""
    reasons = {}
    for path in images:
        try:
            decode_image(path, input_format.shape, input_format.polarity)
        except DataError as error:
            reasons[path] = str(error)
    return reasons


def _of_images(images: list[Path]) -> list[Inputs]:
    return [Inputs([str(path) for path in images], images)] if images else []


def _of_array(path: Path) -> Inputs:
    array = _named(path, _arrays(path), _INPUT_NAMES, "inputs (X)")
    if array.ndim < 2:
        raise DataError(f"'{path}': expected X as [n, ...], got shape {list(array.shape)}")
    return Inputs([f"{path}[{row}]" for row in range(len(array))], array)


def _pictures(path: Path, files: ImageFiles, input_format: InputFormat) -> tuple[Any, list[Any]]:
    """Every image below a class folder, decoded once to be sure of it, and its class."""
    below = sorted(name for name in files.paths if "/" in name)
    if not below:
        raise DataError(
            f"support '{path}' holds no images in class folders; expected one folder of images "
            f"per class"
        )
    sources = []
    for name in below:
        source = files.load(name)
        assert not isinstance(source, np.ndarray)
        try:
            decode_image(source, input_format.shape, input_format.polarity)
        except DataError as error:
            raise DataError(
                f"support image '{tidy(name)}' of '{path}' cannot be read; mend or remove it"
            ) from error
        sources.append(source)
    return sources, [tidy(name.rpartition("/")[0]) for name in below]


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an npz by lower-case name; of an npy, its array as `x`."""
    try:
        if path.suffix.lower() == ".npy":
            return {"x": np.load(path, allow_pickle=False)}
        check_sizes(path)
        with np.load(path, allow_pickle=False) as archive:
            return {name.lower(): archive[name] for name in archive}
    except FileNotFoundError as error:
        raise DataError(f"'{path}' does not exist") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"'{path}' cannot be read as arrays: {reason}") from error


def _named(
    path: Path, arrays: dict[str, np.ndarray], names: Sequence[str], what: str
) -> np.ndarray:
    found = next((arrays[name] for name in names if name in arrays), None)
    if found is None:
        raise DataError(f"'{path}' has no {what}; found {', '.join(sorted(arrays)) or 'nothing'}")
    return found
