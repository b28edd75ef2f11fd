"""Archives that went wrong on purpose: mutations of cells, tables and bytes of an SQLite file."""

from __future__ import annotations

import json
import random
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Connection = sqlite3.Connection

_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"


def mutated(
    sql: str, path: Path, rng: random.Random, odd_value: Callable[[random.Random], Any]
) -> str:
    """Writes a mutation of the archive that `sql` makes; returns what was done to it."""
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    kind = rng.choice(["cells"] * 4 + ["json"] * 4 + ["swap", "rows", "tables", "bytes"])
    sql = sql if kind == "bytes" else _loosened(sql)
    connection.executescript(f"PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; {sql}")
    if kind == "bytes":
        connection.close()
        return _bytes(path, rng)
    changes = {
        "cells": lambda: _cell(connection, rng, _odd_cell(rng, odd_value)),
        "json": lambda: _json(connection, rng, odd_value),
        "swap": lambda: _swap(connection, rng),
        "rows": lambda: _rows(connection, rng),
        "tables": lambda: _table(connection, rng),
    }
    done = changes[kind]()
    connection.close()
    return f"{kind} {done}"


def _loosened(sql: str) -> str:
    """Returns the SQL without what SQLite itself would refuse: a stranger needs no constraints."""
    for words in (r"(?<! IS) NOT NULL", " UNIQUE", r" CHECK \(scores_type IN [^)]*\)\)"):
        sql = re.sub(words, "", sql)
    return sql


def _places(connection: Connection) -> list[tuple[str, str, int]]:
    """Returns a table, a column and a row number for every cell."""
    found = []
    for (table,) in connection.execute(_TABLES).fetchall():
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        rows = [row[0] for row in connection.execute(f"SELECT rowid FROM {table}")]
        found += [(table, column, row) for column in columns for row in rows]
    return found


def _place(connection: Connection, rng: random.Random) -> tuple[str, str, int]:
    """Returns a cell; each column is as probable as any other."""
    places = _places(connection)
    table, column = rng.choice(sorted({place[:2] for place in places}))
    return rng.choice([place for place in places if place[:2] == (table, column)])


def _odd_cell(rng: random.Random, odd_value: Callable[[random.Random], Any]) -> Any:
    own = [
        None, 0, -1, 1, 2**31, 2**63 - 1, -(2**63), 0.5, -0.0, 1e-320, 1e300, -1e308,
        float("inf"), float("-inf"), "", "x", "test", "search", "finished", "running", "<f4", "O",
        "\x00", "\x1b[2J\u202e", "\ud55c" * 9, "a" * 300_000, "[]", "{}", "[" * 50_000, "null",
        '{"a": NaN}', '"\\ud800"', b"", b"\xff\xfe", bytes(100_000), b"x\x9c" + bytes(40),
    ]  # fmt: skip
    odd = odd_value(rng) if rng.random() < 0.3 else rng.choice(own)
    if isinstance(odd, (list, dict, bool)):
        return json.dumps(odd)
    if isinstance(odd, int) and not -(2**63) <= odd < 2**63:
        return float("inf")
    return odd.encode("utf-8", "replace").decode() if isinstance(odd, str) else odd


def _cell(connection: Connection, rng: random.Random, value: Any) -> str:
    table, column, row = _place(connection, rng)
    where, values = ("", (value,)) if rng.random() < 0.3 else (" WHERE rowid = ?", (value, row))
    _change(connection, f"UPDATE {table} SET {column} = ?{where}", values)
    return f"{table}.{column} = {str(value)[:30]!r}"


def _json(
    connection: Connection, rng: random.Random, odd_value: Callable[[random.Random], Any]
) -> str:
    """Changes one place in a JSON value: of a candidate mostly, for all of a run hangs on them."""
    columns = [("candidates", "json")] * 3 + [
        ("runs", "arguments"), ("runs", "environment"), ("data_sets", "parts"),
        ("data_sets", "left_out"), ("jobs", "asked"), ("jobs", "answered"),
    ]  # fmt: skip
    known = {row[0] for row in connection.execute(_TABLES)}
    table, column = rng.choice([pair for pair in columns if pair[0] in known])
    rows = connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall()
    row, text = rng.choice(rows)
    value = json.loads(text)
    inside = list(_inner(value, ""))
    if not inside:
        return "nothing"
    container, key, path = rng.choice(inside)
    kind = rng.choice(["value", "value", "drop", "add", "copy", "nan"])
    if kind == "drop":
        del container[key]
    elif kind == "add" and isinstance(container, dict):
        container[rng.choice(["x", "options", "trunk", "name", "\udc80"])] = odd_value(rng)
    elif kind == "copy":
        other, name, _ = rng.choice(inside)
        container[key] = other[name]
    else:
        container[key] = float("nan") if kind == "nan" else odd_value(rng)
    try:
        text = json.dumps(value)
    except (ValueError, RecursionError):  # a number too long, or a value inside of itself
        text = "{" * 10_000
    _change(connection, f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (text, row))
    return f"{kind} {table}.{column}{path}"


