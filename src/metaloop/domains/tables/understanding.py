"""What the columns of a table are: numbers, categories, dates, texts; and which are of no use.

Told by content, for names lie, where a file does not declare what are categories. Nothing is fitted
here: the words of a category are listed, so that rows can be kept as codes; what they are worth is
learned inside of every fit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metaloop.core.errors import DataError
from metaloop.domains.tables.cells import (
    days_of,
    distinct,
    is_nothing,
    mostly_numbers,
    number_of,
    order_of_dates,
)
from metaloop.domains.tables.frame import MISSING, UNSEEN, Column, Frame, check_columns
from metaloop.tasks.readers.tables import Table

MOST_COLUMNS = 20_000
_MIXED = 0.5  # of the cells: a column of words that holds so many numbers is told
_FEWEST_ROWS = 20  # that an identifier can be told by
_FEWEST_KNOWN = 0.9  # of the rows, that have one
_TEXT_WORDS, _TEXT_LETTERS = 4.0, 40.0  # a cell, on average
_NUMBERED = re.compile(
    r"(?i)^(id|idx|index|row|nr|no|number|key|uuid|guid|unnamed: ?\d+|)$|_id$|^id_| id$"
)
_FIRSTS = (0, 1)  # that rows are numbered from: years count up as well
_CAMEL = re.compile(r"[a-z]I[dD]$")  # PassengerId


@dataclass(frozen=True, eq=False)
class Understood:
    """The columns that are of use, why others are not, and what is to be said of those that are.

    `numbered`: columns that number or name the rows, by name; they are not learned from, and may
    tell the target nevertheless.
    """

    frame: Frame
    dropped: Mapping[str, str]
    notes: tuple[str, ...]
    numbered: Mapping[str, np.ndarray]

    @property
    def told(self) -> tuple[str, ...]:
        """All that is to be said: which columns are not learned from, and `notes`."""
        by_reason: dict[str, list[str]] = {}
        for name, why in self.dropped.items():
            by_reason.setdefault(why, []).append(name)
        dropped = [
            f"not learned from, for it {why}: " + ", ".join(f"'{n}'" for n in names[:5])
            + (f" and {len(names) - 5:,} more" if names[5:] else "")
            for why, names in by_reason.items()
        ]  # fmt: skip
        return (*dropped, *self.notes)


def understand(where: str, table: Table, ignored: Sequence[str]) -> Understood:
    """Returns what the columns are, those ignored left out.

    Raises `DataError` where there are too many, or none that can be learned from.
    """
    names = [name for name in table.columns if name not in ignored]
    if len(names) > MOST_COLUMNS:
        raise DataError(
            f"{where} has {len(names):,} columns, and {MOST_COLUMNS:,} are the most; keep those "
            "that may matter"
        )
    schema: list[Column] = []
    values: dict[str, np.ndarray] = {}
    dropped: dict[str, str] = {}
    numbered: dict[str, np.ndarray] = {}
    notes: list[str] = []
    for name in names:
        tell = _declared if name in table.categories else _told
        column, found, note = tell(name, table.columns[name])
        reason = _useless(name, column, found)
        if reason:
            dropped[name] = reason
            if reason in _IDENTIFIERS:
                numbered[name] = found
        else:
            schema.append(column)
            values[name] = found
        notes += [note] if note else []
    if not schema:
        told = "; ".join(f"'{name}' {why}" for name, why in list(dropped.items())[:3])
        raise DataError(f"{where} has no column to learn from ({told or 'only the target'})")
    if all(column.kind == "text" for column in schema):
        raise DataError(
            f"{where}: all columns are texts ({', '.join(repr(c.name) for c in schema[:3])}), and "
            "'select' learns from numbers, categories and dates, with texts beside them; for texts "
            "alone see 'metaloop learn'"
        )
    return Understood(Frame(tuple(schema), values), dropped, tuple(notes), numbered)


def framed(where: str, table: Table, schema: Sequence[Column]) -> Frame:
    """Returns the rows of a table as the frame of a known schema: order and further columns are free.

    A word that was never seen is code -2. Raises `DataError` where columns are missing.
    """  # noqa: E501
    check_columns(where, schema, list(table.columns))
    found = {column.name: _as_known(column, table.columns[column.name]) for column in schema}
    return Frame(tuple(schema), found)


_NUMBERS_ROWS, _NAMES_ROWS = "numbers the rows", "has another word in every row: a name of it"
_IDENTIFIERS = (_NUMBERS_ROWS, _NAMES_ROWS)


def _declared(name: str, values: np.ndarray) -> tuple[Column, np.ndarray, str]:
    """A column that is declared to be of categories: `none`, `?` and `1` are words of it."""
    words, codes = distinct(as_words(values))
    return (*_categories(name, words, codes, np.array([not word for word in words], bool)), "")


def _categories(
    name: str, words: Sequence[str], codes: np.ndarray, nothing: np.ndarray
) -> tuple[Column, np.ndarray]:
    """A column of these words, but for those that say nothing, and the code of each row."""
    place = np.full(len(words), MISSING, np.int32)
    known = [word for word, empty in zip(words, nothing, strict=True) if not empty]
    place[~nothing] = np.arange(len(known), dtype=np.int32)
    return Column(name, "category", tuple(known)), place[codes]


def _told(name: str, values: np.ndarray) -> tuple[Column, np.ndarray, str]:
    """What a column is, its values, and what is to be said of it."""
    if values.dtype.kind in "iuf":
        numbers = values.astype(np.float64)
        infinite = int(np.isinf(numbers).sum())
        note = f"'{name}': {infinite:,} infinite numbers count as missing" if infinite else ""
        return Column(name, "number"), np.where(np.isinf(numbers), np.nan, numbers), note
    words, codes = distinct(values)
    counts = np.bincount(codes, minlength=len(words))
    nothing = np.array([is_nothing(word) for word in words], bool)
    read = [number_of(word) for word in words]
    odd = [place for place, number in enumerate(read) if number is None]
    known = int(counts[~nothing].sum())
    share = 1 - counts[odd].sum() / max(1, known)
    if not odd or mostly_numbers(len(odd), share):
        found = np.array([np.nan if n is None or np.isinf(n) else n for n in read])[codes]
        said = ", ".join(repr(words[place]) for place in odd)
        return Column(name, "number"), found, f"'{name}': {said} count as missing" if odd else ""
    dates = [word for word, empty in zip(words, nothing, strict=True) if not empty]
    order = order_of_dates(dates)
    if order is not None:
        days = [
            None if empty else days_of(w, order) for w, empty in zip(words, nothing, strict=True)
        ]
        found = np.array([np.nan if day is None else day for day in days])[codes]
        return Column(name, "date", order=order), found, ""
    if _is_text(dates, counts[~nothing]):
        texts = np.array([("" if e else w) for w, e in zip(words, nothing, strict=True)], object)
        return Column(name, "text"), texts[codes], ""
    mixed = share >= _MIXED
    note = f"'{name}': numbers and words such as {words[odd[0]]!r}: all are words" if mixed else ""
    return (*_categories(name, words, codes, nothing), note)


def _is_text(words: Sequence[str], counts: np.ndarray) -> bool:
    """Whether words are sentences, most of them different."""
    if len(words) < 0.3 * counts.sum():
        return False
    some = words[:1000]
    spaces = sum(len(word.split()) for word in some) / len(some)
    return spaces >= _TEXT_WORDS or sum(map(len, some)) / len(some) >= _TEXT_LETTERS


def _useless(name: str, column: Column, values: np.ndarray) -> str:
    """Why a column is not learned from; empty where it is."""
    if column.kind == "text":
        return ""
    rows = np.flatnonzero(~np.isnan(values) if values.dtype.kind == "f" else values >= 0)
    known = values[rows]
    if not len(known):
        return "is empty"
    first = known[0]
    if (known == first).all() and len(known) == len(values):
        return "is the same in every row"
    if len(values) < _FEWEST_ROWS or len(known) < _FEWEST_KNOWN * len(values):
        return ""
    if column.kind == "category":
        return _NAMES_ROWS if len(column.words) == len(known) else ""
    if column.kind == "number" and np.array_equal(known, np.rint(known)):
        began = known - rows  # the number of the first row, by each of them
        counts_up = began[0] in _FIRSTS and bool((began == began[0]).all())
        named = bool(_NUMBERED.search(name.strip()) or _CAMEL.search(name))
        if counts_up or (named and len(np.unique(known)) == len(known)):
            return _NUMBERS_ROWS
    return ""


def _as_known(column: Column, values: np.ndarray) -> np.ndarray:
    """The values of a column of new rows, as a known one has them."""
    if column.kind in ("number", "date") and values.dtype.kind in "iuf":
        numbers = values.astype(np.float64)
        return np.where(np.isinf(numbers), np.nan, numbers)
    words, codes = distinct(as_words(values))
    if column.kind == "number":
        found = [number_of(word) for word in words]
        return np.asarray(
            np.array([np.nan if n is None or np.isinf(n) else n for n in found])[codes]
        )
    if column.kind == "date":
        days = [None if is_nothing(word) else days_of(word, column.order) for word in words]
        return np.asarray(np.array([np.nan if day is None else day for day in days])[codes])
    if column.kind == "text":
        texts = np.array([("" if is_nothing(word) else word) for word in words], object)
        return np.asarray(texts[codes])
    return np.asarray(_codes_of(column, words)[codes])


def _codes_of(column: Column, words: Sequence[str]) -> np.ndarray:
    """The code of each word in a column of categories; numbers are known however they are written.

    A file that declares 1.0 to be a category is asked about 1 by one that does not.
    """
    places = {word: place for place, word in enumerate(column.words)}
    numbers = {number_of(word): place for word, place in reversed(places.items())}
    numbers.pop(None, None)
    found = np.full(len(words), UNSEEN, np.int32)
    for row, word in enumerate(words):
        if word in places:
            found[row] = places[word]
        elif is_nothing(word):
            found[row] = MISSING
        else:
            number = number_of(word)
            found[row] = UNSEEN if number is None else numbers.get(number, UNSEEN)
    return found


def as_words(values: np.ndarray) -> np.ndarray:
    """Returns values as texts: whole numbers without a point, "" for what is no number."""
    if values.dtype == object:
        return values
    if values.dtype.kind == "f":
        return np.array([_word(value) for value in values.tolist()], object)
    return np.array([str(value) for value in values.tolist()], object)


def _word(value: float) -> str:
    if not np.isfinite(value):
        return "" if np.isnan(value) else repr(value)
    return str(int(value)) if value == int(value) else repr(value)
