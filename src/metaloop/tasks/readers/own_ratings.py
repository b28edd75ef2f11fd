"""A user's own ratings, and lists of items: what a trained learner is shown and asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from metaloop.core.errors import DataError
from metaloop.tasks.readers.last_ratings import BY_ORDER, BY_TIME, last_of_each, times_of
from metaloop.tasks.readers.ratings import ROLES, named_column, no_number
from metaloop.tasks.readers.table_roles import declared_columns, listed
from metaloop.tasks.readers.tables import Table
from metaloop.tasks.store import LeftOut

_TITLES: Final = ("title", "name", "movie_title", "item_name")


def ratings_of_one(
    where: str,
    table: Table,
    columns: Mapping[str, str | Sequence[str]] | None,
    events: bool = False,
    called: Callable[[Sequence[str]], Sequence[str]] = tuple,
) -> tuple[list[str], list[float], tuple[LeftOut, ...], list[str]]:
    """Returns the items of one user's ratings, the ratings, what is left out, and what to note.

    With `events` ratings are not asked for, and not used: every item has the value 1. `called` is
    given names as they stand in the table, and returns one for each item, whatever it is called
    there. Of an item that was rated again the last rating counts, as in training.
    Raises `DataError` for the ratings of several users, and for what are no ratings.
    """
    declared = declared_columns(where, table, columns or {}, ROLES)
    taken = {name for names in declared.values() for name in names}
    item = _item_column(where, table, declared, taken)
    own = declared.get("rating")
    rating = own[0] if own else named_column(table, "rating", taken | {item})
    if rating is None and not events:
        raise DataError(
            f"{where} has the columns {listed(table.columns)}, and no rating among them; name it "
            "with --columns rating=NAME"
        )
    if rating is not None and table.is_text(rating) and not events:
        raise DataError(no_number(where, table, rating))
    _check_one_user(where, table, declared, {item, rating or item})
    names = called(_names(table.columns[item]))
    if events or rating is None:
        once = dict.fromkeys(names)
        notes = [f"columns: item '{item}'" + (f", not used: {rating}" if rating else "")]
        return list(once), [1.0] * len(once), (), notes
    values = table.columns[rating].astype(float)
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values))) + 1
        raise DataError(f"{where}: row {row} after the header has no finite '{rating}'; mend it")
    known = declared.get("time")
    when = known[0] if known else named_column(table, "time", taken | {item, rating})
    time, told = times_of(table, when)
    kept, left = _last_ratings(names, time)
    note = f"columns: item '{item}', rating '{rating}'"
    note += "" if time is None else f", time '{when}'"
    return [names[row] for row in kept], values[kept].tolist(), left, [note, *told]


def _last_ratings(
    names: Sequence[str], time: np.ndarray | None
) -> tuple[np.ndarray, tuple[LeftOut, ...]]:
    """The rows of the ratings that count, and what is left out: the earlier ones of an item."""
    places: dict[str, int] = {}
    items = np.array([places.setdefault(name, len(places)) for name in names], np.int64)
    kept, again = last_of_each(np.zeros_like(items), items, len(places), time)
    by = BY_ORDER if time is None else BY_TIME
    return kept, (LeftOut("ratings of an item rated again", by, again),) if again else ()


def _check_one_user(
    where: str, table: Table, declared: Mapping[str, Sequence[str]], taken: set[str]
) -> None:
    user = declared["user"][0] if "user" in declared else named_column(table, "user", taken)
    several = 1 if user is None else len(set(table.columns[user].tolist()))
    if several > 1:
        raise DataError(
            f"{where}: its rows are of {several:,} users ('{user}'), and a task is one user; give "
            "the rows of one"
        )


def items_in(
    where: str, table: Table, columns: Mapping[str, str | Sequence[str]] | None
) -> list[str]:
    """Returns the names of items in a table of them; raises `DataError` if no column has them."""
    present = {
        role: names
        for role, names in (columns or {}).items()
        if all(n in table for n in ([names] if isinstance(names, str) else names))
    }
    declared = declared_columns(where, table, present, ROLES)
    taken = {name for names in declared.values() for name in names}
    return _names(table.columns[_item_column(where, table, declared, taken)])


def _item_column(
    where: str, table: Table, declared: Mapping[str, Sequence[str]], taken: set[str]
) -> str:
    if "item" in declared:
        return declared["item"][0]
    item = named_column(table, "item", taken)
    titles = [n for n in table.columns if n.lower() in _TITLES and n not in taken]
    item = item or (titles[0] if titles else None)
    if item is None:
        raise DataError(
            f"{where} has the columns {listed(table.columns)}, and no item among them; name it "
            "with --columns item=NAME"
        )
    return item


def _names(values: np.ndarray) -> list[str]:
    if values.dtype.kind == "f":
        return [str(int(v)) if float(v).is_integer() else str(v) for v in values.tolist()]
    return [str(value).strip() for value in values.tolist()]
