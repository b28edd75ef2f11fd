"""Readers: `read(data)` looks at what the data is and returns it as a `Reading`.

Folders and zips of images, recordings or texts with one folder per class, npz files, the original
layouts of Omniglot and CIFAR, tables (CSV, JSONL, Parquet); and arrays (`read_arrays`) and data
frames (`read_frame`) in memory.
Data that cannot be read raises `DataError`, one line; single images, files and classes that cannot
be used are left out and counted in `Reading.left_out`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from metaloop.core.errors import DataError
from metaloop.tasks.readers.arrays import read_arrays
from metaloop.tasks.readers.cifar import is_cifar, read_cifar
from metaloop.tasks.readers.image_files import is_hidden
from metaloop.tasks.readers.image_folder import list_images, read_image_folder
from metaloop.tasks.readers.images import decode_image
from metaloop.tasks.readers.npz import read_npz
from metaloop.tasks.readers.omniglot import is_omniglot, read_omniglot
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.readers.ratings import is_ratings_file, read_ratings_file
from metaloop.tasks.readers.recording_arrays import read_recordings
from metaloop.tasks.readers.recording_folder import (
    holds_recordings,
    read_recording_folder,
    read_recording_zip,
)
from metaloop.tasks.readers.relations import holds_relations, read_relations
from metaloop.tasks.readers.stored import is_stored, read_stored
from metaloop.tasks.readers.summaries import holds_summary_tables, read_summary_tables
from metaloop.tasks.readers.summary_folders import holds_pairs, read_pairs
from metaloop.tasks.readers.table_files import read_table_file, reading_of_table
from metaloop.tasks.readers.tables import is_table, table_of
from metaloop.tasks.readers.text_folder import holds_texts, read_text_folder, read_text_zip
from metaloop.tasks.readers.zip_archive import read_zip_archive
from metaloop.tasks.store import Reading
from metaloop.tasks.value_range import ValueRange, declared_range

if TYPE_CHECKING:
    from metaloop.tasks.readers.download import download_omniglot

__all__ = [
    "decode_image",
    "download_omniglot",
    "holds_images",
    "list_images",
    "read",
    "read_arrays",
    "read_frame",
    "read_recordings",
]

SUPPORTED = (
    "a folder of images with one folder per class, a zip of that, an .npz with X and y, "
    "the same of recordings or of text files, "
    "a table (.csv, .tsv, .jsonl, .json or .parquet, each also .gz), documents and summaries as "
    "text files in pairs, MovieLens' u.data, "
    "a folder with Omniglot's images_background.zip and images_evaluation.zip, one with the "
    "original files of CIFAR-10 or CIFAR-100, the .tar.gz that these come in, or a store that "
    "'metaloop data DATA --cache' wrote"
)
_SINGLE_FILES = {".npz": read_npz, ".zip": read_zip_archive}
_NOTES = ("", ".md", ".txt", ".rst", ".html", ".pdf")  # what may lie beside a single data file


def read(
    data: str | Path,
    *,
    image_size: int | None = None,
    channels: int | None = None,
    polarity: Literal["as_is", "ink"] | None = None,
    strict: bool = False,
    classes_at: int | None = None,
    value_range: ValueRange | None = None,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    speaker_pattern: str | None = None,
    clip_seconds: float | int | None = None,
    detail: int | Callable[[int], int] = 0,
    detail_bytes: int = 0,
    features: Sequence[str] = (),
) -> Reading:
    """Returns what is found at `data`, with everything that was left out.

    Images become squares of `image_size` (default 28 if all are grey, else 32; squashed, not
    cropped) with `channels` 1 or 3 (default: 1 if all are grey). Polarity `ink` inverts every image
    whose border is bright, so that what is drawn is high; it is the default for grey sets in
    which most borders are nearly white. `classes_at`: how many folders below the data the classes
    are, where the rule of `layout.py` is not what is meant. `value_range`: black and white of
    pixels of more than 8 bits, and of arrays. `columns`: which columns of a table are what, where
    their names do not say so: `{"label": "intent", "ignore": ["id"]}`. Of recordings
    `speaker_pattern` is a regular expression whose first group is the speaker in a path, and
    `clip_seconds` (default 10) is the most that is used of one. `detail`: the side in pixels
    of the images that are kept beside the others for encoders, 0 for none, or a function of how
    many images there are; with `detail_bytes` they are no larger than they came and take no more
    than so many bytes. `features`: the columns of numbers that a model was trained with; a table
    has these and no others. Raises `DataError` where there is no usable data, and with `strict`
    also if anything was left out.
    """
    value_range = declared_range(value_range)
    options = ReadOptions(
        image_size, channels, polarity, strict, classes_at, value_range, columns, detail,
        detail_bytes, tuple(features), speaker_pattern, clip_seconds,
    )  # fmt: skip
    if not str(data):
        raise DataError(f"no path given; expected {SUPPORTED}")
    path = Path(data)
    try:
        path = path.expanduser()
        return _read(path, options)
    except DataError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or " ".join(
            str(error).split()
        )
        raise DataError(f"{str(path)!r} cannot be read: {reason}") from error
    except MemoryError as error:
        raise DataError(
            f"{str(path)!r} does not fit in memory; use fewer images or a smaller image size"
        ) from error


def read_frame(
    frame: Any,
    *,
    name: str = "table",
    columns: Mapping[str, str | Sequence[str]] | None = None,
    strict: bool = False,
    features: Sequence[str] = (),
) -> Reading:
    """Returns the reading of a data frame, as that of a file with such a table would be.

    `frame`: of pandas or polars, an Arrow table or a dictionary of columns. Raises `DataError`.
    """
    options = ReadOptions(strict=strict, columns=columns, features=tuple(features))
    return reading_of_table(name, table_of(frame, name), options)


def _read(path: Path, options: ReadOptions) -> Reading:
    """Chooses the reader by looking at the path."""
    if not os.path.lexists(path):
        raise DataError(f"{str(path)!r} does not exist; expected {SUPPORTED}")
    if is_stored(path):
        return read_stored(path, options)
    single = _single_file(path) if path.is_dir() and not is_omniglot(path) else None
    if single:
        return _read(single, options)
    if holds_relations(path):
        return read_relations(path, options)
    if holds_summary_tables(path, options):
        return read_summary_tables(path, options)
    if is_table(path) and not path.is_dir():
        return read_table_file(path, options)
    if is_ratings_file(path):
        return read_ratings_file(path, options)
    if holds_pairs(path):
        return read_pairs(path, options)
    options.refuse_columns(repr(str(path)))
    is_folder = path.is_dir() and not is_omniglot(path)
    if (is_folder or path.suffix.lower() == ".zip") and holds_recordings(path):
        return (read_recording_folder if is_folder else read_recording_zip)(path, options)
    if path.suffix.lower() != ".npz":
        options.refuse_recordings(repr(str(path)))
    if is_cifar(path):
        return read_cifar(path, options)
    if (is_folder or path.suffix.lower() == ".zip") and holds_texts(path):
        return (read_text_folder if is_folder else read_text_zip)(path, options)
    if path.is_dir():
        reader_of_folder = read_omniglot if is_omniglot(path) else read_image_folder
        return reader_of_folder(path, options)
    reader = _SINGLE_FILES.get(path.suffix.lower())
    if reader is None or not path.is_file():
        raise DataError(f"{str(path)!r} is not a kind of data that is supported: {SUPPORTED}")
    return reader(path, options)


def holds_images(path: Path) -> bool:
    """Returns whether a folder or file may hold images: those of recordings, of texts do not."""
    if is_table(path) or not (path.is_dir() or path.suffix.lower() == ".zip"):
        return not is_table(path) and not is_stored(path)  # it has none as large as they came
    try:
        return not holds_recordings(path) and not holds_texts(path)
    except (OSError, DataError):
        return True  # whoever reads it says what is wrong


def _single_file(folder: Path) -> Path | None:
    """The one npz, zip or table of a folder that holds nothing else but notes, as a README."""
    entries = [entry for entry in folder.iterdir() if not is_hidden(entry.name)]
    data = [e for e in entries if e.suffix.lower() in _SINGLE_FILES or is_table(e)]
    notes = [entry for entry in entries if entry.suffix.lower() in _NOTES and not entry.is_dir()]
    return data[0] if len(data) == 1 and len(notes) + 1 == len(entries) else None


def __getattr__(name: str) -> Any:
    """Imports the download, and with it the network code, only when it is asked for."""
    if name == "download_omniglot":
        from metaloop.tasks.readers.download import download_omniglot

        return download_omniglot
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
