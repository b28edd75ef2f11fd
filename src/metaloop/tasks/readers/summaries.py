"""Documents with summaries: tables of `document, summary[, domain]`, several of them in a folder.

A document is a text, a list of its sentences or of turns, `{"speaker": ..., "text": ...}` each; a
summary is a text or a list of several, and may be in several columns (`summary1`, ...). Which
columns are meant is told by their names, and said. The files of a folder are parts of one data set
where they are called so: `train.jsonl`, `dev.jsonl`, `test.jsonl`. A domain is a topic, a source or
an author: a task is to summarise its documents from a few of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from metaloop.core.columns import Texts
from metaloop.core.errors import DataError
from metaloop.tasks.readers.finish import explain, tally
from metaloop.tasks.readers.image_files import is_hidden
from metaloop.tasks.readers.names import tidy
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.readers.sentences import as_document, of_given, sentences_or_turns
from metaloop.tasks.readers.table_roles import columns_of_inputs, declared_columns, listed
from metaloop.tasks.readers.tables import Table, is_table, read_table
from metaloop.tasks.store import ClassInfo, LeftOut, Reading, Store

KIND: Final = "documents with summaries"
DOCUMENT, REFERENCES = "document", "references"  # fields of a reading's inputs
ROLES: Final = ("document", "summary", "domain", "group", "ignore")
BETWEEN: Final = "\x1e"  # references of one document; in no text that is read
_DOCUMENTS: Final = (
    *("document", "article", "dialogue", "dialog", "source", "text", "body", "content", "story"),
    *("transcript", "maintext", "report", "input"),
)
_SUMMARIES: Final = ("summary", "summaries", "highlights", "tldr", "abstract", "reference")
_PERHAPS: Final = ("target", "targets", "output", "description")  # if they look like summaries
_DOMAINS: Final = ("domain", "topic", "category", "section", "author", "publication", "genre")
_NUMBERED = re.compile(r"(summary|reference|highlights|target)[_ -]?\d{1,2}$")
ODD_LIST: Final = "a document that is a list has sentences, or turns with speaker and text"
_SHOWN = 60  # characters of what was found instead
_LEAST_WORDS = 4  # of what may be a summary, in the middle
_PART = re.compile(r"(?:^|[._-])(train|training|dev|val|valid|validation|test)(?:$|[._-])")
_PARTS: Final = {"train": "train", "training": "train", "test": "test"}


@dataclass(frozen=True)
class Roles:
    """The columns of a table that are the document, its summaries and its domain, if any."""

    document: str
    summaries: tuple[str, ...]
    domain: str | None

    @property
    def said(self) -> str:
        """In words, for people."""
        of = ", ".join(map(repr, self.summaries))
        domain = f", domain {self.domain!r}" if self.domain else ""
        return f"columns: document {self.document!r}, summary {of}{domain}"


@dataclass
class Found:
    """Documents as they are found: sentences a line, references, domains, published parts."""

    documents: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    domains: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def roles_of(table: Table, columns: Mapping[str, str | Sequence[str]] | None) -> Roles | None:
    """Returns the columns by roles, else by their names; None for a table that is no such.

    Raises `DataError` where one of document and summary is declared and the other not found.
    """
    declared = columns or {}
    asked = bool({"document", "summary"} & set(declared))
    if set(declared) - set(ROLES):
        return None
    named = declared_columns(f"table '{table.name}'", table, declared, ROLES)
    taken = {name for names in named.values() for name in names}
    written = {name.lower().strip(): name for name in table.columns if name not in taken}
    document = named.get("document") or [
        written[name] for name in _DOCUMENTS if name in written and table.is_text(written[name])
    ]
    summaries = named.get("summary") or _summaries(table, written, document[:1], asked)
    if not (document and summaries):
        if asked:
            lacking = "summary" if document else "document"
            raise DataError(
                f"table '{table.name}' has the columns {listed(table.columns)}, and no {lacking} "
                f"among them; name it with --columns {lacking}=NAME"
            )
        return None
    domains = (*_DOMAINS, *(f"{name}1" for name in _DOMAINS))
    domain = (
        named.get("domain")
        or named.get("group")
        or [written[name] for name in domains if name in written and written[name] != document[0]]
    )
    return Roles(document[0], tuple(summaries), domain[0] if domain else None)


def document_column(
    where: str, table: Table, columns: Mapping[str, str | Sequence[str]] | None
) -> str:
    """Returns the column of documents of a table that may have no summaries; `DataError`.

    Other columns may be declared that only a support has.
    """
    asked = columns_of_inputs(table, columns, "document", ROLES)
    named = declared_columns(where, table, asked, ROLES).get("document")
    written = {name.lower().strip(): name for name in table.columns if table.is_text(name)}
    found = named or [written[name] for name in _DOCUMENTS if name in written]
    if not found:
        raise DataError(
            f"{where} has the columns {listed(table.columns)}, and no document among them; name it "
            "with --columns document=NAME"
        )
    return found[0]


def reading_of_summaries(where: str, table: Table, roles: Roles, options: ReadOptions) -> Reading:
    """Returns the reading of a table of documents with summaries; raises `DataError`."""
    found = Found(notes=[roles.said])
    add_table(found, table, roles, "")
    return finished(where, table.name, found, options)


def holds_summary_tables(path: Path, options: ReadOptions) -> bool:
    """Returns whether a folder has several tables, the names of which say which parts they are."""
    if not path.is_dir():
        return False
    tables = _tables(path)
    return len(tables) > 1 and sum(_PART.search(stem(t)) is not None for t in tables) > 1


def read_summary_tables(path: Path, options: ReadOptions) -> Reading:
    """Returns the reading of a folder of such tables; those without summaries are left out."""
    where, found = f"folder {str(path)!r}", Found()
    for file in _tables(path):
        table = read_table(file)
        roles = roles_of(table, options.columns)
        if roles is None:
            found.left_out.append(LeftOut(file.name, "a table without documents and summaries"))
            continue
        part = _PART.search(stem(file))
        found.notes.append(f"{file.name}: {roles.said}")
        add_table(found, table, roles, _PARTS.get(part[1], "val") if part else "train")
    if not found.documents:
        raise DataError(
            f"{where}: none of its tables has documents and summaries; name the columns with "
            "--columns document=NAME,summary=NAME"
        )
    return finished(where, path.resolve().name, found, options)


def add_table(found: Found, table: Table, roles: Roles, part: str) -> None:
    """Adds the rows of a table that have both; counts those that have not."""
    texts = [_strings(table, name) for name in (roles.document, *roles.summaries)]
    domains = [""] * len(table) if roles.domain is None else _strings(table, roles.domain)
    empty, bare, odd = [], [], []
    for row, (document, *summaries) in enumerate(zip(*texts, strict=True)):
        try:
            lines = document_of(document)
        except DataError:
            odd.append(f"row {row + 1}")
            continue
        references = [each for text in summaries for each in references_in(text)]
        if not lines:
            empty.append(f"row {row + 1}")
        elif not references:
            bare.append(f"row {row + 1}")
        else:
            found.documents.append(lines)
            found.references.append(BETWEEN.join(references))
            found.domains.append(tidy(domains[row].strip()))
            found.parts.append(part)
    for names, reason in (
        (empty, "document is empty"),
        (bare, "summary is empty"),
        (odd, ODD_LIST),
    ):
        if names:
            found.left_out.append(tally(names, f"{table.name}: {reason}"))


def document_of(cell: str) -> str:
    """Returns the document in a cell: its sentences one a line, given as a list or split here.

    Turns are `Speaker: text`. Raises `DataError` for a list of anything else.
    """
    given = _listed(cell)
    if given is None:
        return as_document(cell)
    found = sentences_or_turns(given)
    if found is None:
        raise DataError(f"{ODD_LIST}; got {cell[:_SHOWN]!r}")
    return of_given(found)


def references_in(cell: str) -> Iterator[str]:
    """Yields the summaries in a cell: one text, or a list of several; none of other lists."""
    given = _listed(cell)
    texts = [cell] if given is None else given
    for text in texts if all(isinstance(each, str) for each in texts) else ():
        tidied = " ".join(text.replace(BETWEEN, " ").split())
        if tidied:
            yield tidied


def finished(where: str, name: str, found: Found, options: ReadOptions) -> Reading:
    """Returns the reading of what was found; raises `DataError` where that is nothing."""
    options.refuse_pixels(where)
    options.refuse_recordings(where)
    if not found.documents:
        raise DataError(f"{where}: no document has a summary; left out: {explain(found.left_out)}")
    if options.strict and found.left_out:
        raise DataError(
            f"{where}: {sum(item.count for item in found.left_out)} left out, which strict reading "
            f"does not allow: {explain(found.left_out)}; mend the data or read it without strict"
        )
    names = sorted(set(found.domains))
    place = {domain: index for index, domain in enumerate(names)}
    store = Store(
        {DOCUMENT: Texts.of(found.documents), REFERENCES: Texts.of(found.references)},
        torch.tensor([place[domain] for domain in found.domains], dtype=torch.int64),
        tuple(ClassInfo(domain) for domain in names),
    )
    several = sum(BETWEEN in each for each in found.references)
    told = f"{len(found.documents):,} documents" + (
        f", {several:,} of them with several summaries" if several else ""
    )
    parts = np.array(found.parts) if any(found.parts) else None
    return Reading(
        name, KIND, store, tuple(found.left_out), (*found.notes, told), example_parts=parts
    )


def stem(path: Path) -> str:
    """Returns a file's name without its endings, in lower case."""
    name = path.name.lower().removesuffix(".gz")
    return name.rpartition(".")[0] or name


