"""Random typed expressions: whatever is grown has the type that was asked for.

Growth goes backwards from the wanted type: a primitive whose result has it is drawn, then values
for its arguments, each either in reach already or grown in turn. How many calls a type needs at
least is known beforehand, so that growth never runs into a dead end and never beyond its budget.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import product

import numpy as np

from metaloop.programs.errors import ProgramError
from metaloop.programs.primitives import GRADIENT, PRIMITIVES, VECTOR, Primitive, typing_of
from metaloop.programs.slots import SLOTS
from metaloop.programs.syntax import Argument, Literal, Name, Statement
from metaloop.programs.types import SCALAR, ValueType, mat, vec

Types = tuple[ValueType, ...]

_AXES = {
    "embed_map": "ND",
    "adapt": "SCD",
    "predict": "QSCD",
    "inner_loss": "SC",
    "meta_loss": "QC",
}
_REUSE = 0.5  # how often a value in reach is taken where one could be grown
_NUMBER = 0.7  # how often a scalar is a number
_USUAL_NUMBERS = (0.1, 0.5, 1.0, 2.0, 10.0)
_DIGITS = 3  # of a drawn number
_POINTLESS_WITH_ITSELF = frozenset({"subtract", "divide", "maximum", "minimum"})


@dataclass(frozen=True)
class Production:
    """One typed way to call a primitive; `given`: the place of an argument that is there."""

    primitive: str
    arguments: Types
    axis: int | None
    result: ValueType
    wrt: int | None = None
    given: int | None = None


@lru_cache(maxsize=1024)
def productions(slot: str, state: Types = ()) -> Mapping[ValueType, tuple[Production, ...]]:
    """Returns all typed calls that a slot may make, by the type of their result.

    `state`: the types of adapt's values, of which `grad` differentiates; without them there is no
    `grad`.
    """
    if state:
        table = dict(productions(slot))
        for place, value_type in enumerate(state):
            called = Production(GRADIENT, state, None, value_type, place)
            table[value_type] = (*table.get(value_type, ()), called)
        return table
    found: dict[ValueType, list[Production]] = {}
    for primitive in PRIMITIVES.values():
        if primitive.slots is None or slot in primitive.slots:
            for production in _typed_calls(primitive, slot):
                found.setdefault(production.result, []).append(production)
    return {result: tuple(calls) for result, calls in found.items()}


@lru_cache(maxsize=4096)
def calls_needed(slot: str, in_reach: frozenset[ValueType], state: Types = ()) -> Mapping[
    ValueType, int
]:  # fmt: skip
    """Returns for each type the least number of calls that make a value of it; 0 if in reach."""
    needed = dict.fromkeys(in_reach, 0)
    needed[SCALAR] = 0
    shapes = _shapes(slot, state)
    changed = True
    while changed:
        changed = False
        for result, arguments in shapes:
            if all(argument in needed for argument in arguments):
                calls = 1 + sum(needed[argument] for argument in arguments)
                if calls < needed.get(result, calls + 1):
                    needed[result], changed = calls, True
    return needed


@lru_cache(maxsize=65536)
def typed_calls(slot: str, arguments: Types, result: ValueType) -> tuple[Production, ...]:
    """Returns the calls of such arguments with such a result, `grad` and `vector` left out."""
    return tuple(
        call
        for call in productions(slot).get(result, ())
        if call.arguments == arguments and call.primitive != VECTOR
    )


@lru_cache(maxsize=1024)
def _shapes(slot: str, state: Types) -> frozenset[tuple[ValueType, Types]]:
    every = productions(slot, state).values()
    return frozenset((call.result, call.arguments) for calls in every for call in calls)


@dataclass(frozen=True)
class _Choices:
    """Calls by their primitive, in a fixed order of both."""

    calls: tuple[tuple[Production, ...], ...]

    @staticmethod
    def of(calls: Iterable[Production]) -> _Choices:
        grouped: dict[str, list[Production]] = {}
        for call in calls:
            grouped.setdefault(call.primitive, []).append(call)
        return _Choices(tuple(tuple(grouped[name]) for name in sorted(grouped)))

    def drawn(self, rng: np.random.Generator) -> Production:
        """Returns a call: first its primitive is drawn, then its types."""
        calls = self.calls[rng.integers(len(self.calls))]
        return calls[rng.integers(len(calls))]


@lru_cache(maxsize=65536)
def _affordable(
    slot: str, in_reach: frozenset[ValueType], state: Types, wanted: ValueType, most_calls: int
) -> _Choices:
    """Returns the calls with this result that need no more calls than that, their own included."""
    needed = calls_needed(slot, in_reach, state)
    return _Choices.of(
        call
        for call in productions(slot, state).get(wanted, ())
        if 1 + sum(needed.get(argument, most_calls) for argument in call.arguments) <= most_calls
    )


@lru_cache(maxsize=65536)
def _fitting(
    slot: str,
    in_reach: frozenset[ValueType],
    state: Types,
    result: ValueType,
    given: ValueType,
    most_calls: int,
    also: bool,
) -> _Choices:
    """As `Growth.fitting`; each call stands once for each place that `given` can have."""
    needed = calls_needed(slot, in_reach, state)
    found = []
    for call in productions(slot, state).get(result, ()):
        for place, wanted in enumerate(call.arguments):
            others = [t for p, t in enumerate(call.arguments) if p != place]
            calls = 1 + sum(needed.get(t, most_calls) for t in others)
            takes_both = result in others or not also
            if wanted == given and calls <= most_calls and takes_both and call.primitive != VECTOR:
                found.append(replace(call, given=place))
    return _Choices.of(found)


@dataclass
class Growth:
    """New statements for one place of a slot, over the values that are in reach there.

    `scope` has their types by name and takes in what is grown. `names`: fresh ones. `state` as in
    `productions`.
    """

    slot: str
    scope: dict[str, ValueType]
    names: Iterator[str]
    rng: np.random.Generator
    state: Types = ()
    statements: list[Statement] = field(default_factory=list)
    _in_reach: frozenset[ValueType] = field(init=False, repr=False)
    _needed: Mapping[ValueType, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._reach()

    def over(self, scope: Mapping[str, ValueType]) -> Growth:
        """Returns growth at the same place, into the same statements, from fewer values."""
        return Growth(self.slot, dict(scope), self.names, self.rng, (), self.statements)

    def value(self, wanted: ValueType, most_calls: int, reuse: float = _REUSE) -> Argument | None:
        """Returns a value of this type, grown by at most so many calls; None if it takes more."""
        if self._needed.get(wanted, most_calls + 1) > most_calls:
            return None
        known = [name for name, value_type in self.scope.items() if value_type == wanted]
        possible = _affordable(self.slot, self._in_reach, self.state, wanted, most_calls)
        if wanted == SCALAR and (not possible.calls or self.rng.random() < _NUMBER):
            return Literal(draw_number(self.rng))
        if known and (not possible.calls or self.rng.random() < reuse):
            return Name(known[self.rng.integers(len(known))])
        return self.call(possible.drawn(self.rng), {}, most_calls)

    def call(self, production: Production, given: Mapping[int, Argument], most_calls: int) -> Name:
        """Adds a call, its missing arguments grown, and returns its value.

        `given`: arguments by place. There must be calls enough for the others.
        """
        missing = [place for place in range(len(production.arguments)) if place not in given]
        spare = most_calls - 1
        spare -= sum(self._needed[production.arguments[place]] for place in missing)
        arguments = dict(given)
        for place in missing:
            extra = int(self.rng.integers(spare + 1)) if spare > 0 else 0
            spare -= extra
            arguments[place] = self._argument(production, place, extra, arguments)
        target = next(self.names)
        ordered = tuple(arguments[place] for place in range(len(production.arguments)))
        self.statements.append(
            Statement(target, production.primitive, ordered, production.axis, production.wrt)
        )
        self.scope[target] = production.result
        if self._needed.get(production.result, 1) > 0:
            self._reach()
        return Name(target)

    def fitting(
        self, result: ValueType, given: ValueType, most_calls: int, also: bool = False
    ) -> Production | None:
        """Returns a random call with this result that takes a value of type `given`.

        Its field `given` is the place of that value; the other arguments are within `most_calls`.
        `also`: one of them has the result's type, too. None if there is no such call.
        """
        choices = _fitting(self.slot, self._in_reach, self.state, result, given, most_calls, also)
        return choices.drawn(self.rng) if choices.calls else None

    def reachable(self, most_calls: int) -> list[ValueType]:
        """Returns the types that so many calls can make, in a fixed order."""
        return sorted((t for t, calls in self._needed.items() if calls <= most_calls), key=str)

    def _argument(
        self, production: Production, place: int, extra: int, others: Mapping[int, Argument]
    ) -> Argument:
        wanted = production.arguments[place]
        if production.primitive == VECTOR:
            return Literal(draw_number(self.rng))
        value: Argument | None = None
        for _ in range(3):
            value = self.value(wanted, self._needed[wanted] + extra)
            if production.primitive not in _POINTLESS_WITH_ITSELF or value not in others.values():
                break
        assert value is not None
        return value

    def _reach(self) -> None:
        self._in_reach = frozenset(self.scope.values())
        self._needed = calls_needed(self.slot, self._in_reach, self.state)


def draw_number(rng: np.random.Generator) -> float:
    """Returns a number to begin with: a usual one, or one between 0.01 and 100 of either sign."""
    if rng.random() < 0.5:
        return _USUAL_NUMBERS[rng.integers(len(_USUAL_NUMBERS))]
    sign = -1.0 if rng.random() < 0.2 else 1.0
    return rounded(sign * 10 ** rng.uniform(-2, 2))


def rounded(number: float) -> float:
    """Returns the number with the digits that a drawn one has."""
    return float(f"{number:.{_DIGITS}g}")


def _typed_calls(primitive: Primitive, slot: str) -> Iterator[Production]:
    if primitive.num_arguments is None:
        return
    private = SLOTS[slot].private
    axes = (None,) if primitive.axis == "never" else (None, 0, 1)
    seen: set[tuple[Types, int | None]] = set()
    for types in product(_types(slot), repeat=primitive.num_arguments):
        if primitive.name == VECTOR and types != (SCALAR,):
            continue
        for axis in axes:
            try:
                typing = typing_of(primitive.name, types, axis)
            except ProgramError:
                continue
            forbidden = private is not None and (
                typing.over == private or typing.result.axes == (private, private)
            )
            if not forbidden and (types, typing.axis) not in seen:
                seen.add((types, typing.axis))
                yield Production(primitive.name, types, typing.axis, typing.result)


def _types(slot: str) -> list[ValueType]:
    axes, private = _AXES[slot], SLOTS[slot].private
    matrices = [mat(a, b) for a in axes for b in axes if not a == b == private]
    return [SCALAR, *(vec(axis) for axis in axes), *matrices]
