"""`content`: what an archive holds, apart from times, so that two archives can be compared."""

from __future__ import annotations

from typing import Any

from metaloop.archive.archive import Archive
from metaloop.archive.schema import ORDERS, TABLE_NAMES, TIME_COLUMNS


def content(archive: Archive, *, times: bool = False) -> dict[str, list[tuple[Any, ...]]]:
    """Returns all rows of all tables, each as `(column, value)` pairs, in order of insertion.

    Without `times`, what depends on the clock or the machine is left out: two runs with one seed,
    one worker and a budget in steps are then equal.
    """
    return {table: _rows(archive, table, times) for table in TABLE_NAMES}


def _rows(archive: Archive, table: str, times: bool) -> list[tuple[Any, ...]]:
    left_out = frozenset() if times else TIME_COLUMNS.get(table, frozenset())
    rows = archive.query(f"SELECT * FROM {table} ORDER BY {ORDERS.get(table, 'id')}")
    return [tuple((name, row[name]) for name in row.keys() if name not in left_out) for row in rows]  # noqa: SIM118
