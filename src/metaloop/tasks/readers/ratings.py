"""Ratings: tables of `user, item, rating[, time]`, and MovieLens' files without a header.

Each user becomes a group whose rows are what she rated. Only a place in the table of item names is
kept for each rating. Who rated an item again counts with the last rating, by time where there is a
time, else by the order of the file. A table without ratings is of events: what users had, watched
or bought, each with the value 1.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch

from metaloop.core.columns import Lookup, Texts
from metaloop.core.errors import DataError
from metaloop.core.ranking import RANKING
from metaloop.core.rating import RATING
from metaloop.tasks.readers.finish import explain, tally
from metaloop.tasks.readers.last_ratings import BY_ORDER, BY_TIME, last_of_each, times_of
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.readers.table_roles import declared_columns, listed
from metaloop.tasks.readers.tables import Table
from metaloop.tasks.store import ClassInfo, LeftOut, Reading, Store

KIND: Final = "table, ratings of items by users, groups"
KIND_OF_EVENTS: Final = "table, items that users had, groups"
ROLES: Final = ("user", "item", "rating", "time", "ignore")
_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "user": ("user", "user_id", "userid", "user-id", "customer_id", "reviewerid", "reviewer_id"),
    "item": (
        *("item", "item_id", "itemid", "movie", "movie_id", "movieid", "anime_id", "isbn"),
        *("book_id", "bookid", "product", "product_id", "productid", "asin", "parent_asin"),
        *("song_id", "track_id", "artist_id", "game_id", "appid", "app_id", "joke_id"),
        *("recipe_id", "business_id", "beer_id"),
    ),
    "rating": (
        *("rating", "ratings", "feedback", "score", "scores", "stars", "overall", "my_score"),
        *("book-rating", "book_rating", "user_rating"),
    ),
    "time": (
        "time",
        "timestamp",
        "date",
        "datetime",
        "unixreviewtime",
        "review_time",
        "updated_at",
    ),
}
_ANSWERS: Final = ("label", "labels", "class", "y", "target", "targets", "text", "value")
_HEADLESS: Final = {"u.data": b"\t", "ratings.dat": b"::"}
_BYTES_AT_ONCE = 1 << 24
_FEWEST = 2  # ratings of a user: one to learn from, one to be asked about
_MANY_VALUES = 200  # whole numbers; no scale of ratings has so many
_FEWEST_ROWS, _OFTEN = 10, 0.7  # rows that tell what is swapped; share of pairs that are new
_MISSING = -1.0  # of many exports: seen, not rated


@dataclass(frozen=True)
class _Columns:
    user: str
    item: str
    rating: str | None  # None: of events
    time: str | None


def is_ratings_file(path: Path) -> bool:
    """Returns whether a path is one of MovieLens' files without a header, by its name."""
    return path.name.lower().removesuffix(".gz") in _HEADLESS and path.is_file()


def is_of_ratings(table: Table, columns: Mapping[str, str | Sequence[str]] | None) -> bool:
    """Returns whether a table is of ratings or events: by its roles, else by users and items."""
    declared = set(columns or {})
    if declared & {"user", "item", "rating", "time"}:
        return True
    if declared - {"ignore"}:
        return False
    user, item = (named_column(table, role) for role in ("user", "item"))
    if user is None or item is None:
        return False
    if named_column(table, "rating") is not None:
        return True
    return not any(name.lower() in _ANSWERS for name in table.columns)


def read_ratings(where: str, table: Table, options: ReadOptions) -> Reading:
    """Returns the reading of a table of ratings or events; raises `DataError` for others."""
    options.refuse_pixels(where)
    named = _columns(where, table, options.columns)
    if named.rating is not None and table.is_text(named.rating):
        raise DataError(no_number(where, table, named.rating))
    needed = [named.user, named.item, *([] if named.rating is None else [named.rating])]
    missing = np.zeros(len(table), bool)
    left_out = []
    for name in needed:
        lacking = table.missing(name) & ~missing
        if lacking.any():
            left_out.append(LeftOut(f"rows without '{name}'", "incomplete", int(lacking.sum())))
        missing |= lacking
    if missing.all():
        raise DataError(f"{where}: no row has {', '.join(map(repr, needed))}")
    there = slice(None) if not missing.any() else ~missing
    users, user_names = _numbered(table.columns[named.user][there])
    items, item_names = _numbered(table.columns[named.item][there])
    values = np.ones(len(users))
    if named.rating is not None:
        values = table.columns[named.rating][there].astype(np.float64)
    time, told = times_of(table, named.time, there)
    told = (*told, *_named_otherwise(named))
    said = f"columns: user '{named.user}', item '{named.item}'"
    said += ", no rating: events" if named.rating is None else f", rating '{named.rating}'"
    said += f", time '{named.time}'" if named.time and time is not None else ""
    unused = [n for n in table.columns if n not in (*needed, named.time)]
    said += f", not used: {listed(unused)}" if unused else ""
    notes = (said, *told)
    found = (users, user_names, items, item_names, values, time)
    return _reading(where, table.name, found, left_out, notes, options, named.rating is None)


