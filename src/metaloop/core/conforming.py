"""Whether a record holds what its annotations promise: files may hold anything. No torch here.

What an annotation asks for is worked out once: archives have tens of thousands of records.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from functools import lru_cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Record = TypeVar("Record")
Check = Callable[[Any], bool]


def conforming(record: Record) -> Record:
    """Returns the record (or the tuple with records); `TypeError` names a field of a wrong type."""
    if isinstance(record, tuple):
        for item in record:
            conforming(item)
        return record
    of: type = type(record)
    for name, fits in _fields_of(of):
        value = getattr(record, name)
        if not fits(value):
            kind = get_type_hints(of)[name]
            expected = getattr(kind, "__name__", str(kind))
            raise TypeError(
                f"{of.__name__}.{name} is {type(value).__name__} "
                f"{repr(value)[:40]}, expected {expected}"
            )
    return record


@lru_cache(maxsize=256)
def _fields_of(kind: type) -> tuple[tuple[str, Check], ...]:
    """The fields of a record's class, and what says whether a value fits; none of other classes."""
    hints = get_type_hints(kind) if is_dataclass(kind) else {}
    return tuple((name, _check_of(each)) for name, each in hints.items())


@lru_cache(maxsize=1024)
def _check_of(kind: Any) -> Check:
    """Returns what says whether a value is of this kind."""
    kind = getattr(kind, "__supertype__", kind)  # of typing.NewType
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return lambda value: True
    if is_dataclass(kind):
        return lambda value: isinstance(value, kind) and conforming(value) is value  # type: ignore[arg-type]
    if origin in (Union, types.UnionType):
        checks = [_check_of(one) for one in arguments]
        return lambda value: any(fits(value) for fits in checks)
    if origin is Literal:
        return lambda value: isinstance(value, (str, int)) and value in arguments
    if origin is tuple:
        of_item = _check_of(arguments[0])
        return lambda value: isinstance(value, tuple) and all(map(of_item, value))
    if origin in (dict, Mapping):
        return _of_mapping(_check_of(arguments[1]))
    if kind is float:
        return lambda value: type(value) in (int, float)
    if kind in (int, str, bool, bytes):
        return lambda value: type(value) is kind
    return lambda value: isinstance(kind, type) and isinstance(value, kind)


def _of_mapping(of_item: Check) -> Check:
    return lambda value: (
        isinstance(value, Mapping)
        and all(isinstance(key, str) and of_item(item) for key, item in value.items())
    )
