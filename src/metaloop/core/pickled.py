"""Reading pickles without running them: numbers, text, lists, dictionaries, arrays; nothing else.

A pickle is a program for a small stack machine, and Python's own lets it call any function there
is. This machine has no functions but those of a table: a pickle that names another is refused at
that point. `pickletools` of the standard library takes the bytes apart, and nothing is as large as
a pickle declares unless that many bytes are there.

`read_pickle` reads the arrays of NumPy, as data sets are published in Python's pickles. Checkpoints
of torch are pickles too, with a table of their own: `modelfile/checkpoint.py`.
"""

from __future__ import annotations

import io
import math
import mmap
import pickletools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import IO, Any, cast

import numpy as np

Function = Callable[..., Any]

MOST_STEPS = 10_000_000  # of one pickle; CIFAR-10's have 80,000


class UnsafePickleError(ValueError):
    """A pickle asks for more than data, or is damaged; the message says for what."""


@dataclass(frozen=True)
class Vocabulary:
    """What a pickle may ask for.

    `functions`: `"module name"` to the function that stands for it. `completers`: the type of a
    value to what takes it and the state that a pickle gives it. `outside`: what returns the values
    that lie outside of the pickle, by what it says of them.
    """

    functions: Mapping[str, Function]
    completers: Mapping[type, Callable[[Any, Any], None]]
    outside: Callable[[Any], Any] | None = None


def read_pickle(data: bytes) -> Any:
    """Returns what is pickled there: text, bytes, numbers, None, containers and arrays of numbers.

    Strings of Python 2 become text, each byte a character; numbers get this machine's order of
    bytes. Raises `UnsafePickleError` for whatever
    else is asked for, and for damaged data.
    """
    return run_pickle(io.BytesIO(data), ARRAYS)


def run_pickle(source: io.BytesIO | mmap.mmap, vocabulary: Vocabulary) -> Any:
    """Returns the value of the pickle that begins there, and leaves the source behind it.

    Raises `UnsafePickleError` where a pickle wants what the vocabulary has not, or is damaged.
    """
    machine = _Machine(vocabulary)
    try:
        for steps, (opcode, argument, _) in enumerate(pickletools.genops(cast(IO[bytes], source))):
            if steps == MOST_STEPS:
                raise UnsafePickleError(f"it has more than {MOST_STEPS:,} steps")
            machine.do(opcode.name, argument)
        (value,) = machine.stack
    except UnsafePickleError:
        raise
    except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
        raise UnsafePickleError(f"it is damaged ({' '.join(str(error).split())})") from error
    return _checked(value)


@dataclass(frozen=True, eq=False)
class _Named:
    """A function of the vocabulary, as it lies on the stack."""

    name: str
    function: Function