def read_ratings_file(path: Path, options: ReadOptions) -> Reading:
    """Returns the reading of MovieLens' `u.data` or `ratings.dat`; raises `DataError`."""
    where = f"ratings {str(path)!r}"
    options.refuse_pixels(where)
    options.refuse_depth(where)
    options.refuse_columns(where)
    numbers = np.concatenate(list(_numbers(where, path)))
    users, user_names = _numbered(numbers[:, 0].astype(np.int64))
    items, item_names = _numbered(numbers[:, 1].astype(np.int64))
    found = (users, user_names, items, item_names, numbers[:, 2].copy(), numbers[:, 3].copy())
    notes = ("columns: user, item, rating and time, as MovieLens has them",)
    name = path.name.split(".")[0]
    return _reading(where, name, found, [], notes, options)


def _reading(
    where: str,
    name: str,
    found: tuple[np.ndarray, list[str], np.ndarray, list[str], np.ndarray, np.ndarray | None],
    left_out: list[LeftOut],
    notes: Sequence[str],
    options: ReadOptions,
    of_events: bool = False,
) -> Reading:
    users, user_names, items, item_names, values, time = found
    if not of_events:
        _check_values(where, users, items, values)
    order, again = last_of_each(users, items, len(item_names), time)
    if again:
        by = BY_ORDER if time is None else BY_TIME
        what = "ratings of an item by a user who rated it again"
        if of_events:
            what, by = "events of a user with an item that she had before", "each counts once"
        left_out.append(LeftOut(what, by, again))
    users, items, values = users[order], items[order], values[order]
    store = Store(
        Lookup(Texts.of(item_names), torch.from_numpy(items)),
        torch.from_numpy(users),
        tuple(ClassInfo(user) for user in user_names),
        values=torch.from_numpy(values[:, None]),
    )
    sizes = np.bincount(users, minlength=len(user_names))
    small = np.flatnonzero(sizes < _FEWEST)
    if len(small):
        names = [f"user {user_names[index]!r}" for index in small[:4]]
        names += [""] * (len(small) - len(names))
        asked = "items" if of_events else "ratings"
        left_out.append(tally(names, f"a user needs {_FEWEST} {asked}"))
        store = store.without(small)
    if options.strict and left_out:
        raise DataError(
            f"{where}: {sum(item.count for item in left_out):,} left out, which strict reading "
            f"does not allow: {explain(left_out)}; mend the data or read it without strict"
        )
    did = "had" if of_events else "rated"
    count = f"{len(store.classes):,} users {did} {len(np.unique(items)):,} items"
    kind, objective = (KIND_OF_EVENTS, RANKING) if of_events else (KIND, RATING)
    told = (*notes, count)
    return Reading(name, kind, store, tuple(left_out), told, objective=objective.name)


def _check_values(where: str, users: np.ndarray, items: np.ndarray, values: np.ndarray) -> None:
    """Raises `DataError` for ratings that are none."""
    finite = np.isfinite(values.astype(np.float32))
    if not finite.all():
        raise DataError(
            f"{where}: {(~finite).sum():,} of {len(values):,} ratings are infinite or too large, "
            f"the first is that of row {int(np.argmin(finite)) + 1}; mend or remove these rows"
        )
    known = np.unique(values)
    if len(known) == 1:
        raise DataError(
            f"{where}: every rating is {known[0]:g}; there is nothing to tell users' tastes by; to "
            "learn from what they had, leave the column away: --columns user=NAME,item=NAME,"
            "ignore=NAME"
        )
    if known[0] == _MISSING and known[1] >= 0:
        raise DataError(
            f"{where}: {(values == _MISSING).sum():,} ratings are -1 and no others are negative; "
            "mostly that means 'seen, not rated': remove these rows"
        )
    if (known == np.rint(known)).all():
        _check_swapped(where, users, items, values, len(known))


def _check_swapped(
    where: str, users: np.ndarray, items: np.ndarray, values: np.ndarray, different: int
) -> None:
    """Raises `DataError` where whole numbers as ratings look like users or items, and these do not.

    Of many ratings by their number; of few where users have the same item again and again, and
    never the same rating: then the ratings are what names rows.
    """
    counts = {"item": len(np.unique(items)), "user": len(np.unique(users))}
    of = {"item": (items, users), "user": (users, items)}
    for role, count in sorted(counts.items(), key=lambda pair: pair[1]):
        own, other = of[role]
        many = role == "item" and different > _MANY_VALUES and count <= _MANY_VALUES
        if many or (different > count and _names_rows(values, own, other)):
            raise DataError(
                f"{where}: there are {different:,} different ratings of {count:,} {role}s; the two "
                f"columns may be swapped: say --columns {role}=NAME,rating=NAME"
            )


