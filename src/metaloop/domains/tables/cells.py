"""Cells as people write them: what is missing, numbers, and dates in their many orders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timezone

import numpy as np

from metaloop.tasks.readers.table_columns import MISSING

ISO = "iso"
_DATE = re.compile(
    r"(\d{1,4})[./-](\d{1,2})[./-](\d{1,4})(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2}))?)?Z?"
)
_FRACTION = re.compile(r"(?<=:\d\d)\.\d+")  # of a second
_ORDERS = ("ymd", "dmy", "mdy")
_NAMED = ("%d %b %Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%d-%b-%Y", "%d-%b-%y", "%Y%m%d")
_DAY = 86400.0
_NO_NUMBER = re.compile(r"_|^[+-]?0\d")  # 1_000; and names that zeros begin, 007
_ODD_WORDS, _FEWEST_NUMBERS = 3, 0.9  # of a column of numbers: words, and share of the cells
_FEWEST_DATES = 0.95  # of the words of a column
_YEARS = range(1000, 2200)


def is_nothing(text: str) -> bool:
    """Returns whether a cell says that there is nothing in it."""
    return text.strip().lower() in MISSING


def number_of(text: str) -> float | None:
    """Returns the number that a cell is, NaN for nothing; None where it is another thing."""
    if is_nothing(text):
        return float("nan")
    if _NO_NUMBER.search(text.strip()):
        return None
    try:
        return float(text)
    except ValueError:
        return None


def mostly_numbers(odd_words: int, share: float) -> bool:
    """Returns whether a column is of numbers in spite of so many other words, by its share."""
    return odd_words <= _ODD_WORDS and bool(share >= _FEWEST_NUMBERS)


def order_of_dates(words: Sequence[str]) -> str | None:
    """Returns how words are dates, `iso`, the order of their parts or a format; None if they are no dates.

    All but one in twenty must be. Where day and month cannot be told apart the day comes first if
    dots part them, else the month.
    """  # noqa: E501
    some = list(words[:2000])
    if not some or not any(character.isdigit() for character in some[0]):
        return None
    dotted = "." in some[0]
    orders = ("ymd", "dmy", "mdy") if dotted else ("ymd", "mdy", "dmy")
    for order in (*orders, *_NAMED, ISO):
        told = sum(days_of(word, order) is not None for word in some)
        if told >= _FEWEST_DATES * len(some):
            return order
    return None


def days_of(text: str, order: str) -> float | None:
    """Returns days since 1970 of a date in that order; None where it is none."""
    text = _FRACTION.sub("", text)
    if order in _ORDERS:
        found = _DATE.fullmatch(text.strip())
        if found is None:
            return None
        parts = {letter: int(found[place + 1]) for place, letter in enumerate(order)}
        year = parts["y"] + (2000 if parts["y"] < 70 else 1900 if parts["y"] < 100 else 0)
        hour, minute, second = (int(part) if part else 0 for part in found.group(4, 5, 6))
        try:
            month, day = parts["m"], parts["d"]
            when = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
        except ValueError:
            return None
    else:
        written = text.strip().replace("Z", "+00:00")
        try:
            when = (
                datetime.fromisoformat(written)
                if order == ISO
                else datetime.strptime(written, order)
            )
        except ValueError:
            return None
        if when.tzinfo is None:
            when = when.replace(tzinfo=timezone.utc)
    return when.timestamp() / _DAY if when.year in _YEARS else None


def distinct(values: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Returns the distinct texts of a column, stripped, in order, and the place of each row."""
    places: dict[str, int] = {}
    codes = np.empty(len(values), np.int64)
    for row, text in enumerate(values):
        codes[row] = places.setdefault(text, len(places))
    stripped: dict[str, int] = {}
    merged = np.array([stripped.setdefault(t.strip(), len(stripped)) for t in places], np.int64)
    words = list(stripped)
    order = sorted(range(len(words)), key=words.__getitem__)
    rank = np.empty(len(words), np.int64)
    rank[order] = np.arange(len(words))
    return [words[place] for place in order], rank[merged][codes]
