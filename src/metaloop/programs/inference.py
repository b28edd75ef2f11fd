"""Type inference: from a program to a `TypedProgram` that the interpreter can run at once.

Slots are typed in an order in which each knows what it needs: embed_map and adapt, whose returned
values are the state, then predict on that state, then the losses. Along a slot's private axis
(`slots.py`) no call may mix entries, and no value may have it twice; this one rule, checked at
every statement, keeps every prediction independent of the other queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from metaloop.programs.errors import ProgramError
from metaloop.programs.primitives import GRADIENT, VECTOR, primitive, typing_of
from metaloop.programs.rules import Sizes, Typing
from metaloop.programs.slots import SLOTS, Slot
from metaloop.programs.syntax import Function, Literal, Program, Statement
from metaloop.programs.types import SCALAR, ValueType

CONSTANT_PREFIX = "program."


@dataclass(frozen=True)
class Constant:
    """A trainable number or vector: where it is in the program, and what it starts as."""

    name: str
    initial: float
    is_vector: bool


@dataclass(frozen=True)
class Step:
    """A statement with the types of its arguments, what its rule says, and its constants' names.

    `constants` has a name for each argument that is a number, None for the others.
    """

    statement: Statement
    argument_types: tuple[ValueType, ...]
    typing: Typing
    constants: tuple[str | None, ...]


@dataclass(frozen=True)
class TypedFunction:
    """A function whose every value has a type."""

    function: Function
    steps: tuple[Step, ...]
    types: Mapping[str, ValueType]

    @property
    def result_types(self) -> tuple[ValueType, ...]:
        """The types of what it returns."""
        return tuple(self.types[name] for name in self.function.results)

    @property
    def constants(self) -> tuple[Constant, ...]:
        """Its constants, in the order of their numbers."""
        return tuple(
            Constant(name, argument.value, step.statement.primitive == VECTOR)
            for step in self.steps
            for name, argument in zip(step.constants, step.statement.arguments, strict=True)
            if name is not None and isinstance(argument, Literal)
        )


@dataclass(frozen=True)
class TypedProgram:
    """A program that has passed the check of types."""

    program: Program
    slots: Mapping[str, TypedFunction]

    @property
    def state_types(self) -> tuple[ValueType, ...]:
        """The types of the values that adapt returns and predict is given."""
        return self.slots["adapt"].result_types

    @cached_property
    def constants(self) -> tuple[Constant, ...]:
        """All constants, slot by slot."""
        return tuple(c for typed in self.slots.values() for c in typed.constants)

    def cost(self, sizes: Sizes) -> float:
        """Returns the floating-point operations of learning and predicting one task.

        `sizes` has S, Q, C and D.
        """
        all_sizes = {**sizes, "N": sizes["S"] + sizes["Q"]}
        on_support = {**all_sizes, "Q": sizes["S"]}
        predicting = _cost(self.slots["predict"], on_support, 0.0)
        if "inner_loss" in self.slots:
            predicting += _cost(self.slots["inner_loss"], on_support, 0.0)
        gradient = 3.0 * predicting  # forward, and backward for twice as much
        used = (name for name in ("embed_map", "adapt", "predict") if name in self.slots)
        return sum(_cost(self.slots[name], all_sizes, gradient) for name in used)


def infer_types(program: Program) -> TypedProgram:
    """Returns the program with all types; raises `ProgramError` naming slot and statement."""
    for slot in SLOTS.values():
        if slot.required and program.function(slot.name) is None:
            raise ProgramError(f"a program needs the slot '{slot.name}'; write a function for it")
    typed: dict[str, TypedFunction] = {}
    state: tuple[ValueType, ...] = ()
    for function in program.functions:  # adapt comes before predict in the table of slots
        slot = SLOTS[function.slot]
        typed[slot.name] = _typed_function(function, slot, state)
        if slot.name == "adapt":
            state = typed["adapt"].result_types
    return TypedProgram(program, typed)


def infer_loss(program: Program, slot: str) -> TypedFunction | None:
    """Returns a loss slot with all types, None if it is left out; needs no other slot."""
    assert SLOTS[slot].result == SCALAR
    function = program.function(slot)
    return None if function is None else _typed_function(function, SLOTS[slot], ())


def _typed_function(function: Function, slot: Slot, state: tuple[ValueType, ...]) -> TypedFunction:
    expected = slot.parameter_types(state)
    if len(function.parameters) != len(expected):
        raise ProgramError(
            f"{slot.name}: expected {len(expected)} parameters, as adapt returns {len(state)} "
            f"values; got {len(function.parameters)}"
        )
    types = dict(zip(function.parameters, expected, strict=True))
    steps: list[Step] = []
    numbers = iter(range(len(function.literals)))
    for statement in function.statements:
        try:
            step = _step(statement, slot, types, numbers)
        except ProgramError as error:
            place = f"{slot.name}: in `{statement.target} = {statement.call}`"
            raise ProgramError(f"{place}: {error}") from error
        types[statement.target] = step.typing.result
        steps.append(step)
    typed = TypedFunction(function, tuple(steps), types)
    _check_results(typed, slot)
    return typed


def _step(
    statement: Statement, slot: Slot, types: Mapping[str, ValueType], numbers: Iterator[int]
) -> Step:
    called = primitive(statement.primitive)
    if called.slots is not None and slot.name not in called.slots:
        raise ProgramError(f"'{called.name}' is for {' and '.join(sorted(called.slots))} only")
    arguments = statement.arguments
    argument_types = tuple(SCALAR if isinstance(a, Literal) else types[a.name] for a in arguments)
    constants = tuple(
        f"{CONSTANT_PREFIX}{slot.name}.{next(numbers)}" if isinstance(a, Literal) else None
        for a in arguments
    )
    typed_by = argument_types
    if called.name == VECTOR and not (len(arguments) == 1 and isinstance(arguments[0], Literal)):
        raise ProgramError("'vector' takes one number, such as vector(0.1)")
    if called.name == GRADIENT:
        place = statement.wrt or 0
        if place >= len(arguments):
            raise ProgramError(f"wrt={place} is none of the {len(arguments)} values of the state")
        typed_by = (argument_types[place],)
    typing = typing_of(called.name, typed_by, statement.axis)
    _check_private(typing, slot)
    return Step(statement, argument_types, typing, constants)


def _check_private(typing: Typing, slot: Slot) -> None:
    private = slot.private
    if private is None:
        return
    rows = {"N": "examples", "Q": "queries"}[private]
    if typing.over == private:
        raise ProgramError(f"it would mix {rows} (axis {private}); each is treated alone")
    if typing.result.axes == (private, private):
        raise ProgramError(f"{typing.result} would relate {rows} to each other")


def _check_results(typed: TypedFunction, slot: Slot) -> None:
    results = typed.result_types
    if slot.result is not None and results != (slot.result,):
        got = ", ".join(map(str, results))
        raise ProgramError(f"{slot.name}: expected to return {slot.result}, got {got}")
    whole = ", ".join(map(str, results))
    for step in typed.steps:
        if step.statement.primitive == GRADIENT and step.argument_types != results:
            got = ", ".join(map(str, step.argument_types))
            raise ProgramError(
                f"{slot.name}: in `{step.statement.call}`: grad takes a whole state ({whole}), "
                f"got ({got})"
            )


def _cost(typed: TypedFunction, sizes: Sizes, gradient_cost: float) -> float:
    total = 0.0
    for step in typed.steps:
        if step.statement.primitive == GRADIENT:
            total += gradient_cost
        else:
            cost = primitive(step.statement.primitive).cost
            total += cost(step.argument_types, step.typing.result, sizes)
    return total
