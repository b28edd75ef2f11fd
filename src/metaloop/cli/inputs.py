"""Support sets and inputs of `predict` and `fit`: files become what an estimator takes.

They are read by the rules of `learn`: what is a class, what is a page, what numbers mean. Only a
class may have a single example here, and a support image that cannot be read is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from metaloop.catalogue.domains import domain_of
from metaloop.cli.ratings import items_inputs, support_of_user
from metaloop.cli.recordings import recording_inputs, recording_support
from metaloop.cli.summaries import documents_inputs, pairs_support
from metaloop.cli.tables import table_inputs, table_support
from metaloop.cli.texts import streamed_texts, text_inputs, text_support
from metaloop.core.errors import DataError
from metaloop.core.inputs import InputFormat
from metaloop.estimators import (
    FewShotClassifier,
    FewShotGenerator,
    FewShotRegressor,
    TrainedClassifier,
)
from metaloop.models import Model
from metaloop.models.classifier import Classifier
from metaloop.tasks.readers import decode_image, list_images
from metaloop.tasks.readers.array_files import ARRAY_SUFFIX, load_array
from metaloop.tasks.readers.class_folders import ClassFolders, arrange
from metaloop.tasks.readers.image_files import ImageFiles
from metaloop.tasks.readers.image_folder import find_images
from metaloop.tasks.readers.images import Page, Picture, check_heif, wide_range
from metaloop.tasks.readers.labels import label_values
from metaloop.tasks.readers.names import tidy
from metaloop.tasks.readers.npz import load_npz
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.readers.pages import with_pages
from metaloop.tasks.readers.tables import is_table
from metaloop.tasks.readers.zip_archive import opened_zip
from metaloop.tasks.store import LeftOut
from metaloop.tasks.value_range import BYTES, ValueRange


@dataclass(frozen=True)
class Support:
    """Examples as an estimator takes them, the label of each, and what is to be said of them."""

    X: Any
    labels: list[Any]
    left_out: Sequence[LeftOut] = ()
    notes: Sequence[str] = ()
    user: Mapping[str, str] | None = None  # what is known of whom they are of


@dataclass(frozen=True)
class Inputs:
    """Some inputs of one kind, and a name for each: an array, texts, or files to be opened."""

    names: list[str]
    X: np.ndarray | list[Path | Page] | tuple[Any, ...]


def model_of(
    estimator: FewShotClassifier | FewShotGenerator | FewShotRegressor | TrainedClassifier,
) -> Model | Classifier:
    """Returns the model of a loaded estimator, fitted or not: it says what it takes."""
    known = estimator.task_.model if hasattr(estimator, "task_") else estimator.model
    assert isinstance(known, (Model, Classifier))
    return known


def range_of(
    estimator: FewShotClassifier | TrainedClassifier, declared: ValueRange | None
) -> ValueRange | None:
    """Returns black and white in files of more than 8 bits: declared now, or when it was fitted."""
    fitted: ValueRange | None = getattr(estimator, "value_range_", None)
    if declared is None and fitted is not None and fitted[1] > BYTES[1]:
        return fitted
    return declared


def read_support(
    path: Path, model: Model | Classifier, options: ReadOptions, real: bool = False
) -> Support:
    """Returns the examples of a folder or zip of class folders, of an npz with X and y or a table.

    With `real` the answers are numbers, from an npz or a table. Raises `DataError` if there is
    nothing, or if an image cannot be read.
    """
    where, input_format = f"support '{path}'", model.read_format
    in_files = domain_of(input_format).in_files
    if model.takes in _READERS:
        return _READERS[model.takes].support(where, path, options, model)
    if is_table(path) and path.is_file():
        options.refuse_depth(where)
        rows, answers, notes = table_support(path, input_format, real, options.columns)
        return Support(rows, answers, (), notes)
    options.refuse_columns(where)
    if path.suffix.lower() == ".npz" and not path.is_dir():
        options.refuse_depth(where)
        arrays = load_npz(path)
        assert arrays.labels is not None
        if real:
            return Support(arrays.inputs, arrays.labels.tolist())
        labels = label_values(where, arrays.labels, arrays.class_names)
        return Support(_examples(arrays.inputs, arrays.offsets), labels)
    if real:
        raise DataError(f"{where}: a function is learned from a table or an .npz with X and y")
    with opened_images(where, path) as files:
        has_arrays = any("/" in n and n.lower().endswith(ARRAY_SUFFIX) for n in files.paths)
        if not in_files and not has_arrays:
            raise DataError(_wants_vectors(input_format, path, ".npz with X and y"))
        found = arrange(where, files, options.classes_at)
        labels = [found.classes[target].name for target in found.targets.tolist()]
        if found.paths[0].lower().endswith(ARRAY_SUFFIX):
            X: Any = _stacked(where, {name: found.load(name) for name in found.paths})
        elif not in_files:
            raise DataError(_wants_vectors(input_format, path, ".npz with X and y"))
        else:
            X = pictures(where, found.paths, found.load, input_format, options.value_range)
        return Support(X, labels, *of_support(found))


def read_inputs(
    paths: Sequence[Path],
    model: Model | Classifier,
    columns: Mapping[str, str | Sequence[str]] | None = None,
) -> list[Inputs]:
    """Returns the inputs in the order of `paths`: images, folders of images, arrays, tables.

    Images are opened later. Raises `DataError` for a path that holds nothing of the model's kind.
    """
    groups: list[Inputs] = []
    input_format = model.read_format
    in_files = domain_of(input_format).in_files
    for path in paths:
        if model.takes in _READERS:
            groups.append(_READERS[model.takes].inputs(path, columns))
            continue
        if is_table(path) and path.is_file():
            groups.append(Inputs(*table_inputs(path, input_format, columns)))
            continue
        if path.suffix.lower() == ".npz" and not path.is_dir():
            array = load_npz(path, labelled=False).inputs
            if array.ndim < 2:
                raise DataError(f"'{path}': expected X as [n, ...], got shape {list(array.shape)}")
            groups.append(Inputs([f"{path}[{row}]" for row in range(len(array))], array))
            continue
        is_array = path.is_dir() or path.suffix.lower() == ARRAY_SUFFIX
        if not in_files and not is_array:
            raise DataError(_wants_vectors(input_format, path, ".npz or .npy"))
        images: list[Path] = []
        for file in list_images(path):
            if file.suffix.lower() == ARRAY_SUFFIX:
                groups, images = [*groups, *_of_images(images)], []
                groups.append(_of_array(file, input_format))
            elif not in_files:
                raise DataError(_wants_vectors(input_format, file, ".npz or .npy"))
            else:
                images.append(file)
        groups += _of_images(images)
    return _joined(groups)


def as_sources(
    sources: Sequence[Path | Page], input_format: InputFormat, value_range: ValueRange | None
) -> list[Any]:
    """Returns files as an estimator takes them: as they are where it reads them by the same rule.

    Raises `DataError` if a page cannot be read, or any of them where a range was declared.
    """
    return [_source(source, input_format, value_range) for source in sources]


def unreadable(
    sources: Sequence[Path | Page], input_format: InputFormat, value_range: ValueRange | None
) -> dict[int, str]:
    """Returns why, for each of the files (by its place) that cannot be read."""
    reasons = {}
    for place, source in enumerate(sources):
        try:
            decode_image(source, input_format.shape, input_format.polarity, value_range)
        except DataError as error:
            reasons[place] = str(error)
    return reasons


@dataclass(frozen=True)
class _Reader:
    """How a support, and inputs, are read from files where they are neither images nor vectors.

    `goes_on`: whether an input may be long, and is to be listened to.
    """

    support: Callable[[str, Path, ReadOptions, Any], Support]  # the last one is the model
    inputs: Callable[[Path, Any], Inputs]
    goes_on: bool = False
    words: bool = False
    streamed: Callable[[Sequence[Path], Any], Iterator[tuple[list[str], Any]]] | None = None


def _support_of_ratings(where: str, path: Path, options: ReadOptions, model: Any) -> Support:
    options.refuse_depth(where)
    return Support(*support_of_user(path, options.columns, model))


def _support_of_documents(where: str, path: Path, options: ReadOptions, model: Any) -> Support:
    options.refuse_depth(where)
    return Support(*pairs_support(where, path, options))


_READERS: Mapping[str, _Reader] = {  # by what a model takes
    "documents": _Reader(
        _support_of_documents, lambda path, columns: Inputs(*documents_inputs(path, columns))
    ),
    "items": _Reader(
        _support_of_ratings, lambda path, columns: Inputs(*items_inputs(path, columns))
    ),
    "texts": _Reader(
        lambda where, path, options, model: Support(*text_support(path, options)),
        lambda path, columns: Inputs(*text_inputs(path, columns)),
        words=True,
        streamed=streamed_texts,
    ),
    "recordings": _Reader(
        lambda where, path, options, model: Support(*recording_support(path, options)),
        lambda path, columns: Inputs(*recording_inputs(path, columns)),
        goes_on=True,
    ),
}


def streamed_inputs(
    paths: Sequence[Path],
    model: Model | Classifier,
    columns: Mapping[str, str | Sequence[str]] | None = None,
) -> Iterator[Inputs] | None:
    """Returns the inputs some at a time, as they are read; None where a model's are read whole."""
    reader = _READERS.get(model.takes)
    if reader is None or reader.streamed is None:
        return None
    return (Inputs(names, some) for names, some in reader.streamed(paths, columns))


