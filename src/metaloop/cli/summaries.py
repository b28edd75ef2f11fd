"""Documents and summaries of `predict` and `fit`: tables, pairs of files, and extracts in print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metaloop.api.speaking import warn
from metaloop.core.columns import Texts
from metaloop.core.errors import DataError, ModelFileError
from metaloop.tasks.readers.finish import tally
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.readers.sentences import lines_of, sentences_in
from metaloop.tasks.readers.summaries import (
    BETWEEN,
    DOCUMENT,
    ODD_LIST,
    REFERENCES,
    document_column,
    document_of,
    reading_of_summaries,
    roles_of,
)
from metaloop.tasks.readers.summary_folders import (
    holds_pairs,
    read_document,
    read_pairs,
    summaries_among,
)
from metaloop.tasks.readers.tables import TABLE_ENDINGS, is_table, read_table
from metaloop.tasks.readers.text_folder import TEXT_SUFFIXES
from metaloop.tasks.store import LeftOut, Reading

if TYPE_CHECKING:
    from metaloop.cli.inputs import Inputs
    from metaloop.estimators.documents import Extract
    from metaloop.models import Model
    from metaloop.models.classifier import Classifier

Columns = Mapping[str, str | Sequence[str]]
_PAGES = (*TEXT_SUFFIXES, ".md", ".html", ".htm")


class _NothingInItError(DataError):
    """An input that is there and has no word in it."""


def takes_documents(model: Model | Classifier) -> bool:
    """Whether a model was trained on documents with summaries."""
    return model.takes == "documents"


def pairs_support(
    where: str, path: Path, options: ReadOptions
) -> tuple[list[list[str]], list[list[str]], Sequence[LeftOut], Sequence[str]]:
    """Returns sentences of documents, their summaries, what was left out, and what to note."""
    reading = _pairs(where, path, options)
    texts = []
    for name in (DOCUMENT, REFERENCES):
        assert isinstance(reading.store.inputs, dict)
        column = reading.store.inputs[name]
        assert isinstance(column, Texts)
        texts.append(column.all())
    documents, references = texts
    return (
        [lines_of(text) for text in documents],
        [text.split(BETWEEN) for text in references],
        reading.left_out,
        reading.notes[:1],
    )


def documents_inputs(
    path: Path, columns: Columns | None
) -> tuple[list[str], tuple[list[str], ...]]:
    """Returns names and sentences of documents: a text file each, a folder of them, a table.

    Of several those without a word are left out, and of a folder of pairs the summaries, counted
    and told of. Raises `DataError` where nothing is left.
    """
    if is_table(path) and path.is_file():
        return _of_table(path, columns)
    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if each.suffix.lower() in _PAGES)
        if not files:
            raise DataError(f"'{path}' has no text files; expected documents (.txt) or a table")
    elif path.suffix.lower() in _PAGES and path.is_file():
        files = [path]
    else:
        what = "" if path.exists() else ", which does not exist"
        raise DataError(
            f"the model takes documents: give it text files (.txt, .html), a folder of them or a "
            f"table with a column document ({', '.join(TABLE_ENDINGS)}), not '{path}'{what}"
        )
    kept: list[tuple[str, list[str]]] = []
    left_out: dict[str, list[str]] = {}
    summaries = summaries_among([each.relative_to(path).as_posix() for each in files])
    for file in files:
        if file.relative_to(path).as_posix() in summaries:
            left_out.setdefault("is the summary of another", []).append(f"'{file}'")
            continue
        text = read_document(file)
        lines = sentences_in(text or "")
        if lines:
            kept.append((str(file), lines))
        else:
            reason = "is no text" if text is None else "has no word in it"
            left_out.setdefault(reason, []).append(f"'{file}'")
    return _used(f"'{path}'", kept, left_out)


def _used(
    where: str, kept: list[tuple[str, list[str]]], left_out: Mapping[str, list[str]]
) -> tuple[list[str], tuple[list[str], ...]]:
    """Names and documents that can be used; the others are told of, and where all are, refused."""
    told = [tally(names, reason) for reason, names in left_out.items()]
    if not kept:
        several = "; ".join(f"{item.what} {item.reason}" for item in told)
        raise _NothingInItError(several or f"{where} has no documents")
    for item in told:
        warn(f"left out: {item.count:,} x {item.reason}: {item.what}")
    return [name for name, _ in kept], tuple(lines for _, lines in kept)


def told_of_documents(
    estimator: Any,
    model: Path,
    inputs: Sequence[Path],
    columns: Columns | None,
    length: tuple[int | None, int | None, float | None],
    as_json: bool,
) -> dict[str, Any] | list[str] | None:
    """Returns the summary of each input, or what `--json` says of them; None for other models.

    `length`: in words, sentences, or as a ratio. Raises `ModelFileError` where one was asked of a
    model that was trained on no documents.
    """
    from metaloop.cli.inputs import model_of, read_inputs

    if not takes_documents(model_of(estimator)):
        if length != (None, None, None):
            raise ModelFileError(
                f"'{model}' was not trained on documents; leave --words, --sentences and --ratio "
                "away"
            )
        return None
    groups: list[Inputs] = []
    empty: list[DataError] = []
    for path in inputs:
        try:
            groups += read_inputs([path], model_of(estimator), columns)
        except _NothingInItError as error:
            empty.append(error)
    if empty and not groups:
        raise empty[0]
    for each in empty:
        warn(f"left out: {each}")
    names = [name for group in groups for name in group.names]
    documents: list[Any] = [lines for group in groups for lines in group.X]
    rows = _summarised(estimator, names, documents, *length)
    if as_json:
        return {"model": str(model), "predictions": rows}
    return [str(row["summary"]) for row in rows]


def _summarised(
    estimator: Any,
    names: Sequence[str],
    documents: Sequence[list[str]],
    words: int | None,
    sentences: int | None,
    ratio: float | None,
) -> list[dict[str, Any]]:
    """Returns what `--json` says of each document; tells of those that are no usual extracts."""
    from metaloop.estimators.summarising import summarise

    found = summarise(estimator, documents, words=words, sentences=sentences, ratio=ratio)
    told = list(zip(names, found, strict=True))
    cut = [f"'{name}' ({each.words} words)" for name, each in told if each.cut]
    whole = [f"'{name}' ({each.of_words} words)" for name, each in told if each.whole]
    for several, what in (
        (cut, "no sentence is that short; one was cut"),
        (whole, "all of it is within the length"),
    ):
        if several:
            warn(f"{tally(several, what).what}: {what}")
    return [_row(name, each) for name, each in told]


def _row(name: str, extract: Extract) -> dict[str, Any]:
    told = zip(extract.places, extract.scores, extract.sentences, strict=True)
    return {
        "input": name,
        "summary": extract.summary,
        "confidence": None,
        "words": extract.words,
        "of_words": extract.of_words,
        "sentences": [{"place": p, "score": score, "text": text} for p, score, text in told],
        "cut": extract.cut,
        "whole": extract.whole,
    }


def _pairs(where: str, path: Path, options: ReadOptions) -> Reading:
    if holds_pairs(path, 1):
        return read_pairs(path, options)
    if not (is_table(path) and path.is_file()):
        what = "is none" if path.exists() else "does not exist"
        raise DataError(
            f"{where} {what}: the model summarises documents, expected a table with the columns "
            f"document and summary ({', '.join(TABLE_ENDINGS)}), or a folder of text files in pairs"
        )
    table = read_table(path)
    roles = roles_of(table, options.columns)
    if roles is None:
        raise DataError(
            f"{where} has the columns {', '.join(table.columns)}, and no document with a summary "
            "among them; name them with --columns document=NAME,summary=NAME"
        )
    return reading_of_summaries(where, table, roles, options)


def _of_table(path: Path, columns: Columns | None) -> tuple[list[str], tuple[list[str], ...]]:
    table = read_table(path)
    name = document_column(f"table '{path}'", table, columns)
    kept: list[tuple[str, list[str]]] = []
    left_out: dict[str, list[str]] = {}
    for row, cell in enumerate(table.columns[name].tolist()):
        try:
            lines, reason = lines_of(document_of(str(cell))), f"has no word in {name!r}"
        except DataError:
            lines, reason = [], ODD_LIST
        if lines:
            kept.append((f"{path}[{row}]", lines))
        else:
            left_out.setdefault(reason, []).append(f"'{path}', row {row + 1}")
    return _used(f"table '{path}'", kept, left_out)
