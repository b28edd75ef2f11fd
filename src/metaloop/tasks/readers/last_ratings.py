"""Which rating counts where a user has rated an item again: the last by time, else by the order."""

from __future__ import annotations

import numpy as np

from metaloop.tasks.readers.tables import Table

BY_TIME, BY_ORDER = "the last by time counts", "the last in the file counts"


def times_of(
    table: Table, name: str | None, there: slice | np.ndarray = slice(None)
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Returns what orders the ratings in these rows `[n]`, None if nothing does, and what to say.

    `name` is the column of times: numbers, or dates as 2024-01-31. What has no time came first.
    """
    if name is None:
        return None, ()
    values = table.columns[name][there]
    if values.dtype != object:
        return np.nan_to_num(values.astype(np.float64)), ()
    first = next((text for text in values.tolist() if text.strip()), "")
    if len(first) >= 8 and first[:4].isdigit() and first[4] in "-/":
        return np.unique(values.astype(str), return_inverse=True)[1], ()
    return None, (f"'{name}' is no number and no date as 2024-01-31; the order of rows counts",)


def last_of_each(
    users: np.ndarray, items: np.ndarray, num_items: int, time: np.ndarray | None
) -> tuple[np.ndarray, int]:
    """Returns the rows of the ratings that count, in order, and how many others there are.

    `users`, `items` `[n]` are numbers from 0, of items below `num_items`. Of ratings at the same
    time the later row counts.
    """
    pairs = users * num_items + items
    order = np.argsort(pairs, kind="stable") if time is None else np.lexsort((time, pairs))
    last = np.ones(len(pairs), bool)
    last[:-1] = np.diff(pairs[order]) != 0
    kept = np.sort(order[last])
    return kept, len(pairs) - len(kept)