def _names_rows(values: np.ndarray, own: np.ndarray, other: np.ndarray) -> bool:
    """Whether ratings are distinct for each of the others, and what is to name rows is not."""
    place = np.unique(values, return_inverse=True)[1]
    pairs = len(np.unique(other * (int(place.max()) + 1) + place))
    usual = len(np.unique(other * (int(own.max()) + 1) + own))
    return pairs == len(values) >= _FEWEST_ROWS and usual < _OFTEN * len(values)


def _columns(
    where: str, table: Table, columns: Mapping[str, str | Sequence[str]] | None
) -> _Columns:
    declared = declared_columns(where, table, columns or {}, ROLES)
    taken = {name for names in declared.values() for name in names}
    found = {}
    for role in ("user", "item", "rating", "time"):
        own = declared.get(role)
        found[role] = own[0] if own else named_column(table, role, taken)
    for role in ("user", "item"):
        if found[role] is None:
            raise DataError(
                f"{where} has the columns {listed(table.columns)}, and no {role} among them; name "
                f"it with --columns {role}=NAME"
            )
    return _Columns(str(found["user"]), str(found["item"]), found["rating"], found["time"])


def _named_otherwise(named: _Columns) -> tuple[str, ...]:
    """What is to be said where columns have names that are usual for the other role."""
    pairs = (("user", named.user, "item"), ("item", named.item, "user"))
    odd = [(role, name) for role, name, other in pairs if name.lower() in _NAMES[other]]
    return tuple(
        f"'{name}' is read as the {role}s, as was asked for; by its name they may be swapped"
        for role, name in odd
    )


def named_column(
    table: Table, role: str, taken: set[str] | frozenset[str] = frozenset()
) -> str | None:
    """Returns the column that usually has this role, by its name, if it is not taken."""
    written = {name.lower().strip(): name for name in reversed(list(table.columns))}
    names = (written[name] for name in _NAMES[role] if name in written)
    return next((name for name in names if name not in taken), None)


def _numbered(values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Returns numbers from 0 and the name of each: users, or items."""
    if values.dtype == object:
        places: dict[str, int] = {}
        index = np.fromiter(
            (places.setdefault(text.strip(), len(places)) for text in values), np.int64, len(values)
        )
        return index, list(places)
    known, index = np.unique(values, return_inverse=True)
    names = [str(int(v)) if float(v).is_integer() else str(v) for v in known.tolist()]
    return index.astype(np.int64), names


def no_number(where: str, table: Table, name: str) -> str:
    """Returns what to say of a column of ratings that holds text."""
    for row, text in enumerate(table.columns[name].tolist()):
        try:
            float(text or "0")
        except ValueError:
            return (
                f"{where}: the rating '{name}' of row {row + 1} after the header is {text[:40]!r}, "
                "and a rating is a number; mend it, or say --columns rating=NAME"
            )
    return f"{where}: the rating '{name}' holds text, and a rating is a number"


def _numbers(where: str, path: Path) -> Iterator[np.ndarray]:
    """Yields `[rows, 4]` of user, item, rating, time, a piece of the file at a time."""
    separator = _HEADLESS[path.name.lower().removesuffix(".gz")]
    rest, line = b"", 0
    with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
        while True:
            block = file.read(_BYTES_AT_ONCE)
            text = rest + block
            cut = len(text) if not block else text.rfind(b"\n") + 1
            rest, text = text[cut:], text[:cut]
            lines = [each for each in text.splitlines() if each.strip()]
            if lines:
                yield _rows(where, lines, separator, line)
                line += len(lines)
            if not block:
                break
    if not line:
        raise DataError(f"{where} has no rows")


def _rows(where: str, lines: list[bytes], separator: bytes, before: int) -> np.ndarray:
    joined = separator.join(lines)
    try:
        if any(each.count(separator) != 3 for each in lines):
            raise ValueError
        return np.array(joined.split(separator), np.float64).reshape(-1, 4)
    except ValueError:
        for place, each in enumerate(lines):
            cells = each.split(separator)
            try:
                good = len(cells) == 4 and all(np.isfinite(float(cell)) for cell in cells)
            except ValueError:
                good = False
            if not good:
                raise DataError(
                    f"{where}, line {before + place + 1}: expected user, item, rating and time "
                    f"apart by {separator.decode()!r}, got {each[:60].decode('utf-8', 'replace')!r}"
                ) from None
        raise
