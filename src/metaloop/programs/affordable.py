"""What a program costs on features of a given width, known from its types alone.

All values of a slot live until it returns, so memory is the sum over its statements; `grad` runs
predict and inner_loss again and keeps what their derivatives need. A program from a file must stay
within limits for the file's own features before any of it runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from metaloop.programs.errors import ProgramError
from metaloop.programs.inference import TypedFunction, TypedProgram
from metaloop.programs.primitives import GRADIENT

MOST_NUMBERS = 1 << 26  # a quarter of a GiB
MOST_STATEMENTS = 600  # run in a task; on shapes alone that takes 0.3 s of one core
MOST_OPERATIONS = 1e11  # of learning and predicting one task: seconds of one core
USUAL_SIZES: Mapping[str, int] = {"S": 100, "Q": 256, "C": 20}  # 20 ways of 5 shots, one batch
_GRADIENT_MEMORY = 2.0  # values, and their derivatives
_MOST_GRADIENTS = 16  # steps unrolled in a text: each runs the rest of the program again


def check_affordable(typed: TypedProgram, num_features: int) -> None:
    """Raises `ProgramError` if the program would need too much memory or too many operations.

    For features of this width and the usual number of examples; the user's larger tasks are theirs.
    """
    sizes = {**USUAL_SIZES, "D": num_features}
    numbers, operations = numbers_of(typed, sizes), typed.cost(sizes)
    steps = sum(step.statement.primitive == GRADIENT for step in typed.slots["adapt"].steps)
    for what, cost, most in (
        ("numbers in memory", numbers, MOST_NUMBERS),
        ("operations", operations, MOST_OPERATIONS),
        ("calls of grad", steps, _MOST_GRADIENTS),
        ("statements to run", statements_of(typed), MOST_STATEMENTS),
    ):
        if cost > most:
            raise ProgramError(
                f"the program would take {cost:.2g} {what} on {num_features} features, more than "
                f"{most:.2g}; use a shorter program or a net with fewer features"
            )


def statements_of(typed: TypedProgram) -> int:
    """Returns how many statements are run in a task: `embed_map` twice, what `grad` runs thrice.

    A program is tried once on shapes alone before it is used: then this is all that it costs.
    """
    lengths = {name: len(function.steps) for name, function in typed.slots.items()}
    gradients = sum(step.statement.primitive == GRADIENT for step in typed.slots["adapt"].steps)
    again = lengths["predict"] + lengths.get("inner_loss", 0)  # forward, and twice as much back
    return sum(lengths.values()) + lengths.get("embed_map", 0) + 3 * gradients * again


def numbers_of(typed: TypedProgram, sizes: Mapping[str, int]) -> float:
    """Returns how many numbers there are in memory at most; `sizes` has S, Q, C and D."""
    all_sizes = {**sizes, "N": max(sizes["S"], sizes["Q"])}
    on_support = {**all_sizes, "Q": sizes["S"]}
    again = sum(
        _numbers(typed.slots[name], on_support, 0.0)
        for name in ("predict", "inner_loss")
        if name in typed.slots
    )
    gradient = _GRADIENT_MEMORY * again
    return max(_numbers(function, all_sizes, gradient) for function in typed.slots.values())


def _numbers(typed: TypedFunction, sizes: Mapping[str, int], gradient: float) -> float:
    total = 0.0
    for value_type in typed.types.values():
        total += math.prod(sizes[axis] for axis in value_type.axes)
    gradients = sum(step.statement.primitive == GRADIENT for step in typed.steps)
    return total + gradients * gradient
