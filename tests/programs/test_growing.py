"""What is grown has the type that was asked for, within its budget of calls."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaloop.core.randomness import numpy_stream
from metaloop.programs.blank import blank_program, random_program
from metaloop.programs.canonical import canonical
from metaloop.programs.checking import check
from metaloop.programs.growing import Growth, calls_needed, productions
from metaloop.programs.library import LIBRARY
from metaloop.programs.parsing import parse
from metaloop.programs.primitives import PRIMITIVES
from metaloop.programs.slots import SLOTS
from metaloop.programs.syntax import Name, Program, fresh_names
from metaloop.programs.types import SCALAR, ValueType, mat, parse_type, vec

SEEDS = st.integers(0, 10**6)
ADAPT = {"x": mat("S", "D"), "y": mat("S", "C")}


def growth(seed: int, slot: str = "adapt", state: tuple[ValueType, ...] = ()) -> Growth:
    names = SLOTS[slot].parameter_names(len(state))
    scope = dict(zip(names, SLOTS[slot].parameter_types(state), strict=True))
    return Growth(slot, scope, fresh_names(names), numpy_stream(seed, "growth"))


@given(seed=SEEDS, calls=st.integers(0, 6))
def test_a_grown_value_has_its_type_and_keeps_to_its_budget(seed: int, calls: int) -> None:
    grown = growth(seed)
    types = grown.reachable(calls)
    wanted = types[seed % len(types)]
    value = grown.value(wanted, calls)
    assert value is not None
    assert len(grown.statements) <= calls
    if isinstance(value, Name):
        assert grown.scope[value.name] == wanted
    else:
        assert wanted == SCALAR


@pytest.mark.parametrize(
    ("text", "calls"),
    [("Mat[S,D]", 0), ("Scalar", 0), ("Mat[D,S]", 1), ("Vec[C]", 1), ("Mat[C,D]", 2)],
)
def test_the_calls_that_a_type_needs_in_adapt_are_counted(text: str, calls: int) -> None:
    needed = calls_needed("adapt", frozenset(ADAPT.values()))
    assert needed[parse_type(text)] == calls
    if calls:
        assert growth(0).value(parse_type(text), calls - 1) is None


def test_nothing_grows_in_predict_that_would_mix_queries() -> None:
    for calls in productions("predict").values():
        for call in calls:
            assert call.result.axes.count("Q") <= 1
            if call.primitive in ("sum", "mean", "max", "softmax") and call.axis is not None:
                assert call.arguments[0].axes[call.axis] != "Q"


def test_every_primitive_can_be_grown_in_adapt() -> None:
    state = (mat("C", "D"),)
    names = {c.primitive for calls in productions("adapt", state).values() for c in calls}
    assert names == set(PRIMITIVES)


def test_a_gradient_can_be_grown_where_the_state_is_known() -> None:
    state = (mat("C", "D"), vec("C"))
    assert any(call.primitive == "grad" for call in productions("adapt", state)[vec("C")])
    assert not any(call.primitive == "grad" for call in productions("adapt")[vec("C")])


@given(seed=SEEDS)
@settings(max_examples=20)
def test_random_programs_pass_the_check_and_are_canonical(seed: int) -> None:
    program = random_program(numpy_stream(seed, "random"))
    check(program)
    assert canonical(program) == program
    assert parse(str(program)) == program


def test_random_programs_differ() -> None:
    programs = [random_program(numpy_stream(seed, "random")) for seed in range(50)]
    assert len(set(programs)) >= 45


def test_the_blank_program_knows_nothing_of_the_library() -> None:
    blank = blank_program()
    check(blank)
    assert not shared_lines(blank, "ridge") & {"solve", "add_diagonal"}
    assert not shared_lines(blank, "cosine") & {"norm", "divide"}


def shared_lines(program: Program, name: str) -> set[str]:
    other = parse(LIBRARY[name].source)
    calls = [
        Counter(s.primitive for f in p.functions for s in f.statements) for p in (program, other)
    ]
    return set(calls[0] & calls[1])
