"""Folders and zips of text files, one folder per class: a file is one text.

Folders are classes by the rule of `layout.py`. A file is read in the encoding that it is in, as a
CSV file would be; what is empty or no text is left out, counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from metaloop.core.columns import Texts
from metaloop.core.errors import DataError
from metaloop.tasks.readers.class_folders import arrange
from metaloop.tasks.readers.finish import explain, finish, tally
from metaloop.tasks.readers.image_files import FileKind, ImageFiles
from metaloop.tasks.readers.image_folder import find_images, walk
from metaloop.tasks.readers.images import Picture
from metaloop.tasks.readers.names import tidy
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.readers.table_files import MOST_CHARACTERS
from metaloop.tasks.readers.text_encoding import GUESSED, encoding_of
from metaloop.tasks.readers.text_labels import contradictions
from metaloop.tasks.readers.zip_archive import opened_zip
from metaloop.tasks.store import ClassInfo, LeftOut, Reading

TEXT_SUFFIXES = (".txt", ".text")
TEXTS = FileKind("text", "a text", lambda name, head: name.lower().endswith(TEXT_SUFFIXES))
_MOST_BYTES = 4 * MOST_CHARACTERS  # a character has four at most
_LOOKED_AT = 5000  # files that decide what a folder is
_EMPTY, _NO_TEXT = "empty", "no text: bytes that no text has"
_LONG = f"a text of more than {MOST_CHARACTERS:,} characters"


@dataclass(frozen=True)
class FolderTexts:
    """N texts of folders, with the class of each and its published part, where there is one."""

    texts: list[str]
    targets: np.ndarray
    classes: list[ClassInfo]
    parts: np.ndarray | None
    left_out: list[LeftOut]
    notes: list[str]


def holds_texts(path: Path) -> bool:
    """Returns whether most files in the folders of a folder or zip are texts, by names alone.

    Notes beside images, or a text for each, make no folder of texts.
    """
    if path.is_dir():
        found = list(islice(walk(path, TEXTS.matches), _LOOKED_AT))
        texts = sum(what == "example" and "/" in name for name, what in found)
        return texts > sum(what == "other" for _, what in found)
    with opened_zip(path, TEXTS) as files:
        texts = sum("/" in name for name in files.paths)
        return texts > sum(item.count for item in files.left_out)


def read_text_folder(folder: Path, options: ReadOptions) -> Reading:
    """Returns the reading of a folder of text files, one folder per class."""
    where, kind = f"folder {str(folder)!r}", "folder of texts, one folder per class"
    return _read(where, folder.resolve().name, kind, find_images(folder, TEXTS), options)


def read_text_zip(path: Path, options: ReadOptions) -> Reading:
    """Returns the reading of a zip of such folders."""
    kind = "zip of texts, one folder per class"
    with opened_zip(path, TEXTS) as files:
        return _read(f"zip {str(path)!r}", path.stem, kind, files, options)


def texts_in(where: str, files: ImageFiles, classes_at: int | None = None) -> FolderTexts:
    """Returns the texts of files in class folders; raises `DataError` if none can be used."""
    found = arrange(where, files, classes_at)
    texts: list[str] = []
    used: list[int] = []
    guessed: list[str] = []
    refused: dict[str, list[str]] = defaultdict(list)
    for place, name in enumerate(found.paths):
        text, encoding = read_text(found.load(name))
        if encoding is None:
            refused[text].append(tidy(name))
            continue
        texts.append(text)
        used.append(place)
        if encoding in GUESSED:
            guessed.append(tidy(name))
    left_out = [*found.left_out, *(tally(names, reason) for reason, names in refused.items())]
    if not texts:
        raise DataError(f"{where}: no text can be used; left out: {explain(left_out)}")
    notes = list(found.notes)
    if guessed:
        is_one = len(guessed) == 1
        notes.append(
            f"{len(guessed):,} text{' is' if is_one else 's are'} {GUESSED['cp1252']}; the first "
            f"is {guessed[0]}"
        )
    labels = [found.classes[target].name for target in found.targets[used].tolist()]
    notes += contradictions(texts, labels, "files")
    parts = None if found.parts is None else found.parts[used]
    return FolderTexts(texts, found.targets[used], found.classes, parts, left_out, notes)


def read_text(source: Picture) -> tuple[str, str | None]:
    """Returns the text of a file and its encoding; else why there is none, and None."""
    assert isinstance(source, (Path, bytes))
    if isinstance(source, Path):
        try:
            with source.open("rb") as file:
                source = file.read(_MOST_BYTES + 1)
        except OSError:
            return "cannot be opened", None
    content = source
    if len(content) > _MOST_BYTES:
        return _LONG, None
    encoding = encoding_of(lambda: [content])
    if encoding is None:
        return _NO_TEXT, None
    text = content.decode(encoding).replace("\r\n", "\n").strip()
    if "\0" in text:
        return _NO_TEXT, None
    if not text:
        return _EMPTY, None
    return (text, encoding) if len(text) <= MOST_CHARACTERS else (_LONG, None)


def _read(where: str, name: str, kind: str, files: ImageFiles, options: ReadOptions) -> Reading:
    options.refuse_pixels(where)
    found = texts_in(where, files, options.classes_at)
    return finish(
        where,
        kind,
        Texts.of(found.texts),
        found.targets,
        found.classes,
        found.left_out,
        name=name,
        strict=options.strict,
        notes=found.notes,
        example_parts=found.parts,
    )


def texts_of_files(paths: Sequence[Path]) -> tuple[str, ...]:
    """Returns the texts of these files; raises `DataError` for the first that has none."""
    texts = []
    for path in paths:
        text, encoding = read_text(path)
        if encoding is None:
            raise DataError(f"'{path}' cannot be used: {text}")
        texts.append(text)
    return tuple(texts)