def in_words(model: Model | Classifier) -> bool:
    """Whether inputs are words, of which the name of a class can be one."""
    reader = _READERS.get(model.takes) if isinstance(model, Model) else None
    return reader is not None and reader.words


def in_files(model: Model | Classifier) -> bool:
    """Whether each input is an image or a recording, which may be damaged and be left out."""
    reader = _READERS.get(model.takes)
    return domain_of(model.read_format).in_files if reader is None else reader.goes_on


def can_listen(model: Model | Classifier) -> bool:
    """Whether a model's inputs may be long: a window is then slid over them."""
    reader = _READERS.get(model.takes) if isinstance(model, Model) else None
    return reader is not None and reader.goes_on


@contextmanager
def opened_images(where: str, path: Path) -> Iterator[ImageFiles]:
    """The images of a folder or a zip."""
    if path.is_dir():
        try:
            files = find_images(path)
        except OSError as error:
            raise DataError(f"folder '{path}' cannot be read: {error.strerror}") from error
        yield files
    elif path.suffix.lower() == ".zip" and path.is_file():
        with opened_zip(path) as files:
            yield files
    else:
        what = "is no folder, .zip or .npz" if path.exists() else "does not exist"
        raise DataError(f"{where} {what}; expected a folder with one folder per class")


def pictures(
    where: str,
    names: Sequence[str],
    load: Any,
    input_format: InputFormat,
    declared: ValueRange | None,
) -> list[Any]:
    """Every image of a support, decoded once to be sure of it."""
    value_range = wide_range(len(names), lambda i: load(names[i]), declared, where)
    sources = []
    for name in names:
        source = load(name)
        try:
            decode_image(source, input_format.shape, input_format.polarity, value_range)
            sources.append(_source(source, input_format, value_range))
        except DataError as error:
            check_heif(where, names, np.empty(0, np.int64), load)
            reason = str(error).partition("cannot be read: ")[2] or str(error)
            raise DataError(
                f"support image '{tidy(name)}' of {where[8:]} cannot be read: {reason}; mend or "
                f"remove it"
            ) from error
    return sources


