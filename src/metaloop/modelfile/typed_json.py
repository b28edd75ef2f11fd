"""Frozen dataclasses from and to JSON values, checked against their annotations.

`encode` and `decode` are inverse to each other. Numbers that JSON lacks are the strings `inf`,
`-inf` and `nan`. A field that is missing takes its default, so that a file stays readable when a
record gains a field; a field that is unknown, or missing without a default, is refused.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from metaloop.core.errors import MetaloopError

_NOT_FINITE = ("inf", "-inf", "nan")
_LARGEST = 2**63 - 1  # as most readers of JSON, and SQLite


def encode(value: Any) -> Any:
    """Returns `value` as JSON has it; raises `TypeError` for what it cannot hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        known = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        for field in dataclasses.fields(value):  # a file of an older version stays as it was
            if field.metadata.get("later") and known[field.name] == field.default:
                del known[field.name]
        return {name: encode(item) for name, item in known.items()}
    if isinstance(value, Mapping):
        return {_key(key): encode(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [encode(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if hasattr(value, "item"):  # a scalar of NumPy
        return encode(value.item())
    raise TypeError(f"JSON cannot hold {value!r}")


def decode(kind: Any, value: Any, where: str) -> Any:
    """Returns the JSON value as an instance of `kind`; raises `ValueError` naming the place."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _decode_record(kind, value, where)
    if origin in (Union, types.UnionType):
        return _decode_union(arguments, value, where)
    if origin is Literal:
        if any(value == known and type(value) is type(known) for known in arguments):
            return value
        raise _wrong(where, f"one of {', '.join(map(repr, arguments))}", value)
    if origin is tuple and isinstance(value, list):
        item = arguments[0]  # always tuple[item, ...]
        return tuple(decode(item, v, f"{where}[{i}]") for i, v in enumerate(value))
    if origin in (dict, Mapping) and isinstance(value, dict):
        return {key: decode(arguments[1], v, f"{where}.{key}") for key, v in value.items()}
    if kind in (int, float) and type(value) is int and abs(value) > _LARGEST:
        raise ValueError(f"{where}: whole numbers go up to 2^63, got one of more digits")
    if kind is float and type(value) in (int, float):
        return float(value)
    if kind is float and isinstance(value, str) and value in _NOT_FINITE:
        return float(value)
    if isinstance(kind, type) and type(value) is kind:  # exact: a bool is no int here
        return value
    raise _wrong(where, getattr(kind, "__name__", str(kind)), value)


def _decode_record(kind: type, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(where, "an object", value)
    hints = _hints_of(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    unknown = sorted(set(value) - set(fields))
    if unknown:
        raise ValueError(f"{where} has an unknown field {unknown[0]!r}")
    for name, field in fields.items():
        optional = field.default is not dataclasses.MISSING
        optional |= field.default_factory is not dataclasses.MISSING
        if name not in value and not optional:
            raise ValueError(f"{where} lacks the field {name!r}")
    decoded = {name: decode(hints[name], item, f"{where}.{name}") for name, item in value.items()}
    try:
        return kind(**decoded)
    except MetaloopError as error:
        raise ValueError(f"{where}: {error}") from error


@cache
def _hints_of(kind: type) -> dict[str, Any]:
    """Returns the types of a record's fields: to find them out takes longer than to decode it."""
    return get_type_hints(kind)


def _decode_union(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and types.NoneType in kinds:
        return None
    for kind in kinds:
        if kind is not types.NoneType:
            try:
                return decode(kind, value, where)
            except ValueError:
                continue
    raise _wrong(where, " or ".join(getattr(kind, "__name__", str(kind)) for kind in kinds), value)


def _wrong(where: str, expected: str, value: Any) -> ValueError:
    return ValueError(f"{where}: expected {expected}, got {repr(value)[:80]}")


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"keys of JSON are text, not {key!r}")
    return key
