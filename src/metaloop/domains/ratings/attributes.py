"""What a table says of items, or of users, as numbers: flags of lists, numbers on one scale.

A column of text is a list of names (`Drama, Romance` or `Drama|Romance`): each name that several
share is a column of 0 and 1. A column of numbers is standardised, of its logarithm where it
spreads widely. A column that follows the ratings themselves (a site's average, a count of members)
is left out and told: it knows what is to be predicted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from metaloop.core.errors import DataError
from metaloop.tasks.readers.tables import Table

LEAK = 0.9  # correlation with what is to be predicted
_MOST_FLAGS = 64  # of a column
_FEWEST_SHARING = 3  # a name, for it to be a flag
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
    key = key_of(table, "items", rated, "users", users)
    return tuple(dict.fromkeys([*rated, *filter(None, as_names(table.columns[key]))])), key


def attributes_of(
    table: Table, key: str, items: Sequence[str], mean: np.ndarray, count: np.ndarray
) -> Attributes:
    """Returns what the table says of these items, which its column `key` names.

    `mean`, `count` `[items]`: of the ratings of training users; they find columns that leak.
    """
    place = places_of(table, key, items)
    told = [
        f"items are known from '{table.name}' by '{key}': {(place >= 0).sum():,} of {len(items):,}"
    ]
    found: dict[str, np.ndarray] = {}
    title = next((n for n in table.columns if n.lower() in _TITLES and table.is_text(n)), None)
    left_out = []
    for name in table.columns:
        if name in (key, title):
            continue
        if table.is_text(name):
            found |= _flags(name, table.columns[name], place)
            continue
        numbers = _numbers(table.columns[name].astype(np.float64), place)
        if leaks(numbers, place, mean, count):
            left_out.append(name)
        elif np.ptp(numbers) > 0:
            found[name] = numbers
    if left_out:
        named = ", ".join(f"'{name}'" for name in left_out)
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


def key_of(table: Table, what: str, names: Sequence[str], other: str, others: Sequence[str]) -> str:
    """Returns the column that has the `names` of what the table is about: items, or users.

    Raises `DataError` if there is none; where one names the `others`, it says that they may be
    swapped.
    """
    wanted, swapped = set(names), set(others)
    shares = {name: len(wanted & set(as_names(table.columns[name]))) for name in table.columns}
    distinct = {name: len(set(as_names(table.columns[name]))) for name in table.columns}
    best = max(shares, key=lambda name: (shares[name], distinct[name]))
    if shares[best] < max(1, _LEAST_KNOWN * len(wanted)):
        named = max(len(swapped & set(as_names(column))) for column in table.columns.values())
        if others and named >= _LEAST_KNOWN * len(swapped):
            raise DataError(
                f"table '{table.name}' names {named:,} of the {len(swapped):,} {other} and hardly "
                f"one of the {what}; users and items of the ratings may be swapped: say --columns "
                "user=NAME,item=NAME"
            )
        raise DataError(
            f"table '{table.name}' has no column that names the {what}: the best, '{best}', has "
            f"{shares[best]:,} of {len(wanted):,}; give the table of these {what}"
        )
    return best


def places_of(table: Table, key: str, names: Sequence[str]) -> np.ndarray:
    """Returns the row of the table for each of these names, -1 for those that it does not have."""
    rows = {name: row for row, name in enumerate(as_names(table.columns[key]))}
    return np.array([rows.get(name, -1) for name in names], np.int64)


def as_names(values: np.ndarray) -> list[str]:
    """Returns the cells of a column as names; "" of a number that is not whole."""
    if values.dtype.kind == "f":
        whole = np.isfinite(values) & (values == np.rint(values))
        return [str(int(v)) if ok else "" for v, ok in zip(values.tolist(), whole, strict=True)]
    return [str(value) for value in values.tolist()]


def listed_in(texts: Iterable[object]) -> list[set[str]]:
    """Returns the names that each text lists: `Drama, War` or `Drama|War`."""
    return [set(_SEPARATOR.split(str(text).strip())) - {""} for text in texts]


def shared_names(listed: Sequence[set[str]]) -> list[str]:
    """Returns the names that several have, the most frequent first; none if most are of one."""
    counts = Counter(each for names in listed for each in names)
    shared = [each for each, count in counts.most_common() if count >= _FEWEST_SHARING]
    if sum(counts[each] for each in shared) < _LEAST_SHARED * sum(counts.values()):
        return []
    return shared[:_MOST_FLAGS]


def _flags(name: str, texts: np.ndarray, place: np.ndarray) -> dict[str, np.ndarray]:
    listed, flags = listed_in(texts), {}
    for each in shared_names(listed):
        has = np.array([each in names for names in listed], np.float64)
        flags[f"{name}={each}"] = np.where(place >= 0, has[place], 0.0)
    return flags


def _numbers(values: np.ndarray, place: np.ndarray) -> np.ndarray:
    numbers = np.where(place >= 0, values[place], np.nan)
    return scaled(numbers, *scale_of(numbers))


def scale_of(numbers: np.ndarray) -> tuple[bool, float, float]:
    """Returns whether numbers spread widely, and their mean and deviation; NaN is unknown.

    Of numbers that spread widely these are of the logarithm.
    """
    known = numbers[np.isfinite(numbers)]
    if not len(known):
        return False, 0.0, 1.0
    wide = bool(known.min() >= 0 and known.max() > _WIDE)
    known = np.log1p(known) if wide else known
    return wide, float(known.mean()), max(float(known.std()), 1e-12)


def scaled(numbers: np.ndarray, wide: bool, mean: float, deviation: float) -> np.ndarray:
    """Returns numbers on the scale of other columns, 0 where they are unknown."""
    known = np.isfinite(numbers)
    values = np.where(known, numbers, 0.0)
    values = np.log1p(np.maximum(values, 0.0)) if wide else values
    found: np.ndarray = np.clip((values - mean) / deviation * _NUMBER_SCALE, -3, 3)
    return np.where(known, found, 0.0)


def leaks(numbers: np.ndarray, place: np.ndarray, mean: np.ndarray, count: np.ndarray) -> bool:
    """Returns whether a column follows means or counts of ratings; `place` -1 is unknown."""
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
