"""Readings of tables: classes of vectors or of texts, and groups, each of which is a function."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metaloop.core.columns import Texts
from metaloop.core.errors import DataError
from metaloop.tasks.readers.arrays import read_examples
from metaloop.tasks.readers.finish import MIN_EXAMPLES, explain, finish, tally
from metaloop.tasks.readers.labels import read_labels
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.readers.ratings import is_of_ratings, read_ratings
from metaloop.tasks.readers.recording_tables import is_of_recordings, read_recording_table
from metaloop.tasks.readers.summaries import reading_of_summaries, roles_of
from metaloop.tasks.readers.table_roles import Roles, find_roles, same_columns
from metaloop.tasks.readers.tables import Table, read_table
from metaloop.tasks.readers.text_labels import check_labels, contradictions
from metaloop.tasks.store import LeftOut, Reading, Store

MOST_CHARACTERS = 1_000_000  # of a text; a longer one is a file in a cell
_NUL = "\0"
_BETWEEN = " [SEP] "  # of two texts: what BERT and its kin were trained with


@dataclass(frozen=True)
class TextRows:
    """Texts with a label of each, from the rows that have both; `split`, `group` as they stand.

    `notes`: what is to be said of labels that may be several, and of texts that have several.
    """

    texts: list[str]
    labels: np.ndarray
    split: np.ndarray | None
    group: np.ndarray | None
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]


def read_table_file(path: Path, options: ReadOptions) -> Reading:
    """Returns the reading of a table in a file; raises `DataError` as `read_table` does."""
    return reading_of_table(f"table {str(path)!r}", read_table(path), options, path.parent)


def reading_of_table(
    where: str, table: Table, options: ReadOptions, root: Path | None = None
) -> Reading:
    """Returns the reading of a table, by the roles of its columns; it names files below `root`.

    Raises `DataError` for tables that are none of the kinds of `table_roles.py`, and for rows with
    numbers that are missing.
    """
    options.refuse_depth(where)
    if is_of_recordings(table, options.columns):
        return read_recording_table(where, table, root, options)
    options.refuse_recordings(where)
    if is_of_ratings(table, options.columns):
        return read_ratings(where, table, options)
    pairs = roles_of(table, options.columns)
    if pairs is not None:
        return reading_of_summaries(where, table, pairs, options)
    roles = find_roles(where, table, options.columns)
    _check_texts(where, table, roles)
    if options.features and roles.kind != "text":
        known = same_columns(where, table, roles.features, options.features)
        roles = replace(roles, features=known)
    if roles.kind == "groups":
        return _read_groups(where, table, roles, options)
    if roles.kind == "text":
        return _read_texts(where, table, roles, options)
    return _read_classes(where, table, roles, options)


def text_rows(where: str, table: Table, roles: Roles) -> TextRows:
    """Returns the texts and labels of a table of texts; rows that lack one are left out, counted.

    `roles` are those that `find_roles` gave it, of the kind `text`. Raises `DataError` for rows
    with several labels and for NUL bytes.
    """
    assert roles.text is not None and roles.label is not None
    rows, left_out = _complete(table, (roles.text, roles.label))
    long = np.array([len(text) > MOST_CHARACTERS for text in table.columns[roles.text]]) & rows
    if long.any():
        reason = f"a text of more than {MOST_CHARACTERS:,} characters"
        left_out.append(tally([f"row {row + 1}" for row in np.flatnonzero(long)], reason))
        rows = rows & ~long
    texts = texts_of(where, table, roles.text, roles.pair, rows)
    labels = _strings(table.columns[roles.label][rows])
    written = labels.tolist()
    return TextRows(
        texts,
        labels,
        _optional(table, roles.split, rows),
        _optional(table, roles.group, rows),
        tuple(left_out),
        (*check_labels(where, written), *contradictions(texts, written)),
    )


def texts_of(where: str, table: Table, text: str, pair: str | None, rows: Any = ...) -> list[str]:
    """Returns the texts of a table, each with the second one of its row behind it.

    Raises `DataError` for a text with a NUL byte, by its row.
    """
    texts = [str(each) for each in table.columns[text][rows]]
    if pair is not None:
        second = table.columns[pair][rows]
        texts = [f"{one}{_BETWEEN}{two}" for one, two in zip(texts, second, strict=True)]
    nul = next((place for place, each in enumerate(texts) if _NUL in each), None)
    if nul is not None:
        row = np.arange(len(table.columns[text]))[rows][nul] + 1
        raise DataError(f"{where}, row {row}: a NUL byte, which no text holds; take it out")
    return texts


def numbers_of(table: Table, names: tuple[str, ...] | list[str], rows: Any = ...) -> np.ndarray:
    """Returns the columns of these names as float32 `[rows, columns]`."""
    first = table.columns[names[0]][rows]
    numbers = np.empty((len(first), len(names)), np.float32)
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
        for place, name in enumerate(names):
            numbers[:, place] = table.columns[name][rows]
    return numbers


def _read_classes(where: str, table: Table, roles: Roles, options: ReadOptions) -> Reading:
    """The reading of labelled vectors, as an npz of them would have it."""
    assert roles.label is not None
    rows, left_out = _complete(table, (roles.label,))
    values = table.columns[roles.label][rows]
    if values.dtype.kind == "f" and not np.array_equal(values, np.rint(values)):
        raise DataError(
            f"{where}: '{roles.label}' holds measured numbers, which are no classes; to learn to "
            f"predict them name the column of groups: --columns group=NAME,target={roles.label}"
        )
    labels = read_labels(
        where,
        _strings(values),
        _optional(table, roles.split, rows),
        _optional(table, roles.group, rows),
    )
    labels.left_out.extend(left_out)
    vectors = numbers_of(table, roles.features, rows)
    reading = read_examples(where, table.name, "table", vectors, labels, options, (roles.note,))
    return replace(reading, store=replace(reading.store, columns=_as_known(roles, options)))


def _read_texts(where: str, table: Table, roles: Roles, options: ReadOptions) -> Reading:
    """The reading of labelled texts: nothing is fitted on them before they are split."""
    options.refuse_pixels(where)
    rows = text_rows(where, table, roles)
    labels = read_labels(where, rows.labels, rows.split, rows.group)
    return finish(
        where,
        "table, texts",
        Texts.of(rows.texts),
        labels.targets,
        labels.classes,
        [*labels.left_out, *rows.left_out],
        name=table.name,
        strict=options.strict,
        notes=(roles.note, *table.notes, *rows.notes),
    )


def _check_texts(where: str, table: Table, roles: Roles) -> None:
    """Raises `DataError` where what would be the text is empty in every row."""
    if roles.kind == "text" and roles.text is not None and table.missing(roles.text).all():
        raise DataError(f"{where}: the text '{roles.text}' is empty in every row; fill it in")


def _read_groups(where: str, table: Table, roles: Roles, options: ReadOptions) -> Reading:
    """The reading of groups: their names are the store's classes, their targets its values."""
    assert roles.group is not None and roles.target is not None
    options.refuse_pixels(where)
    rows, left_out = _complete(table, (roles.group, roles.target))
    group = table.columns[roles.group][rows]
    if not table.is_text(roles.group) and not np.array_equal(group, np.rint(group)):
        raise DataError(
            f"{where}: the group '{roles.group}' holds measured numbers; a group is a name or a "
            "whole number"
        )
    labels = read_labels(where, _strings(group), _optional(table, roles.split, rows))
    inputs = numbers_of(table, roles.features, rows)
    values = table.columns[roles.target][rows].astype(np.float64)
    finite = np.isfinite(inputs).all(axis=1) & np.isfinite(values.astype(np.float32))
    if not finite.all():
        raise DataError(
            f"{where}: {(~finite).sum()} of {len(finite)} rows hold missing, infinite or too large "
            f"numbers, the first is row {np.flatnonzero(rows)[np.argmin(finite)] + 1} after the "
            "header; repair or remove these rows"
        )
    store = Store(
        torch.from_numpy(inputs),
        torch.from_numpy(labels.targets.astype(np.int64)),
        tuple(labels.classes),
        values=torch.from_numpy(values[:, None]),
        columns=_as_known(roles, options),
    )
    sizes = np.bincount(labels.targets, minlength=len(labels.classes))
    small = np.flatnonzero(sizes < MIN_EXAMPLES)
    left_out = [*labels.left_out, *left_out]
    if len(small):
        names = [f"group {labels.classes[index].name!r}" for index in small]
        left_out.append(tally(names, f"group too small: a group needs {MIN_EXAMPLES} rows"))
        store = store.without(small)
    if options.strict and left_out:
        raise DataError(
            f"{where}: {sum(item.count for item in left_out)} left out, which strict reading does "
            f"not allow: {explain(left_out)}; mend the data or read it without strict"
        )
    return Reading(table.name, "table, groups", store, tuple(left_out), (roles.note,))


def _as_known(roles: Roles, options: ReadOptions) -> tuple[str, ...]:
    """The names of the numbers: as a model knows them, else as they are written."""
    return options.features or roles.features


def _complete(table: Table, needed: tuple[str, ...]) -> tuple[np.ndarray, list[LeftOut]]:
    """Which rows have something in these columns, and what to say of the others."""
    lacking = np.zeros(len(table), bool)
    left_out = []
    for name in needed:
        missing = table.missing(name) & ~lacking
        if missing.any():
            left_out.append(LeftOut(f"rows without '{name}'", "incomplete", int(missing.sum())))
        lacking |= missing
    if lacking.all():
        raise DataError(f"table '{table.name}': no row has {' and '.join(map(repr, needed))}")
    return ~lacking, left_out


def _optional(table: Table, name: str | None, rows: np.ndarray) -> np.ndarray | None:
    return None if name is None else _strings(table.columns[name][rows])


def _strings(values: np.ndarray) -> np.ndarray:
    """Text as NumPy's own strings, as readers of arrays take it; numbers as they are."""
    return values.astype(str) if values.dtype == object else values
