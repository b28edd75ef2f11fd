"""Rewiring a slot: calls grown around a value, and `predict` made to read a changed state."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from metaloop.programs.editing import Draft, Edge
from metaloop.programs.growing import Growth
from metaloop.programs.syntax import (
    Argument,
    Function,
    Literal,
    Name,
    Statement,
    fresh_names,
)
from metaloop.programs.types import ValueType

MOST_CALLS_GROWN = 4  # in one change
_OF_ITSELF = 0.5
_NUMBER_WEIGHT = 0.15  # of a place that holds a number, for which there is `constant`


def reading_new_state(
    old: Draft, place: int, wanted: ValueType, rng: np.random.Generator, widen: bool
) -> Function | None:
    """Returns predict with a state value of another type at a place, used at least once."""
    function = old.function
    taken = {*function.parameters, *(s.target for s in function.statements)}
    fresh = next(fresh_names(taken))
    parameters = list(function.parameters)
    gone = None if widen else parameters[place + 1]
    parameters[place + 1 : place + 2] = [fresh]
    scope = {fresh: wanted} | {n: t for n, t in old.scope(0).items() if n != gone}
    names = fresh_names({*taken, fresh})
    statements: list[Statement] = []
    if gone is not None:  # what was read there is grown from what is there now
        was = old.typed.types[gone]
        growth = Growth("predict", scope, names, rng)
        call = call_on(growth, Name(fresh), wanted, was) if was != wanted else Name(fresh)
        if call is None:
            return None
        statements = [*growth.statements, *(reading(s, gone, call) for s in function.statements)]
        results = tuple(str(call) if name == gone else name for name in function.results)
    else:
        edge = drawn_edge(old, rng)
        growth = Growth("predict", {fresh: wanted} | old.scope(edge.statement), names, rng)
        call = call_on(growth, Name(fresh), wanted, old.type_at(edge), of=old.read(edge))
        if call is None:
            return None
        changed = old.with_read(edge, call, growth.statements)
        predict = changed.function("predict") if changed is not None else None
        if predict is None:
            return None
        statements, results = list(predict.statements), predict.results
    return Function("predict", tuple(parameters), tuple(statements), results)


def call_on(
    growth: Growth, read: Argument, given: ValueType, wanted: ValueType, of: Argument | None = None
) -> Name | None:
    """Returns a new call with a result of type `wanted` that takes `read`, of type `given`.

    `of`: a value of the wanted type that it takes as well where it can. Other arguments are often
    grown from `read` alone: what relates a value to its own mean, norm or products.
    """
    alone = isinstance(read, Name) and growth.rng.random() < _OF_ITSELF
    if alone and isinstance(read, Name):
        growth = growth.over({read.name: given})
    call = None
    if of is not None:
        call = growth.fitting(wanted, given, MOST_CALLS_GROWN, also=True)
    call = call or growth.fitting(wanted, given, MOST_CALLS_GROWN)
    if call is None or call.given is None:
        return None
    fixed: dict[int, Argument] = {call.given: read}
    if of is not None:
        others = [p for p, t in enumerate(call.arguments) if p != call.given and t == wanted]
        fixed |= dict.fromkeys(others[:1], of)
    return growth.call(call, fixed, MOST_CALLS_GROWN)


def drawn_edge(draft: Draft, rng: np.random.Generator) -> Edge:
    """Returns a place where a value is read, numbers less often than others."""
    edges = list(draft.edges())
    read = [draft.read(edge) for edge in edges]
    weights = np.array([_NUMBER_WEIGHT if isinstance(a, Literal) else 1.0 for a in read])
    return edges[rng.choice(len(edges), p=weights / weights.sum())]


def reading(statement: Statement, gone: str, new: Argument) -> Statement:
    """Returns the statement with `new` read wherever `gone` was."""
    arguments = tuple(new if a == Name(gone) else a for a in statement.arguments)
    return replace(statement, arguments=arguments)
