"""JSONL (one object on each line) and JSON (a list of objects) as columns.

In UTF-8, with or without its mark, or in UTF-16 with its mark.
"""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO, cast

from metaloop.core.errors import DataError
from metaloop.tasks.readers.names import tidy
from metaloop.tasks.readers.table_columns import CHUNK_CELLS, Columns, Opened, numbers_in_values
from metaloop.tasks.readers.text_encoding import marked_encoding

_DAMAGED = (ValueError, RecursionError)


def read_json_lines(where: str, opened: Opened, texts: Collection[str]) -> Columns:
    """Returns the columns of a JSONL file: a key is a column, in the order of appearance.

    Raises `DataError`, with the line, for what is no object.
    """
    return _columns(where, _objects(where, opened), texts)


def read_json_list(where: str, opened: Opened, texts: Collection[str]) -> Columns:
    """Returns the columns of a JSON file that holds a list of objects; raises `DataError`."""
    expected = "expected a list of objects, [{...}, {...}]"
    try:
        with opened() as raw:
            content = raw.read()
        found = json.loads(content.decode(marked_encoding(content)))
    except _DAMAGED as error:
        hint = "; a file of one object on each line ends in .jsonl" if _is_extra(error) else ""
        raise DataError(f"{where} is no JSON ({_short(error)}); {expected}{hint}") from error
    if not isinstance(found, list):
        raise DataError(f"{where} holds {_named(found)}; {expected}")
    numbered = ((f"object {number}", value) for number, value in enumerate(found, 1))
    return _columns(where, numbered, texts)


def _objects(where: str, opened: Opened) -> Iterator[tuple[str, Any]]:
    with opened() as raw:
        encoding = marked_encoding(raw.read(2))
    with io.TextIOWrapper(cast(BinaryIO, opened()), encoding, newline="\n") as lines:
        number = 0
        try:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield f"line {number}", json.loads(line)
        except _DAMAGED as error:
            place = f", line {number}: no JSON"
            raise DataError(
                f"{where}{' is not UTF-8' if isinstance(error, UnicodeError) else place} "
                f"({_short(error)}); expected one object on each line"
            ) from error


def _columns(where: str, objects: Iterator[tuple[str, Any]], texts: Collection[str]) -> Columns:
    columns = Columns(texts)
    rows: list[dict[str, Any]] = []
    names: dict[str, None] = {}
    for place, value in objects:
        if not isinstance(value, dict):
            raise DataError(f"{where}, {place}: expected an object {{...}}, got {_named(value)}")
        rows.append(value)
        names.update(dict.fromkeys(value))
        if len(rows) * len(names) >= CHUNK_CELLS:
            _add(columns, names, rows)
    if rows:
        _add(columns, names, rows)
    return columns


def _add(columns: Columns, names: dict[str, None], rows: list[dict[str, Any]]) -> None:
    chunk = {tidy(name): [_valid(row.get(name)) for row in rows] for name in names}
    columns.add(chunk, len(rows), numbers_in_values)
    rows.clear()


def _valid(value: Any) -> Any:
    """A value as it is; text without halves of characters, which JSON can name."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "replace").decode()
    return value


def _named(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", type(None): "null", bool: "a boolean"}
    return names.get(type(value), "a number")


def _is_extra(error: BaseException) -> bool:
    return "Extra data" in str(error)


def _short(error: BaseException) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error).split(":")[0]