def _source(
    source: Path | bytes | Page, input_format: InputFormat, value_range: ValueRange | None
) -> Any:
    """A file as it is; a page, or a file whose range was declared, as a picture of 8 bits."""
    if value_range is None and not isinstance(source, Page):
        return source
    pixels = decode_image(source, input_format.shape, "as_is", value_range)
    return Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))


def of_support(found: ClassFolders) -> tuple[list[LeftOut], list[str]]:
    """What was left out and what is to be noted; parts mean nothing to a support."""
    left_out = [item for item in found.left_out if not item.what.startswith("the split into")]
    merged = len(left_out) < len(found.left_out)
    return left_out, found.notes + ["the parts were merged: all are examples"] * merged


def _examples(inputs: np.ndarray, offsets: np.ndarray | None) -> Any:
    """The examples of an npz: an array, or the bytes of encoded images."""
    if offsets is None:
        return inputs
    return [inputs[a:b].tobytes() for a, b in pairwise(offsets.tolist())]


def _stacked(where: str, sources: dict[str, Picture]) -> np.ndarray:
    """One array of the examples in npy files; raises `DataError` if one is damaged or differs."""
    arrays = []
    for name, source in sources.items():
        assert isinstance(source, (Path, bytes))
        try:
            arrays.append(load_array(source))
        except (OSError, ValueError, EOFError, SyntaxError, TypeError) as error:
            raise DataError(
                f"support array '{tidy(name)}' of {where[8:]} cannot be read "
                f"({' '.join(str(error).split())[:100]}); mend or remove it"
            ) from error
        if arrays[-1].shape != arrays[0].shape:
            raise DataError(
                f"{where}: '{tidy(name)}' has shape {list(arrays[-1].shape)}, others "
                f"{list(arrays[0].shape)}; give arrays of one shape"
            )
    return np.stack(arrays)


def _of_images(files: list[Path]) -> list[Inputs]:
    """Files as inputs, a TIFF of several pages as several."""
    if not files:
        return []
    pages = with_pages(ImageFiles([str(file) for file in files], Path))
    sources = [pages.load(name) for name in pages.paths]
    return [Inputs(list(pages.paths), [s for s in sources if isinstance(s, (Path, Page))])]


def _joined(groups: list[Inputs]) -> list[Inputs]:
    """Neighbours of files as one: their images are then embedded together."""
    joined: list[Inputs] = []
    for group in groups:
        if joined and isinstance(group.X, list) and isinstance(joined[-1].X, list):
            last = joined.pop()
            group = Inputs([*last.names, *group.names], [*last.X, *group.X])
        joined.append(group)
    return joined


def _of_array(path: Path, input_format: InputFormat) -> Inputs:
    """The array of an npy file: several inputs, or one by itself."""
    try:
        array = load_array(path)
    except (OSError, ValueError, EOFError, SyntaxError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"'{path}' cannot be read as an array: {reason}") from error
    if domain_of(input_format).is_one(array.shape):
        return Inputs([str(path)], array[None])
    if array.ndim < 2:
        raise DataError(f"'{path}': expected X as [n, ...], got shape {list(array.shape)}")
    return Inputs([f"{path}[{row}]" for row in range(len(array))], array)


def _wants_vectors(input_format: InputFormat, path: Path, kinds: str) -> str:
    numbers = input_format.shape[0]
    return (
        f"the model takes vectors of {numbers} numbers: give it a table or an {kinds}, not '{path}'"
    )
