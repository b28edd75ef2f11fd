"""Random changes of programs: every child is a valid program, and says what was changed.

    insert      a value is replaced by a call on it: norm, power, solve, ...; a new slot begins so
    delete      a call is replaced by one of its arguments, or by another value of its type
    primitive   a call becomes one of another primitive, on the same arguments
    argument    a call reads another value of the same type, known or newly grown
    regrow      a value is grown anew
    axis        a call works along the other axis, and those that read it follow
    constant    one number or all numbers of a slot move by a factor; or it is drawn anew
    rates       a number becomes a vector of trainable numbers, or back
    state       adapt returns one value more, which predict uses, or one of another type
    drop        an optional slot is left out

Types decide what fits, so that no child is refused for them but where a change of the state is felt
elsewhere; such children are dropped here. All chance comes from the caller's generator.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

import numpy as np

from metaloop.programs.canonical import canonical
from metaloop.programs.editing import Draft, Edge, draft, uses_gradient
from metaloop.programs.errors import ProgramError
from metaloop.programs.growing import Growth, draw_number, rounded, typed_calls
from metaloop.programs.inference import infer_types
from metaloop.programs.primitives import GRADIENT, VECTOR
from metaloop.programs.rewiring import (
    MOST_CALLS_GROWN,
    call_on,
    drawn_edge,
    reading,
    reading_new_state,
)
from metaloop.programs.slots import MAX_STATE_VALUES, SLOTS
from metaloop.programs.syntax import (
    MAX_STATEMENTS,
    Literal,
    Name,
    Program,
    Statement,
)

_ATTEMPTS = 12
_USUAL_SLOTS = ("embed_map", "adapt", "predict", "inner_loss")
_SLOT_WEIGHTS = {
    "embed_map": 2.0,
    "adapt": 4.0,
    "predict": 3.0,
    "inner_loss": 1.0,
    "meta_loss": 1.0,
}
_FACTOR_SPREAD = 0.7  # standard deviation of the logarithm of a constant's change
_NEGATED = 0.05  # how often a constant changes its sign
_DRAWN_ANEW = 0.15


@dataclass(frozen=True)
class Variant:
    """A changed program, the kind of change, and in words what it was."""

    program: Program
    kind: str
    words: str


Change = tuple[Program, str]
Mutation = Callable[[Draft, np.random.Generator], Change | None]


def mutate(
    program: Program,
    rng: np.random.Generator,
    *,
    kinds: Collection[str] | None = None,
    slots: Collection[str] = _USUAL_SLOTS,
) -> Variant | None:
    """Returns a program that differs from this one by one change, also in canonical form.

    None if none was found in a few attempts. `kinds`: the changes that may be made, by name; None:
    all, the usual more often. `meta_loss` is left as it is unless `slots` names it: it changes no
    prediction. Raises `ProgramError` if the program has no types.
    """
    before = canonical_form(program)
    for _ in range(_ATTEMPTS):
        variant = vary(before, rng, kinds=kinds, slots=slots)
        child = valid(variant.program) if variant is not None else None
        if variant is not None and child is not None and child != before:
            return replace(variant, program=child)
    return None


def vary(
    program: Program,
    rng: np.random.Generator,
    *,
    kinds: Collection[str] | None = None,
    slots: Collection[str] = _USUAL_SLOTS,
) -> Variant | None:
    """Returns what one attempt at one change makes of a program, for a search that looks at many.

    It is not in canonical form, may do the same as before, and where the state has changed it may
    not even have types. None if the attempt found nothing to change.
    """
    allowed, weights = _weighted(tuple(kinds) if kinds is not None else None)
    kind = allowed[rng.choice(len(allowed), p=weights)]
    slot = _drawn_slot(program, slots, rng)
    changed = MUTATIONS[kind](draft(program, slot), rng)
    return Variant(changed[0], kind, f"{slot}: {changed[1]}") if changed is not None else None


@lru_cache(maxsize=256)
def _weighted(kinds: tuple[str, ...] | None) -> tuple[list[str], np.ndarray]:
    allowed = [kind for kind in MUTATIONS if kinds is None or kind in kinds]
    weights = np.array([_KIND_WEIGHTS[kind] for kind in allowed])
    return allowed, weights / weights.sum()


@lru_cache(maxsize=4096)
def canonical_form(program: Program) -> Program:
    """Returns the canonical form, remembered: parents are asked for it again and again."""
    return canonical(program)


def valid(program: Program) -> Program | None:
    """Returns the canonical form of a program if it has types and is not too long, else None."""
    try:
        child = canonical(program)
    except ProgramError:
        return None
    longest = max(len(function.statements) for function in child.functions)
    return child if longest <= MAX_STATEMENTS else None


def _insert(draft: Draft, rng: np.random.Generator) -> Change | None:
    edge = drawn_edge(draft, rng)
    read, value_type = draft.read(edge), draft.type_at(edge)
    growth = draft.growth(edge.statement, rng)
    call = call_on(growth, read, value_type, value_type)
    if call is None:
        return None
    changed = draft.with_read(edge, call, growth.statements)
    return None if changed is None else (changed, f"inserted {_told(growth)}")


def _delete(draft: Draft, rng: np.random.Generator) -> Change | None:
    statements = draft.function.statements
    if not statements:
        return None
    number = int(rng.integers(len(statements)))
    gone = statements[number]
    wanted = draft.typed.types[gone.target]
    own = [name for name in gone.names if draft.typed.types[name] == wanted]
    if not own or rng.random() < 0.1:
        own = [name for name, t in draft.scope(number).items() if t == wanted]
    if not own:
        return None
    return _renamed(draft, number, own[rng.integers(len(own))]), f"removed {gone.call}"


def _primitive(draft: Draft, rng: np.random.Generator) -> Change | None:
    statements = list(draft.function.statements)
    places = [n for n, s in enumerate(statements) if s.primitive not in (VECTOR, GRADIENT)]
    if not places:
        return None
    number = places[rng.integers(len(places))]
    old = statements[number]
    types = tuple(draft.type_of(argument) for argument in old.arguments)
    calls = [
        call
        for call in typed_calls(draft.slot, types, draft.typed.types[old.target])
        if call.primitive != old.primitive
    ]
    if not calls:
        return None
    call = calls[rng.integers(len(calls))]
    statements[number] = replace(old, primitive=call.primitive, axis=call.axis)
    return draft.with_statements(statements), f"{old.call} became {statements[number].call}"


def _argument(draft: Draft, rng: np.random.Generator) -> Change | None:
    edge = drawn_edge(draft, rng)
    read, wanted = draft.read(edge), draft.type_at(edge)
    scope = draft.scope(edge.statement)
    others = [name for name, t in scope.items() if t == wanted and Name(name) != read]
    if not others:
        return None
    new = Name(others[rng.integers(len(others))])
    changed = draft.with_read(edge, new)
    return None if changed is None else (changed, f"{_place(draft, edge)} reads {new}, not {read}")


def _regrow(draft: Draft, rng: np.random.Generator) -> Change | None:
    edge = drawn_edge(draft, rng)
    growth = draft.growth(edge.statement, rng)
    new = growth.value(draft.type_at(edge), MOST_CALLS_GROWN, reuse=0.1)
    if new is None or not growth.statements:
        return None
    changed = draft.with_read(edge, new, growth.statements)
    was = draft.read(edge)
    return (
        None
        if changed is None
        else (changed, f"{_place(draft, edge)} reads {_told(growth)}, not {was}")
    )


def _axis(draft: Draft, rng: np.random.Generator) -> Change | None:
    statements = draft.function.statements
    places = [n for n, s in enumerate(statements) if s.axis is not None or len(s.arguments) == 2]
    for number in rng.permutation(places).astype(int).tolist():
        old = statements[number]
        for axis in (1, 0) if old.axis == 0 else (0, 1):
            new = replace(old, axis=axis)
            # Vectors that come of it run along the other axis: calls that read them find which.
            after = [
                replace(s, axis=None) if len(s.arguments) == 2 else s
                for s in statements[number + 1 :]
            ]
            for following in (statements[number + 1 :], tuple(after)):
                changed = draft.with_statements((*statements[:number], new, *following))
                if new != old and _has_types(changed):
                    return changed, f"{old.call} became {new.call}"
    return None


def _constant(draft: Draft, rng: np.random.Generator) -> Change | None:
    values = draft.function.literals
    if not values:
        return None
    chosen = int(rng.integers(len(values)))
    every = len(values) > 1 and rng.random() < 0.2
    new = [
        _moved(value, rng) if every or place == chosen else value
        for place, value in enumerate(values)
    ]
    changed = draft.function.with_literals(new)
    told = ", ".join(f"{a:g} to {b:g}" for a, b in zip(values, new, strict=True) if a != b)
    return draft.program.program.with_function(changed), f"changed {told}"


def _rates(draft: Draft, rng: np.random.Generator) -> Change | None:
    """A scalar in a product with features becomes a vector, one rate for each feature."""
    if SLOTS[draft.slot].name not in ("embed_map", "adapt", "predict"):
        return None
    statements = draft.function.statements
    options: list[Change] = []
    for number, statement in enumerate(statements):
        if statement.primitive == VECTOR:
            value = statement.arguments[0]
            rest = [reading(s, statement.target, value) for s in statements[number + 1 :]]
            changed = draft.with_statements((*statements[:number], *rest))
            options.append((changed, f"{statement.call} became one number, {value}"))
            continue
        for place, argument in enumerate(statement.arguments):
            if isinstance(argument, Literal):
                growth = draft.growth(number, rng)
                made = Statement(next(growth.names), VECTOR, (argument,))
                changed_program = draft.with_read(Edge(number, place), Name(made.target), [made])
                if changed_program is not None:
                    options.append((changed_program, f"{argument} became {made.call}"))
    options = [option for option in options if _has_types(option[0])]
    return options[rng.integers(len(options))] if options else None


def _state(draft: Draft, rng: np.random.Generator) -> Change | None:
    """Another value of adapt reaches predict: beside those that do, or in the place of one."""
    whole = Draft(draft.program, "adapt")
    results = whole.function.results
    growth = whole.growth(len(whole.function.statements), rng)
    types = growth.reachable(MOST_CALLS_GROWN)
    wanted = types[rng.integers(len(types))]
    new = growth.value(wanted, MOST_CALLS_GROWN)
    if not isinstance(new, Name) or (new.name in results and not growth.statements):
        return None
    widen = len(results) < MAX_STATE_VALUES and rng.random() < 0.5
    place = len(results) if widen else int(rng.integers(len(results)))
    adapt = replace(
        whole.function,
        statements=(*whole.function.statements, *growth.statements),
        results=(*results[:place], new.name, *results[place + 1 :]),
    )
    old = Draft(draft.program, "predict")
    predict = reading_new_state(old, place, wanted, rng, widen)
    if predict is None:
        return None
    program = draft.program.program.with_function(adapt).with_function(predict)
    told = _told(growth) if growth.statements else str(new)
    return program, f"adapt also returns {told}" if widen else f"adapt returns {told} instead"


def _drop(draft: Draft, rng: np.random.Generator) -> Change | None:
    if SLOTS[draft.slot].required:
        return None
    return draft.program.program.without(draft.slot), "removed"


MUTATIONS: Mapping[str, Mutation] = MappingProxyType(
    {
        "insert": _insert,
        "delete": _delete,
        "primitive": _primitive,
        "argument": _argument,
        "regrow": _regrow,
        "axis": _axis,
        "constant": _constant,
        "rates": _rates,
        "state": _state,
        "drop": _drop,
    }
)
_KIND_WEIGHTS = {
    "insert": 4.0,
    "delete": 2.0,
    "primitive": 1.0,
    "argument": 1.0,
    "regrow": 2.0,
    "axis": 0.3,
    "constant": 1.5,
    "rates": 0.2,
    "state": 1.0,
    "drop": 0.2,
}


def _drawn_slot(program: Program, slots: Collection[str], rng: np.random.Generator) -> str:
    usable = [slot for slot in SLOTS if slot in slots]
    if "inner_loss" in usable and len(usable) > 1 and not uses_gradient(program):
        usable.remove("inner_loss")
    weights = np.array([_SLOT_WEIGHTS[slot] for slot in usable])
    return usable[rng.choice(len(usable), p=weights / weights.sum())]


def _renamed(draft: Draft, number: int, new: str) -> Program:
    """Returns the program whose statement `number` is gone; `new` is read in its place."""
    function = draft.function
    gone = function.statements[number].target
    after = [reading(s, gone, Name(new)) for s in function.statements[number + 1 :]]
    changed = replace(
        function,
        statements=(*function.statements[:number], *after),
        results=tuple(new if name == gone else name for name in function.results),
    )
    return draft.program.program.with_function(changed)


def _moved(value: float, rng: np.random.Generator) -> float:
    if value == 0 or rng.random() < _DRAWN_ANEW:
        return draw_number(rng)
    sign = -1.0 if rng.random() < _NEGATED else 1.0
    return rounded(sign * value * float(np.exp(_FACTOR_SPREAD * rng.standard_normal())))


def _has_types(program: Program) -> bool:
    try:
        infer_types(program)
    except ProgramError:
        return False
    return True


def _told(growth: Growth) -> str:
    return growth.statements[-1].call


def _place(draft: Draft, edge: Edge) -> str:
    if edge.statement == len(draft.function.statements):
        return "the result"
    return draft.function.statements[edge.statement].call