def _inner(value: Any, path: str) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(items):
        yield value, key, f"{path}/{key}"
        if isinstance(inner, (dict, list)):
            yield from _inner(inner, f"{path}/{key}")


def _swap(connection: Connection, rng: random.Random) -> str:
    """Gives a cell the value of another: references to what is not there, circles of parents."""
    table, column, row = _place(connection, rng)
    if rng.random() < 0.5:
        names = [row[0] for row in connection.execute("SELECT identity FROM candidates")]
        table, column = rng.choice(
            [("parents", "parent"), ("parents", "child"), ("verdicts", "winner"),
             ("verdicts", "loser"), ("trials", "candidate"), ("candidates", "identity")]
        )  # fmt: skip
        value = rng.choice([*names, "0" * 16])
        row = connection.execute(f"SELECT min(rowid) FROM {table}").fetchone()[0]
    else:
        other, name, place = _place(connection, rng)
        value = connection.execute(f"SELECT {name} FROM {other} WHERE rowid = {place}").fetchone()[
            0
        ]
    _change(connection, f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (value, row))
    return f"{table}.{column} = {str(value)[:30]!r}"


def _rows(connection: Connection, rng: random.Random) -> str:
    table, _, row = _place(connection, rng)
    if rng.random() < 0.5:
        where = "" if rng.random() < 0.5 else f" WHERE rowid = {row}"
        _change(connection, f"DELETE FROM {table}{where}")
        return f"{table} fewer"
    columns = [info[1] for info in connection.execute(f"PRAGMA table_info({table})") if not info[5]]
    listed = ", ".join(columns)
    for _ in range(rng.choice([1, 7])):
        _change(connection, f"INSERT INTO {table} ({listed}) SELECT {listed} FROM {table}")
    return f"{table} doubled"


def _table(connection: Connection, rng: random.Random) -> str:
    table, column, _ = _place(connection, rng)
    statement = rng.choice(
        [
            f"DROP TABLE {table}",
            f"ALTER TABLE {table} RENAME TO other",
            f"ALTER TABLE {table} RENAME COLUMN {column} TO other",
            f"ALTER TABLE {table} ADD COLUMN other TEXT",
            "CREATE TABLE other (x)",
            f"CREATE VIEW other AS SELECT * FROM {table}",
            f"PRAGMA user_version = {rng.choice([-1, 0, 1, 2, 99])}",
            "PRAGMA application_id = 7",
        ]
    )
    _change(connection, statement)
    return statement


def _change(connection: Connection, statement: str, values: tuple[Any, ...] = ()) -> None:
    """Runs a statement; what SQLite itself refuses leaves the archive as it was."""
    try:
        connection.execute(statement, values)
    except (sqlite3.Error, UnicodeEncodeError):
        connection.execute("PRAGMA user_version = 3")


def _bytes(path: Path, rng: random.Random) -> str:
    data = bytearray(path.read_bytes())
    kind = rng.choice(["cut", "flip", "page", "header", "grown"])
    if kind == "cut":
        data = data[: rng.randrange(len(data))]
    elif kind == "page":
        start = rng.randrange(len(data) // 4096) * 4096
        data[start : start + 4096] = rng.choice([bytes(4096), rng.randbytes(4096), data[-4096:]])
    elif kind == "grown":
        data += rng.randbytes(5000)
    else:
        most = 100 if kind == "header" else len(data)
        for _ in range(rng.randrange(1, 20)):
            data[rng.randrange(16, most)] = rng.randrange(256)
    path.write_bytes(bytes(data))
    return f"bytes {kind}"


@pytest.fixture(scope="session")
def mutate_archive() -> Callable[..., str]:
    """Writes one mutation of the archive that some SQL makes, and says what was done."""
    return mutated
