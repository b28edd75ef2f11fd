"""Where a search begins that knows nothing: blank programs, and random ones.

Only one chain of types leads to logits, `Mat[Q,D]` times `Mat[D,C]`, and only a product of features
and labels has the latter type. The blank program is this chain with the features set to zero: all
its logits are zero. Random programs are grown from the primitives by their types alone.
"""

from __future__ import annotations

import numpy as np

from metaloop.programs.canonical import canonical
from metaloop.programs.growing import Growth
from metaloop.programs.parsing import parse
from metaloop.programs.slots import SLOTS
from metaloop.programs.syntax import Function, Name, Program, fresh_names, make_program
from metaloop.programs.types import ValueType, mat

BLANK = """
def adapt(x, y):
    return matmul(transpose(multiply(0.0, x)), y)

def predict(x, w):
    return matmul(x, w)
"""
_MOST_CALLS = 6  # of a slot


def blank_program() -> Program:
    """Returns the program whose logits are all zero."""
    return canonical(parse(BLANK))


def random_program(rng: np.random.Generator) -> Program:
    """Returns a program of random, rightly typed calls: adapt and predict, in canonical form.

    Its state is one or two values of random types from which logits can be had.
    """
    adapt = _growth("adapt", SLOTS["adapt"].parameter_types(()), ("x", "y"), rng)
    while True:
        types = adapt.reachable(3)
        number = 1 + int(rng.integers(2))
        wanted = tuple(types[place] for place in rng.integers(len(types), size=number))
        names = SLOTS["predict"].parameter_names(number)
        given = SLOTS["predict"].parameter_types(wanted)
        predict = _growth("predict", given, names, rng)
        logits = predict.value(mat("Q", "C"), _MOST_CALLS)
        if not isinstance(logits, Name):
            continue
        values = [adapt.value(value_type, 3) for value_type in wanted]
        results = tuple(value.name for value in values if isinstance(value, Name))
        if len(results) < number:
            continue
        return canonical(
            make_program(
                (
                    Function("adapt", ("x", "y"), tuple(adapt.statements), results),
                    Function("predict", names, tuple(predict.statements), (logits.name,)),
                )
            )
        )


def _growth(
    slot: str, types: tuple[ValueType, ...], names: tuple[str, ...], rng: np.random.Generator
) -> Growth:
    scope = dict(zip(names, types, strict=True))
    return Growth(slot, scope, fresh_names(names), rng)