@dataclass(eq=False)
class _Machine:
    """The stack, what lies below each mark, and the memo."""

    vocabulary: Vocabulary
    stack: list[Any] = field(default_factory=list)
    below: list[list[Any]] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def do(self, name: str, argument: Any) -> None:
        """Takes one step."""
        if name in _PUSHED:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif name in _STEPS:
            _STEPS[name](self, argument)
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise UnsafePickleError(f"it has the step {name}, which data do not need")

    def mark(self, _: Any) -> None:
        self.below.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.below.pop()
        return items

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def take_tuple(self, length: int) -> None:
        if length > len(self.stack):
            raise ValueError("too little on the stack")
        self.stack[len(self.stack) - length :] = [tuple(self.stack[len(self.stack) - length :])]

    def append(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise TypeError("something is appended to what is no list")
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise TypeError("keys are set in what is no dictionary")
        keys = items[::2]
        if not all(isinstance(key, str | bytes | int | float | None) for key in keys):
            raise UnsafePickleError("it has keys that are neither text nor numbers")
        target.update(zip(keys, items[1::2], strict=True))

    def name(self, name: str) -> None:
        function = self.vocabulary.functions.get(name)
        if function is None:
            raise UnsafePickleError(f"it asks for {name[:100].replace(' ', '.', 1)!r}")
        self.stack.append(_Named(name, function))

    def call(self, _: Any) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(function) is not _Named or type(arguments) is not tuple:
            raise UnsafePickleError("it calls what is no function")
        self.stack.append(function.function(*arguments))

    def complete(self, _: Any) -> None:
        state, value = self.stack.pop(), self.stack[-1]
        completer = self.vocabulary.completers.get(type(value))
        if completer is None:
            raise UnsafePickleError(f"it gives a state to a {type(value).__name__}")
        completer(value, state)

    def from_outside(self, _: Any) -> None:
        if self.vocabulary.outside is None:
            raise UnsafePickleError("parts of it lie elsewhere")
        self.stack.append(self.vocabulary.outside(self.stack.pop()))

    def take_set(self, _: Any) -> None:
        items = self.since_mark()
        if not all(isinstance(item, str | bytes | int | float | None) for item in items):
            raise UnsafePickleError("it has sets of neither text nor numbers")
        self.stack.append(frozenset(items))

    def take_dict(self, _: Any) -> None:
        items = self.since_mark()
        self.stack.append({})
        self.set_items(items)


_PUSHED = frozenset(
    ("INT", "LONG", "LONG1", "LONG4", "BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT",
     "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE",
     "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8")
)  # fmt: skip
_CONSTANTS: Mapping[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
}
_STEPS: Mapping[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "MEMOIZE": lambda m, _: m.memo.update({len(m.memo): m.stack[-1]}),
    "TUPLE": lambda m, _: m.push(tuple(m.since_mark())),
    "TUPLE1": lambda m, _: m.take_tuple(1),
    "TUPLE2": lambda m, _: m.take_tuple(2),
    "TUPLE3": lambda m, _: m.take_tuple(3),
    "LIST": lambda m, _: m.push(m.since_mark()),
    "DICT": _Machine.take_dict,
    "FROZENSET": _Machine.take_set,
    "APPEND": lambda m, _: m.append([m.stack.pop()]),
    "APPENDS": lambda m, _: m.append(m.since_mark()),
    "SETITEM": lambda m, _: m.set_items([m.stack.pop(), m.stack.pop()][::-1]),
    "SETITEMS": lambda m, _: m.set_items(m.since_mark()),
    "GLOBAL": lambda m, name: m.name(name),
    "STACK_GLOBAL": lambda m, _: m.name(" ".join([m.stack.pop(), m.stack.pop()][::-1])),
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,  # an empty value of a class is made by what stands for the class
    "BUILD": _Machine.complete,
    "BINPERSID": _Machine.from_outside,
}


def _checked(value: Any) -> Any:
    """The value, if nothing in it is only a part of one."""
    waiting, seen = [value], set()
    while waiting:
        item = waiting.pop()
        if isinstance(item, _Named | _Dtype):
            raise UnsafePickleError("it has functions or types among its values")
        if isinstance(item, list | tuple | dict) and id(item) not in seen:
            seen.add(id(item))
            waiting.extend(item.values() if isinstance(item, dict) else item)
    return value


@dataclass(eq=False)
class _Dtype:
    """A kind of numbers: what NumPy calls it, and the order of its bytes."""

    code: str
    order: str = "|"

    @property
    def numpy(self) -> np.dtype[Any]:
        return np.dtype(self.order.replace("|", "=") + self.code)


def _dtype(code: Any, *_: Any) -> _Dtype:
    code = code.decode("latin-1") if isinstance(code, bytes) else code
    if not isinstance(code, str) or not re.fullmatch(r"b1|[iu][1248]|f[248]", code):
        raise UnsafePickleError(f"it has arrays of {code!r}, which are no numbers")
    return _Dtype(code)


def _complete_dtype(dtype: _Dtype, state: Any) -> None:
    order = state[1].decode("latin-1") if isinstance(state[1], bytes) else state[1]
    if order not in ("<", ">", "=", "|") or any(part is not None for part in state[2:5]):
        raise UnsafePickleError("it has arrays of fields, which are no numbers")
    dtype.order = order


def _begun_array(kind: Any, *_: Any) -> np.ndarray:
    if type(kind) is not _Named or kind.name != "numpy ndarray":
        raise UnsafePickleError("it has arrays of an unknown kind")
    return np.empty(0, np.uint8)


def _complete_array(array: np.ndarray, state: Any) -> None:
    shape, dtype, by_columns, content = state[-4:]
    content = _fitting(content, dtype, shape)
    state = (1, shape, dtype.numpy, bool(by_columns), content)
    array.__setstate__(cast(Any, state))


def _array_of(content: Any, dtype: Any, shape: Any, order: Any) -> Any:
    content = _fitting(content, dtype, shape)
    flat = np.frombuffer(bytearray(content), dtype.numpy)
    native = flat.astype(flat.dtype.newbyteorder("="), copy=False)
    return native.reshape(shape, order="F" if order == "F" else "C")


def _scalar(dtype: Any, content: Any) -> Any:
    return np.frombuffer(_fitting(content, dtype, ()), dtype.numpy)[0].item()


def _fitting(content: Any, dtype: Any, shape: Any) -> bytes:
    """The bytes of an array, if they are as many as it needs."""
    if isinstance(content, str):  # of Python 2
        content = content.encode("latin-1")
    if type(dtype) is not _Dtype or not isinstance(content, bytes | bytearray):
        raise UnsafePickleError("it has arrays of objects")
    if type(shape) is not tuple or not all(type(n) is int and 0 <= n < 1 << 40 for n in shape):
        raise UnsafePickleError("it has an array without a shape")
    if math.prod(shape) * dtype.numpy.itemsize != len(content):
        raise UnsafePickleError(
            f"it has an array of shape {list(shape)}, but {len(content)} bytes for it"
        )
    return bytes(content)


def _encoded(text: Any, encoding: Any) -> bytes:
    """Bytes, as Python 3 writes them in the old protocols."""
    if not isinstance(text, str) or encoding != "latin1":
        raise UnsafePickleError("it has text in an unknown encoding")
    return text.encode("latin-1")


def _no_bytes() -> bytes:
    """Nothing at all, as Python 3 writes it in the old protocols."""
    return b""


def _never(*_: Any) -> Any:
    raise UnsafePickleError("it makes arrays in an unknown way")


ARRAYS = Vocabulary(
    functions=MappingProxyType(
        {
            "numpy ndarray": _never,
            "numpy dtype": _dtype,
            "_codecs encode": _encoded,
            "__builtin__ bytes": _no_bytes,
            "builtins bytes": _no_bytes,
            **{
                f"numpy{core}.{module}": function
                for core in (".core", "._core")
                for module, function in (
                    ("multiarray _reconstruct", _begun_array),
                    ("multiarray scalar", _scalar),
                    ("numeric _frombuffer", _array_of),
                )
            },
        }
    ),
    completers=MappingProxyType({np.ndarray: _complete_array, _Dtype: _complete_dtype}),
)