def _tables(folder: Path) -> list[Path]:
    entries = sorted(entry for entry in folder.iterdir() if not is_hidden(entry.name))
    return [entry for entry in entries if entry.is_file() and is_table(entry)]


def _summaries(
    table: Table, written: Mapping[str, str], document: Sequence[str], asked: bool
) -> list[str]:
    """The columns of summaries by their names, the surest names first."""
    there = {low: name for low, name in written.items() if name not in document}
    numbered = [name for low, name in there.items() if _NUMBERED.match(low)]
    if numbered:
        return sorted(numbered)
    for names, sure in ((_SUMMARIES, True), (_PERHAPS, False)):
        for low in names:
            if low in there and (sure or asked or _like_summaries(table, there[low])):
                return [there[low]] if table.is_text(there[low]) else []
    return []


def _like_summaries(table: Table, name: str) -> bool:
    """Whether cells are texts of some words, hardly any of which repeats: no labels."""
    if not table.is_text(name):
        return False
    texts = [str(text) for text in table.columns[name].tolist() if str(text).strip()]
    words = float(np.median([len(text.split()) for text in texts])) if texts else 0.0
    return words >= _LEAST_WORDS and len(set(texts)) > 0.8 * len(texts)


def _strings(table: Table, name: str) -> list[str]:
    values = table.columns[name]
    if table.is_text(name):
        return [str(each) for each in values.tolist()]
    return ["" if each != each else f"{each:g}" for each in values.tolist()]


def _listed(cell: str) -> list[Any] | None:
    """The items of a list, as JSON has it; None of a cell that is none."""
    if not cell.lstrip().startswith("["):
        return None
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) else None
