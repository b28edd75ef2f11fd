"""Places of a program where something can change, and programs with something changed there.

An `Edge` is a place where a value is read: an argument of a statement, or a returned value. New
statements go in front of the statement that reads them; what nobody reads any more is dead code,
which the canonical form drops.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from metaloop.programs.growing import Growth
from metaloop.programs.inference import TypedFunction, TypedProgram, infer_types
from metaloop.programs.parsing import parse
from metaloop.programs.primitives import GRADIENT, VECTOR
from metaloop.programs.syntax import (
    Argument,
    Function,
    Literal,
    Name,
    Program,
    Statement,
    fresh_names,
)
from metaloop.programs.types import SCALAR, ValueType

_IDENTITY = "def embed_map(x, center):\n    return x\n"
_CROSS_ENTROPY = """
def {slot}(logits, y):
    likelihood = sum(multiply(y, log_softmax(logits, axis=1)), axis=1)
    return negate(mean(likelihood, axis=0))
"""
_DEFAULTS = {
    "embed_map": parse(_IDENTITY).functions[0],
    "inner_loss": parse(_CROSS_ENTROPY.format(slot="inner_loss")).functions[0],
    "meta_loss": parse(_CROSS_ENTROPY.format(slot="meta_loss")).functions[0],
}


@dataclass(frozen=True)
class Edge:
    """Argument `place` of a statement; after the last statement come the returned values."""

    statement: int
    place: int


@dataclass(frozen=True)
class Draft:
    """One slot of a typed program under change."""

    program: TypedProgram
    slot: str

    @property
    def typed(self) -> TypedFunction:
        """The slot's function with its types."""
        return self.program.slots[self.slot]

    @property
    def function(self) -> Function:
        """The slot's function."""
        return self.typed.function

    def growth(self, statement: int, rng: np.random.Generator) -> Growth:
        """Returns what can grow in front of a statement."""
        function = self.function
        taken = {s.target for s in function.statements} | set(function.parameters)
        state = self.program.state_types if self.slot == "adapt" else ()
        return Growth(self.slot, self.scope(statement), fresh_names(taken), rng, state)

    def scope(self, statement: int) -> dict[str, ValueType]:
        """Returns the values that are known in front of a statement, with their types."""
        function = self.function
        names = [*function.parameters, *(s.target for s in function.statements[:statement])]
        return {name: self.typed.types[name] for name in names}

    def edges(self) -> Iterator[Edge]:
        """Yields all places where a value is read, but for the number that `vector` is given."""
        for number, statement in enumerate(self.function.statements):
            if statement.primitive != VECTOR:
                for place in range(len(statement.arguments)):
                    yield Edge(number, place)
        for place in range(len(self.function.results)):
            yield Edge(len(self.function.statements), place)

    def read(self, edge: Edge) -> Argument:
        """Returns the value that is read there."""
        if edge.statement == len(self.function.statements):
            return Name(self.function.results[edge.place])
        return self.function.statements[edge.statement].arguments[edge.place]

    def type_at(self, edge: Edge) -> ValueType:
        """Returns the type of the value that is read there."""
        return self.type_of(self.read(edge))

    def type_of(self, argument: Argument) -> ValueType:
        """Returns the type of a value of this function."""
        return SCALAR if isinstance(argument, Literal) else self.typed.types[argument.name]

    def with_read(
        self, edge: Edge, argument: Argument, new: Sequence[Statement] = ()
    ) -> Program | None:
        """Returns the program that reads another value there, computed by new statements.

        None where a number would be returned: a slot returns names.
        """
        function = self.function
        statements = list(function.statements)
        if edge.statement == len(statements):
            if isinstance(argument, Literal):
                return None
            results = list(function.results)
            results[edge.place] = argument.name
            changed = replace(function, statements=(*statements, *new), results=tuple(results))
            return self.program.program.with_function(changed)
        reader = statements[edge.statement]
        arguments = list(reader.arguments)
        arguments[edge.place] = argument
        statements[edge.statement] = replace(reader, arguments=tuple(arguments))
        statements[edge.statement : edge.statement] = new
        return self.with_statements(statements)

    def with_statements(self, statements: Sequence[Statement]) -> Program:
        """Returns the program with these statements in this slot."""
        changed = replace(self.function, statements=tuple(statements))
        return self.program.program.with_function(changed)


@lru_cache(maxsize=2048)
def draft(program: Program, slot: str) -> Draft:
    """Returns the draft of a slot, remembered; a slot that is left out is written out first.

    Raises `ProgramError` if the program has no types.
    """
    if program.function(slot) is None and slot in _DEFAULTS:
        program = program.with_function(_DEFAULTS[slot])
    return Draft(infer_types(program), slot)


def uses_gradient(program: Program) -> bool:
    """Returns whether adapt calls `grad`, and so needs an `inner_loss`."""
    adapt = program.function("adapt")
    return adapt is not None and any(s.primitive == GRADIENT for s in adapt.statements)


def live_size(program: Program) -> int:
    """Returns the number of calls and constants, those left aside whose values nobody reads."""
    return sum(_live_size(function) for function in program.functions)


def _live_size(function: Function) -> int:
    read, size = set(function.results), 0
    for statement in reversed(function.statements):
        if statement.target in read:
            names = statement.names
            read.update(names)
            size += 1 + len(statement.arguments) - len(names)
    return size
