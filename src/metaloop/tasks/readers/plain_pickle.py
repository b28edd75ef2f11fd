"""Pickles of arrays, text and numbers, read without ever running what a pickle asks for.

A pickle is a program: unpickling imports and calls whatever it names. Here its operations are
looked at one by one (`pickletools` only lists them) on a stack of plain values. The one thing that
may be "called" is how NumPy writes an array: its name is compared, never imported, and the array is
made from its bytes. Anything else is refused, whatever comes after it.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from metaloop.core.errors import DataError

_MARK = object()
_RECONSTRUCT = frozenset(
    {"numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"}
)
_ARRAY, _DTYPE, _ENCODE = "numpy ndarray", "numpy dtype", "_codecs encode"
_NAMES = _RECONSTRUCT | {_ARRAY, _DTYPE, _ENCODE}
_KINDS = frozenset({"u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", "b1"})
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "MARK": lambda: _MARK,
}
_LITERALS = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
    | {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE"}
    | {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
    | {"STRING", "BINSTRING", "SHORT_BINSTRING"}
)
_SILENT = frozenset({"PROTO", "FRAME"})
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(frozen=True)
class _Name:
    """The name of something that a pickle would import."""

    name: str


@dataclass
class _Dtype:
    """The kind of numbers of an array that is being read."""

    kind: str
    order: str = "|"


@dataclass
class _Array:
    """An array whose content has not come yet, or has."""

    values: np.ndarray | None = None


@dataclass
class _Machine:
    """The stack and the memo of a pickle that is being read."""

    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def above_mark(self) -> list[Any]:
        """Takes all that is above the last mark from the stack, and the mark."""
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _MARK:
                values = self.stack[place + 1 :]
                del self.stack[place:]
                return values
        raise ValueError("a mark is missing")


def read_plain_pickle(path: Path) -> Any:
    """Returns what the pickle at `path` holds: dictionaries, lists, numbers, text, arrays, bytes.

    Text of Python 2 comes as bytes. Raises `DataError` for a pickle that asks for anything else
    (running it could do anything), and for one that is damaged.
    """
    where = f"'{path}'"
    machine = _Machine()
    try:
        with open(path, "rb") as file:
            for operation, argument, _ in pickletools.genops(file):
                if operation.name == "STOP":
                    return _plain(machine.stack.pop())
                _step(where, machine, operation.name, argument)
    except DataError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise DataError(f"{where} is damaged or no pickle ({reason}); get it again") from error
    raise DataError(f"{where} is cut short; get it again")


def _step(where: str, machine: _Machine, name: str, argument: Any) -> None:
    stack = machine.stack
    if name in _LITERALS:
        is_bytes = name in ("STRING", "BINSTRING", "SHORT_BINSTRING") and isinstance(argument, str)
        stack.append(argument.encode("latin-1") if is_bytes else argument)
    elif name in _CONSTANTS:
        stack.append(_CONSTANTS[name]())
    elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
        machine.memo[int(argument)] = stack[-1]
    elif name == "MEMOIZE":
        machine.memo[len(machine.memo)] = stack[-1]
    elif name in ("GET", "BINGET", "LONG_BINGET"):
        stack.append(machine.memo[int(argument)])
    elif name in ("GLOBAL", "STACK_GLOBAL"):
        if name == "STACK_GLOBAL":
            last, first = stack.pop(), stack.pop()
            argument = f"{first} {last}"
        if argument not in _NAMES:
            raise _refused(where, str(argument).replace(" ", "."))
        stack.append(_Name(argument))
    elif name == "REDUCE":
        arguments, called = stack.pop(), stack.pop()
        stack.append(_called(where, called, arguments))
    elif name == "BUILD":
        state = stack.pop()
        _build(stack[-1], state)
    elif name in _TUPLES or name in ("TUPLE", "LIST", "DICT"):
        _collect(machine, name)
    elif name in ("APPEND", "APPENDS", "SETITEM", "SETITEMS"):
        _add(machine, name)
    elif name not in _SILENT:
        raise _refused(where, f"the operation {name}")


def _collect(machine: _Machine, name: str) -> None:
    if name in _TUPLES:
        number = _TUPLES[name]
        values = machine.stack[-number:]
        if len(values) < number:
            raise ValueError("values are missing")
        del machine.stack[-number:]
    else:
        values = machine.above_mark()
    if name == "DICT":
        machine.stack.append(dict(zip(values[::2], values[1::2], strict=True)))
    else:
        machine.stack.append(values if name == "LIST" else tuple(values))


def _add(machine: _Machine, name: str) -> None:
    if name.endswith("S"):
        values = machine.above_mark()
    else:
        values = [machine.stack.pop() for _ in range(1 if name == "APPEND" else 2)][::-1]
    target = machine.stack[-1]
    if name.startswith("APPEND") and isinstance(target, list):
        target.extend(values)
    elif name.startswith("SETITEM") and isinstance(target, dict):
        target.update(zip(values[::2], values[1::2], strict=True))
    else:
        raise ValueError(f"{name} on a {type(target).__name__}")


def _called(where: str, called: Any, arguments: Any) -> Any:
    """What a call makes, of the three that are known: an empty array, a dtype, bytes."""
    name = called.name if isinstance(called, _Name) else None
    if name in _RECONSTRUCT and arguments[0] == _Name(_ARRAY):
        return _Array()
    if name == _DTYPE:
        kind = _text(arguments[0])
        if kind not in _KINDS:
            raise _refused(where, f"an array of {kind[:20]!r}")
        return _Dtype(kind)
    if name == _ENCODE and arguments[1] in ("latin1", "latin-1"):
        return str(arguments[0]).encode("latin-1")
    raise _refused(where, f"a call of {name or type(called).__name__}")


def _build(target: Any, state: Any) -> None:
    """Fills in the byte order of a dtype, or shape, dtype and content of an array."""
    if isinstance(target, _Dtype):
        target.order = _text(state[1])
        if target.order not in ("|", "<", ">", "="):
            raise ValueError("an unknown byte order")
    elif isinstance(target, _Array):
        _, shape, dtype, by_columns, content = state
        if not isinstance(dtype, _Dtype) or not isinstance(content, bytes):
            raise ValueError("an array of objects")
        flat = np.frombuffer(content, np.dtype(f"{dtype.order}{dtype.kind}"))
        target.values = flat.reshape(shape, order="F" if by_columns else "C")
    else:
        raise ValueError(f"state for a {type(target).__name__}")


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _plain(value: Any) -> Any:
    """The value with arrays in place of what stood for them."""
    if isinstance(value, _Array):
        if value.values is None:
            raise ValueError("an array without content")
        return value.values
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    if isinstance(value, (_Name, _Dtype)) or value is _MARK:
        raise ValueError("something that is no value")
    return value


def _refused(where: str, what: str) -> DataError:
    return DataError(
        f"{where} is a pickle that asks for {what[:80]}; only arrays, numbers and text are read, "
        f"for a pickle can run code: nothing of it was run"
    )
