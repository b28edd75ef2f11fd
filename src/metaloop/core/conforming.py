"""Whether a record holds what its annotations promise: files may hold anything. No torch here."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import lru_cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Record = TypeVar("Record")


def conforming(record: Record) -> Record:
    """Returns the record (or the tuple with records); `TypeError` names a field of a wrong type."""
    if isinstance(record, tuple):
        for item in record:
            conforming(item)
    elif is_dataclass(record):
        for name, kind in _hints(record.__class__).items():
            value = getattr(record, name)
            if not _fits(kind, value):
                expected = getattr(kind, "__name__", str(kind))
                raise TypeError(
                    f"{type(record).__name__}.{name} is {type(value).__name__} "
                    f"{repr(value)[:40]}, expected {expected}"
                )
    return record


def _fits(kind: Any, value: Any) -> bool:
    kind = getattr(kind, "__supertype__", kind)  # of typing.NewType
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if is_dataclass(kind):
        return isinstance(value, kind) and conforming(value) is value  # type: ignore[arg-type]
    if origin in (Union, types.UnionType):
        return any(_fits(one, value) for one in arguments)
    if origin is Literal:
        return isinstance(value, (str, int)) and value in arguments
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(arguments[0], item) for item in value)
    if origin in (dict, Mapping):
        return isinstance(value, Mapping) and all(
            isinstance(key, str) and _fits(arguments[1], item) for key, item in value.items()
        )
    if kind is float:
        return type(value) in (int, float)
    if kind in (int, str, bool, bytes):
        return type(value) is kind
    return isinstance(kind, type) and isinstance(value, kind)


@lru_cache(maxsize=64)
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)
