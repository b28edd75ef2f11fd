"""What a table says of items, as numbers: flags of what is listed, numbers on a common scale.

A column of text is a list of names (`Drama, Romance` or `Drama|Romance`): each name that several
items share is a column of 0 and 1. A column of numbers is standardised, of its logarithm where it
spreads widely. A column that follows the ratings themselves (a site's average, a count of members)
is left out and told: it knows what is to be predicted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from metaloop.core.errors import DataError
from metaloop.tasks.readers.tables import Table

LEAK = 0.9  # correlation with what is to be predicted
_MOST_FLAGS = 64  # of a column
_FEWEST_ITEMS = 3  # that share a name, for it to be a flag
_LEAST_SHARED = 0.5  # of the names in a column; a column of titles has mostly names of one item
_NUMBER_SCALE = 0.5  # of a standardised number beside flags
_WIDE = 50.0
_FEW_RATINGS = 5  # an item's mean says too little of a column below
_LEAST_KNOWN = 0.2  # of rated items that a file must know
_TITLES = ("title", "name", "item_name", "movie_title")
_SEPARATOR = re.compile(r"\s*[,|;]\s*")


@dataclass(frozen=True, eq=False)
class Attributes:
    """Numbers `[items, columns]` float32 by name, titles, and what is to be said of the file."""

    values: np.ndarray
    columns: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    told: tuple[str, ...] = field(default=())


def no_attributes(items: Sequence[str]) -> Attributes:
    """Returns nothing for these items."""
    return Attributes(np.zeros((len(items), 0), np.float32), (), ("",) * len(items))


def with_new_items(
    table: Table, rated: Sequence[str], users: Sequence[str] = ()
) -> tuple[tuple[str, ...], str]:
    """Returns the rated items, then those that the table alone has, and the column that names them.

    Raises `DataError` if no column of the table names the items; where one names the `users`, it
    says that these and items may be swapped.
    """
    key = _key(table, rated, users)
    return tuple(dict.fromkeys([*rated, *filter(None, _as_names(table.columns[key]))])), key


def attributes_of(
    table: Table, key: str, items: Sequence[str], mean: np.ndarray, count: np.ndarray
) -> Attributes:
    """Returns what the table says of these items, which its column `key` names.

    `mean`, `count` `[items]`: of the ratings of training users; they find columns that leak.
    """
    rows = {name: row for row, name in enumerate(_as_names(table.columns[key]))}
    place = np.array([rows.get(item, -1) for item in items], np.int64)
    told = [
        f"items are known from '{table.name}' by '{key}': {(place >= 0).sum():,} of {len(items):,}"
    ]
    found: dict[str, np.ndarray] = {}
    title = next((n for n in table.columns if n.lower() in _TITLES and table.is_text(n)), None)
    leaks = []
    for name in table.columns:
        if name in (key, title):
            continue
        if table.is_text(name):
            found |= _flags(name, table.columns[name], place)
            continue
        numbers = _numbers(table.columns[name].astype(np.float64), place)
        if _leaks(numbers, place, mean, count):
            leaks.append(name)
        elif np.ptp(numbers) > 0:
            found[name] = numbers
    if leaks:
        named = ", ".join(f"'{name}'" for name in leaks)
        told.append(f"left out of the items: {named} follow what users rate, and would tell it")
    titles = [""] * len(items)
    if title is not None:
        texts = table.columns[title]
        titles = [str(texts[row]).strip() if row >= 0 else "" for row in place]
    columns = [name for name in found if name]
    values = (
        np.stack([found[name] for name in columns], 1) if columns else np.zeros((len(items), 0))
    )
    return Attributes(values.astype(np.float32), tuple(columns), tuple(titles), tuple(told))


def _key(table: Table, items: Sequence[str], users: Sequence[str]) -> str:
    """The column that names the items."""
    wanted, others = set(items), set(users)
    shares = {name: len(wanted & set(_as_names(table.columns[name]))) for name in table.columns}
    distinct = {name: len(set(_as_names(table.columns[name]))) for name in table.columns}
    best = max(shares, key=lambda name: (shares[name], distinct[name]))
    if shares[best] < max(1, _LEAST_KNOWN * len(wanted)):
        named = max(len(others & set(_as_names(column))) for column in table.columns.values())
        if others and named >= _LEAST_KNOWN * len(others):
            raise DataError(
                f"table '{table.name}' names {named:,} of the {len(others):,} users and hardly an "
                "item; users and items of the ratings may be swapped: say --columns "
                "user=NAME,item=NAME"
            )
        raise DataError(
            f"table '{table.name}' has no column that names the items: the best, '{best}', has "
            f"{shares[best]:,} of {len(wanted):,}; give the table of these items"
        )
    return best


def _as_names(values: np.ndarray) -> list[str]:
    if values.dtype.kind == "f":
        whole = np.isfinite(values) & (values == np.rint(values))
        return [str(int(v)) if ok else "" for v, ok in zip(values.tolist(), whole, strict=True)]
    return [str(value) for value in values.tolist()]


def _flags(name: str, texts: np.ndarray, place: np.ndarray) -> dict[str, np.ndarray]:
    listed = [set(_SEPARATOR.split(str(text).strip())) - {""} for text in texts]
    counts = Counter(each for names in listed for each in names)
    shared = [each for each, count in counts.most_common() if count >= _FEWEST_ITEMS]
    if not counts or sum(counts[each] for each in shared) < _LEAST_SHARED * sum(counts.values()):
        return {}
    flags = {}
    for each in shared[:_MOST_FLAGS]:
        has = np.array([each in names for names in listed], np.float64)
        flags[f"{name}={each}"] = np.where(place >= 0, has[place], 0.0)
    return flags


def _numbers(values: np.ndarray, place: np.ndarray) -> np.ndarray:
    numbers = np.where(place >= 0, values[place], np.nan)
    known = np.isfinite(numbers)
    if not known.any():
        return np.zeros(len(place))
    if numbers[known].min() >= 0 and numbers[known].max() > _WIDE:
        numbers = np.log1p(np.where(known, numbers, 0.0))
    mean, deviation = numbers[known].mean(), max(numbers[known].std(), 1e-12)
    scaled = (numbers - mean) / deviation * _NUMBER_SCALE
    return np.where(known, np.clip(scaled, -3, 3), 0.0)


def _leaks(numbers: np.ndarray, place: np.ndarray, mean: np.ndarray, count: np.ndarray) -> bool:
    """Whether a column follows item means or counts of ratings."""
    of = (place >= 0) & (count >= _FEW_RATINGS)
    if of.sum() < 10 or np.ptp(numbers[of]) == 0:
        return False
    for known in (mean[of], np.log1p(count[of])):
        if np.ptp(known) > 0 and abs(_correlation(numbers[of], known, count[of])) > LEAK:
            return True
    return False


def _correlation(one: np.ndarray, other: np.ndarray, weights: np.ndarray) -> float:
    """Weighted by ratings: the mean of a few of them is mostly chance."""
    moments = np.cov(one, other, aweights=np.asarray(weights, np.float64))
    return float(moments[0, 1] / np.sqrt(moments[0, 0] * moments[1, 1]).clip(1e-300))
