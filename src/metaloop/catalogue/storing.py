"""Stores of data: built from whatever was read, checked as a whole where somebody looks at one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from metaloop.catalogue.families import DataOptions, read_as_asked
from metaloop.core.errors import DataError
from metaloop.tasks.readers import read
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.readers.stored import check_content, is_stored, write_stored


def stored(data: str, options: DataOptions, path: Path) -> None:
    """Writes what DATA is read as to a new file, from which every verb reads the same.

    Examples are read into a file, too, where they are many, so that memory holds a few. Raises
    `DataError` for data that are neither images nor vectors, `OutputError` for the file.
    """
    if data == "sinusoid":
        raise DataError("sinusoids are functions, not data; there is nothing to store")
    source = Path(data)
    if is_stored(source):
        raise DataError(f"'{data}' is a store already")
    asked = ReadOptions(
        options.image_size, strict=options.strict, classes_at=options.classes_at,
        value_range=options.value_range, columns=options.columns,
        speaker_pattern=options.speaker_pattern,
    )  # fmt: skip
    reading = read_as_asked(data, options)
    write_stored(reading, path, source if source.exists() else None, asked)


def checked_store(data: str) -> Any:
    """Returns DATA as it is; of a store all examples were looked at before, and are as written."""
    if is_stored(Path(data)):
        check_content(read(data))
    return data
