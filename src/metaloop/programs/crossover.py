"""Children of two programs: a slot, or an expression of a fitting type, comes from the other one.

    slots        embed_map or a loss of the second parent; adapt and predict alone where the types
                 of their states agree, else both together
    expressions  a value of the first parent is replaced by one of the second's of the same type,
                 with all that computes it; parameters are matched by place, or else by type

Children are valid programs in canonical form that differ from both parents. All chance comes from
the caller's generator.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from metaloop.programs.editing import Draft, draft
from metaloop.programs.inference import infer_types
from metaloop.programs.mutation import Variant, canonical_form, valid
from metaloop.programs.primitives import GRADIENT
from metaloop.programs.syntax import Name, Program, Statement

_ATTEMPTS = 8
_WHOLE_SLOTS = 0.3  # share of children that take a whole slot
_PREDICTING = ("embed_map", "adapt", "predict")


def cross(first: Program, second: Program, rng: np.random.Generator) -> Variant | None:
    """Returns a child of two programs, the first changed by something of the second.

    None if a few attempts found none that differs from both. Raises `ProgramError` if one of them
    has no types.
    """
    parents = canonical_form(first), canonical_form(second)
    for _ in range(_ATTEMPTS):
        variant = recombine(*parents, rng)
        child = valid(variant.program) if variant is not None else None
        if variant is not None and child is not None and child not in parents:
            return replace(variant, program=child)
    return None


def recombine(first: Program, second: Program, rng: np.random.Generator) -> Variant | None:
    """Returns what one attempt makes of two programs, for a search that looks at many.

    It is not in canonical form and may do the same as a parent. None if the attempt found nothing.
    """
    whole = rng.random() < _WHOLE_SLOTS
    made = (_exchanged_slots if whole else _exchanged_expression)(first, second, rng)
    return Variant(made[0], "slots" if whole else "expression", made[1]) if made else None


def _exchanged_slots(
    first: Program, second: Program, rng: np.random.Generator
) -> tuple[Program, str] | None:
    slot = ("embed_map", "adapt", "predict", "inner_loss")[rng.integers(4)]
    taken = [slot]
    states = [infer_types(parent).state_types for parent in (first, second)]
    if slot in ("adapt", "predict") and states[0] != states[1]:
        taken = ["adapt", "predict"]
    child = first
    for name in taken:
        function = second.function(name)
        child = child.with_function(function) if function else child.without(name)
    return child, f"{' and '.join(taken)} of the other parent"


def _exchanged_expression(
    first: Program, second: Program, rng: np.random.Generator
) -> tuple[Program, str] | None:
    slot = _PREDICTING[rng.integers(len(_PREDICTING))]
    if second.function(slot) is None:
        return None
    to, giver = draft(first, slot), draft(second, slot)
    edges = list(to.edges())
    edge = edges[rng.integers(len(edges))]
    wanted = to.type_at(edge)
    values = [s.target for s in giver.function.statements if giver.typed.types[s.target] == wanted]
    if not values:
        return None
    value = values[rng.integers(len(values))]
    copied = _copied(giver, value, to, edge.statement, rng)
    if not copied:
        return None
    child = to.with_read(edge, Name(copied[-1].target), copied)
    return None if child is None else (child, f"{slot}: {copied[-1].call} of the other parent")


def _copied(
    giver: Draft, value: str, to: Draft, before: int, rng: np.random.Generator
) -> list[Statement]:
    """Returns the giver's statements behind a value, on the values of `to`; empty if that fails."""
    needed = {value}
    chosen: list[Statement] = []
    for statement in reversed(giver.function.statements):
        if statement.target in needed:
            needed.update(statement.names)
            chosen.insert(0, statement)
    growth = to.growth(before, rng)
    names: dict[str, str] = {}
    own = to.function.parameters
    for place, parameter in enumerate(giver.function.parameters):
        if parameter not in needed:
            continue
        wanted = giver.typed.types[parameter]
        if place < len(own) and to.typed.types[own[place]] == wanted:
            names[parameter] = own[place]
            continue
        fitting = [name for name, value_type in growth.scope.items() if value_type == wanted]
        if not fitting:
            return []
        names[parameter] = fitting[rng.integers(len(fitting))]
    differentiates = any(statement.primitive == GRADIENT for statement in chosen)
    if differentiates and giver.program.state_types != to.program.state_types:
        return []
    for statement in chosen:
        names[statement.target] = next(growth.names)
    return [
        replace(statement.renamed(names.__getitem__), target=names[statement.target])
        for statement in chosen
    ]
