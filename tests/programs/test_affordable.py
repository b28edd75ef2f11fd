"""What a program would cost is known from its types: large ones are refused before they run."""

from __future__ import annotations

import resource

import pytest

from metaloop.core.inputs import InputFormat
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.mlp import raw
from metaloop.programs.affordable import (
    MOST_NUMBERS,
    MOST_STATEMENTS,
    USUAL_SIZES,
    check_affordable,
    numbers_of,
    statements_of,
)
from metaloop.programs.errors import ProgramError
from metaloop.programs.inference import infer_types
from metaloop.programs.learner import ProgramLearner
from metaloop.programs.library import LIBRARY
from metaloop.programs.parsing import parse

_SQUARES = "\n".join(f"    a{k} = matmul(transpose(x), x)" for k in range(30))
SQUARES = f"""
def adapt(x, y):
{_SQUARES}
    return matmul(transpose(x), y)

def predict(x, w):
    return matmul(x, w)
"""
_STEPS = "\n".join(f"    w{k + 1} = subtract(w{k}, grad(w{k}))" for k in range(30))
MANY_GRADIENTS = f"""
def adapt(x, y):
    w0 = matmul(transpose(x), y)
{_STEPS}
    return w30

def predict(x, w):
    return matmul(x, w)
"""

_LONG = "\n".join(f"    s{k + 1} = exp(s{k})" for k in range(60))
LONG_BEHIND_GRADIENTS = f"""
def adapt(x, y):
    w0 = matmul(transpose(x), y)
{_STEPS[: _STEPS.index("    w17")]}
    return w16

def predict(x, w):
    s0 = matmul(x, w)
{_LONG}
    return s60
"""


def net_of(width: int) -> FunctionalNet:
    return FunctionalNet(InputFormat("vector", (width,), (0.0,) * width, (1.0,) * width), build=raw)


_COSTLY = [
    (SQUARES, "in memory"),
    (MANY_GRADIENTS, "grad"),
    (LONG_BEHIND_GRADIENTS, "statements"),
]


@pytest.mark.parametrize(("source", "says"), _COSTLY)
def test_a_program_of_many_large_matrices_is_refused_before_it_runs(source: str, says: str) -> None:
    net = net_of(4800)  # 40 x 40 pixels in colour
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ProgramError, match=says) as refused:
        ProgramLearner(net, source)
    assert "\n" not in str(refused.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_the_same_program_is_fine_on_few_features() -> None:
    assert ProgramLearner(net_of(64), SQUARES).typed is not None


@pytest.mark.parametrize("name", sorted(LIBRARY))
def test_known_programs_are_affordable_on_the_widest_features_there_are(name: str) -> None:
    typed = infer_types(parse(LIBRARY[name].source))
    check_affordable(typed, 25_600)


def test_the_estimate_counts_every_value_that_lives_at_once() -> None:
    typed = infer_types(parse(SQUARES))
    sizes = {"S": 7, "Q": 11, "C": 3, "D": 5}
    inputs = 7 * 5 + 7 * 3
    squares = 30 * (5 * 7 + 5 * 5)
    assert numbers_of(typed, sizes) == inputs + squares + 5 * 7 + 5 * 3
    assert numbers_of(typed, {**USUAL_SIZES, "D": 4800}) > MOST_NUMBERS


def test_statements_behind_gradients_count_as_often_as_they_run() -> None:
    typed = infer_types(parse(LONG_BEHIND_GRADIENTS))
    predict = 1 + 60
    adapt = 2 + 16 * 2
    assert statements_of(typed) == adapt + predict + 3 * 16 * predict > MOST_STATEMENTS


@pytest.mark.parametrize("name", sorted(LIBRARY))
def test_known_programs_run_a_small_part_of_the_statements_that_may_be(name: str) -> None:
    assert statements_of(infer_types(parse(LIBRARY[name].source))) < MOST_STATEMENTS / 4
