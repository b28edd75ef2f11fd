"""The scale of a program's logits: what its probabilities need, and its predictions do not."""

from __future__ import annotations

from dataclasses import replace

from metaloop.programs.editing import uses_gradient
from metaloop.programs.mutation import canonical_form
from metaloop.programs.syntax import Literal, Name, Program, Statement, fresh_names


def calibrated(program: Program, scale: float) -> Program:
    """Returns the program with logits times `scale`: by its last constant, or one more call.

    One that learns by the gradient of its own predictions is left as it is: it would learn
    something else.
    """
    if uses_gradient(program):
        return program
    predict = program.function("predict")
    assert predict is not None
    factor = float(f"{scale:.4g}")
    statements = list(predict.statements)
    last = statements[-1] if statements else None
    if last and last.primitive == "multiply" and isinstance(last.arguments[0], Literal):
        value = float(f"{last.arguments[0].value * factor:.4g}")
        statements[-1] = replace(last, arguments=(Literal(value), *last.arguments[1:]))
        return canonical_form(program.with_function(replace(predict, statements=tuple(statements))))
    taken = {*predict.parameters, *(s.target for s in statements)}
    target = next(fresh_names(taken))
    statements.append(Statement(target, "multiply", (Literal(factor), Name(predict.results[0]))))
    scaled = replace(predict, statements=tuple(statements), results=(target,))
    return canonical_form(program.with_function(scaled))
