"""The syntax tree of programs and its text: parse(to_text(program)) == program.

A program is a few functions in the words of Python, one per slot, straight-line, with one call of
a primitive in each line, on names and numbers:

    def predict(x, w):
        a = matmul(x, transpose(w))       # nested calls are read, and printed line by line
        return multiply(10.0, a)

Numbers are where tuning starts: constant n of a slot is its n-th number from the top
(`program.predict.0` is 10.0). Calls may state `axis=` and, for `grad`, `wrt=`.
"""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain

from metaloop.programs.errors import ProgramError
from metaloop.programs.primitives import PRIMITIVES
from metaloop.programs.slots import SLOTS

MAX_CHARACTERS = 10_000
MAX_STATEMENTS = 64  # of one slot
_MAX_NAME = 32
_LETTERS = "abcdefghijkmnpqrstuvwxyz"  # l and o look like digits


@dataclass(frozen=True)
class Name:
    """A parameter, or the target of an earlier statement."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Literal:
    """A number: a trainable constant's first value."""

    value: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ProgramError(f"expected a finite number, got {self.value}")

    def __str__(self) -> str:
        return repr(self.value)


Argument = Name | Literal


@dataclass(frozen=True)
class Statement:
    """`target = primitive(*arguments, axis=axis, wrt=wrt)`; None: not stated."""

    target: str
    primitive: str
    arguments: tuple[Argument, ...]
    axis: int | None = None
    wrt: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names that it reads, in order."""
        return tuple(a.name for a in self.arguments if isinstance(a, Name))

    @property
    def call(self) -> str:
        """The text of the call."""
        parts = [str(argument) for argument in self.arguments]
        parts += [f"axis={self.axis}"] if self.axis is not None else []
        parts += [f"wrt={self.wrt}"] if self.wrt is not None else []
        return f"{self.primitive}({', '.join(parts)})"

    def renamed(self, names: Callable[[str], str]) -> Statement:
        """Returns the statement with every name, the target's too, mapped by `names`."""
        arguments = tuple(Name(names(a.name)) if isinstance(a, Name) else a for a in self.arguments)
        return replace(self, target=names(self.target), arguments=arguments)


@dataclass(frozen=True)
class Function:
    """One slot: parameters, statements in order, and the names that are returned."""

    slot: str
    parameters: tuple[str, ...]
    statements: tuple[Statement, ...]
    results: tuple[str, ...]

    @property
    def literals(self) -> tuple[float, ...]:
        """Its constants, in the order of their numbers."""
        arguments = chain.from_iterable(s.arguments for s in self.statements)
        return tuple(a.value for a in arguments if isinstance(a, Literal))

    def with_literals(self, values: Iterable[float]) -> Function:
        """Returns the function with other constants, as many as it has."""
        new = iter(values)
        statements = tuple(
            replace(
                s,
                arguments=tuple(
                    Literal(float(next(new))) if isinstance(a, Literal) else a for a in s.arguments
                ),
            )
            for s in self.statements
        )
        return replace(self, statements=statements)


@dataclass(frozen=True)
class Program:
    """Functions by slot, in the order of the table of slots."""

    functions: tuple[Function, ...]

    def __post_init__(self) -> None:
        order = [list(SLOTS).index(function.slot) for function in self.functions]
        assert order == sorted(set(order)), "one function per slot, in order"

    def function(self, slot: str) -> Function | None:
        """Returns the function of a slot, or None where the program leaves it out."""
        return next((f for f in self.functions if f.slot == slot), None)

    def with_function(self, function: Function) -> Program:
        """Returns the program with this function in its slot."""
        return make_program((*(f for f in self.functions if f.slot != function.slot), function))

    def without(self, slot: str) -> Program:
        """Returns the program with this slot left out."""
        return Program(tuple(f for f in self.functions if f.slot != slot))

    def __str__(self) -> str:
        return to_text(self)


def make_program(functions: Iterable[Function]) -> Program:
    """Returns the program of these functions, in the order of the slots."""
    order = list(SLOTS)
    return Program(tuple(sorted(functions, key=lambda function: order.index(function.slot))))


def to_text(program: Program) -> str:
    """Returns the program's text; it ends with a line break."""
    return "\n\n".join(map(function_text, program.functions)) + "\n"


def function_text(function: Function) -> str:
    """Returns the text of one function; a last call that is all it returns stands in `return`."""
    lines = [f"def {function.slot}({', '.join(function.parameters)}):"]
    *first, last = function.statements or [None]
    inline = last is not None and function.results == (last.target,) == (_last_name(function),)
    for statement in function.statements if not inline else filter(None, first):
        lines.append(f"    {statement.target} = {statement.call}")
    if inline and last is not None:
        lines.append(f"    return {last.call}")
    else:
        lines.append(f"    return {', '.join(function.results)}")
    return "\n".join(lines)


def fresh_names(taken: Iterable[str]) -> Iterator[str]:
    """Yields short names that are not taken: a, b, ..., z, a2, ..."""
    used = set(taken)
    for number in range(1, 1_000_000):
        for letter in _LETTERS:
            name = letter if number == 1 else f"{letter}{number}"
            if name not in used:
                yield name


def check_name(name: str) -> None:
    """Raises `ProgramError` for a name that a value cannot have."""
    if (
        not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name)
        or len(name) > _MAX_NAME
        or keyword.iskeyword(name)
    ):
        raise ProgramError(f"names are up to {_MAX_NAME} letters, digits and _; got {name[:40]!r}")
    if name in PRIMITIVES or name in SLOTS:
        raise ProgramError(f"'{name}' is the name of a primitive or slot; choose another one")


def _last_name(function: Function) -> str:
    """The name that a parser gives to a call that stands in `return`."""
    taken = {s.target for s in function.statements[:-1]}
    return next(fresh_names(taken | set(function.parameters)))
