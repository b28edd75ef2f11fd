"""Folders of text files in pairs: a document and its summary, told by names.

    articles/sport/001.txt  summaries/sport/001.txt     two folders, the same names below them
    001.txt  001.summary.txt                            beside each other

A document may have several: `001.summary1.txt`, `001.summary2.txt`, either way. What lies between
is the domain: `sport`. Files without a partner are left out, counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Final

from metaloop.core.errors import DataError
from metaloop.tasks.readers.finish import tally
from metaloop.tasks.readers.image_folder import walk
from metaloop.tasks.readers.names import tidy
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.readers.sentences import as_document
from metaloop.tasks.readers.summaries import Found, finished, references_in
from metaloop.tasks.readers.text_encoding import encoding_of
from metaloop.tasks.readers.text_folder import TEXTS
from metaloop.tasks.store import Reading

KIND: Final = "folder of documents and summaries, a text file each"
MOST_BYTES: Final = 1 << 25  # of a document
_DOCUMENTS = re.compile(r"\b(articles?|documents?|docs|texts?|sources?|stories|dialogues?|input)\b")
_SUMMARIES = re.compile(r"\b(summary|summaries|references?|highlights|abstracts?|targets?)\b")
_BESIDE = re.compile(r"[._ -](?:summary|reference|highlights)\d*$", re.I)
_LOOKED_AT = 5000  # files that decide what a folder is


@dataclass(frozen=True)
class Pair:
    """A document and its summaries, by relative paths, and the folder that they have in common."""

    document: str
    summaries: tuple[str, ...]
    domain: str


def holds_pairs(path: Path, least: int = 2) -> bool:
    """Returns whether a folder holds text files in so many pairs, by their names alone."""
    if not path.is_dir():
        return False
    found = pairs(_names(path, _LOOKED_AT))[0]
    return len(found) >= least


def read_pairs(path: Path, options: ReadOptions) -> Reading:
    """Returns the reading of a folder of pairs; raises `DataError` if none can be used."""
    where = f"folder {str(path)!r}"
    options.refuse_depth(where)
    options.refuse_columns(where)
    found, lonely = pairs(_names(path, None))
    result = Found(notes=[f"{len(found):,} pairs of text files, told by their names"])
    bad = []
    for pair in found:
        texts = [read_document(path / name) for name in (pair.document, *pair.summaries)]
        lines = as_document(texts[0] or "")
        references = [each for text in texts[1:] for each in references_in(text or "")]
        if not lines or not references:
            bad.append(tidy(pair.document))
            continue
        result.documents.append(lines)
        result.references.append("\x1e".join(references))
        result.domains.append(pair.domain)
        result.parts.append("")
    if lonely:
        result.left_out.append(tally([tidy(name) for name in lonely], "a file without a partner"))
    if bad:
        result.left_out.append(tally(bad, "document or summary is empty or no text"))
    return finished(where, path.resolve().name, result, options)


def pairs(names: list[str]) -> tuple[list[Pair], list[str]]:
    """Returns the pairs among relative paths of text files, and what has no partner."""
    tops = {name.split("/")[0].lower() for name in names if "/" in name}
    documents = {top for top in tops if _DOCUMENTS.search(top) and not _SUMMARIES.search(top)}
    summaries = {top for top in tops if _SUMMARIES.search(top)}
    if len(documents) == 1 and len(summaries) == 1:
        return _of_two_folders(names, documents.pop(), summaries.pop())
    return _beside(names)


def summaries_among(names: list[str]) -> set[str]:
    """Returns which of these relative paths are summaries of others, told by their names."""
    return {name for pair in pairs(names)[0] for name in pair.summaries}


def read_document(path: Path) -> str | None:
    """Returns the text of a file, None of one that is no text; raises `DataError` beyond 32 MB."""
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise DataError(
            f"'{path}' has more than {MOST_BYTES >> 20} MB; a document of that size is a book: "
            "give its chapters"
        )
    encoding = encoding_of(lambda: [content])
    if encoding is None:
        return None
    text = content.decode(encoding)
    return None if "\0" in text else text


def _names(folder: Path, most: int | None) -> list[str]:
    found = islice(walk(folder, TEXTS.matches), most)
    return [name for name, what in found if what == "example"]


def _of_two_folders(
    names: list[str], documents: str, summaries: str
) -> tuple[list[Pair], list[str]]:
    of: dict[str, str] = {}
    below: list[tuple[str, str]] = []
    lonely = []
    for name in names:
        top, _, rest = name.partition("/")
        if top.lower() == summaries and rest:
            below.append((_stem(rest), name))
        elif top.lower() == documents and rest and _stem(rest) not in of:
            of[_stem(rest)] = name
        else:
            lonely.append(name)
    wanted: dict[str, list[str]] = {}
    for key, name in below:
        wanted.setdefault(key if key in of else _BESIDE.sub("", key), []).append(name)
    found, left = _paired(of, wanted)
    return found, [*lonely, *left]


def _beside(names: list[str]) -> tuple[list[Pair], list[str]]:
    plain: dict[str, str] = {}
    wanted: dict[str, list[str]] = {}
    lonely = []
    for name in names:
        key = _stem(name)
        short = _BESIDE.sub("", key)
        if short != key:
            wanted.setdefault(short, []).append(name)
        elif key not in plain:
            plain[key] = name
        else:
            lonely.append(name)
    found, left = _paired(plain, wanted)
    return found, [*lonely, *left]


def _paired(
    documents: Mapping[str, str], summaries: Mapping[str, list[str]]
) -> tuple[list[Pair], list[str]]:
    """Documents and summaries of the same key as pairs, and the files of all other keys."""
    found = [
        Pair(documents[key], tuple(sorted(summaries[key])), _folder(key))
        for key in sorted(documents)
        if key in summaries
    ]
    left = [name for key, name in documents.items() if key not in summaries]
    others = [names for key, names in summaries.items() if key not in documents]
    return found, [*left, *(name for names in others for name in names)]


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


def _folder(key: str) -> str:
    parent = str(PurePosixPath(key).parent)
    return "" if parent == "." else tidy(parent)
