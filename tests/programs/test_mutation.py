"""Every mutation and crossover gives a valid program that differs and says how."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaloop.core.randomness import numpy_stream
from metaloop.programs.canonical import canonical
from metaloop.programs.checking import check
from metaloop.programs.crossover import cross
from metaloop.programs.editing import draft, live_size
from metaloop.programs.errors import ProgramError
from metaloop.programs.library import LIBRARY
from metaloop.programs.mutation import MUTATIONS, mutate, vary
from metaloop.programs.parsing import parse
from metaloop.programs.primitives import VECTOR
from metaloop.programs.syntax import Program

SEEDS = st.integers(0, 10**6)
NAMES = st.sampled_from(sorted(LIBRARY))


def library(name: str) -> Program:
    return parse(LIBRARY[name].source)


def check_child(child: Program, *parents: Program) -> None:
    assert child == canonical(child)
    assert child not in [canonical(parent) for parent in parents]
    assert parse(str(child)) == child
    check(child)  # types, then shapes on meta tensors


def check_line(name: str, seed: int) -> None:
    """Three mutations, one upon the other."""
    rng, program = numpy_stream(seed, "mutants"), library(name)
    for _ in range(3):
        variant = mutate(program, rng)
        assert variant is not None
        assert variant.words
        check_child(variant.program, program)
        program = variant.program


@given(name=NAMES, seed=SEEDS)
@settings(max_examples=20)
def test_mutants_are_valid_and_differ(name: str, seed: int) -> None:
    check_line(name, seed)


@pytest.mark.long
@given(name=NAMES, seed=SEEDS)
@settings(max_examples=300)
def test_900_mutants_are_valid_and_differ(name: str, seed: int) -> None:
    check_line(name, seed)


@given(seed=SEEDS)
@settings(max_examples=15)
def test_mutants_of_random_programs_are_valid(
    random_program: Callable[[int], Program], seed: int
) -> None:
    program = random_program(seed)
    variant = mutate(program, numpy_stream(seed, "mutants"))
    assert variant is not None
    check_child(variant.program, program)


@pytest.mark.parametrize("kind", sorted(MUTATIONS))
def test_every_kind_of_mutation_reaches_changes(kind: str) -> None:
    reached = set()
    for name in LIBRARY:
        variant = mutate(library(name), numpy_stream(0, kind), kinds=[kind])
        if variant is not None:
            assert variant.kind == kind
            check_child(variant.program, library(name))
            reached.add(variant.program)
    assert len(reached) >= 2


@given(first=NAMES, second=NAMES, seed=SEEDS)
@settings(max_examples=25)
def test_children_of_two_are_valid_and_differ_from_both(first: str, second: str, seed: int) -> None:
    parents = library(first), library(second)
    child = cross(*parents, numpy_stream(seed, "cross"))
    if child is not None:
        check_child(child.program, *parents)


@pytest.mark.parametrize(("first", "second"), [("ridge", "centred"), ("cosine", "meta_sgd")])
def test_two_programs_exchange_slots_and_expressions(first: str, second: str) -> None:
    rng = numpy_stream(0, "cross", first, second)
    children = [cross(library(first), library(second), rng) for _ in range(12)]
    assert {child.kind for child in children if child is not None} == {"slots", "expression"}
    assert len({child.program for child in children if child is not None}) >= 3


def test_a_program_has_no_child_with_itself_that_takes_whole_slots() -> None:
    rng = numpy_stream(0, "cross")
    children = [cross(library("ridge"), library("ridge"), rng) for _ in range(10)]
    assert all(child is None or child.kind == "expression" for child in children)


def test_the_same_generator_makes_the_same_mutants() -> None:
    def line() -> list[str]:
        rng, program, words = numpy_stream(5, "line"), library("ridge"), []
        for _ in range(15):
            variant = mutate(program, rng)
            assert variant is not None
            program = variant.program
            words.append(f"{variant.words}\n{program}")
        return words

    assert line() == line()


def test_only_the_slots_that_are_named_change() -> None:
    program = canonical(library("centred"))
    for seed in range(30):
        variant = mutate(
            program, numpy_stream(seed, "slots"), slots=["embed_map"], kinds=["insert"]
        )
        assert variant is not None
        assert variant.words.startswith("embed_map: inserted ")
        assert variant.program.function("adapt") == program.function("adapt")
        assert variant.program.function("predict") == program.function("predict")


def test_a_meta_loss_grows_only_where_it_is_asked_for() -> None:
    program = library("prototypes")
    usual = [mutate(program, numpy_stream(seed, "loss")) for seed in range(40)]
    assert all(v is None or v.program.function("meta_loss") is None for v in usual)
    asked = mutate(program, numpy_stream(0, "loss"), slots=["meta_loss"], kinds=["insert"])
    assert asked is not None
    assert asked.program.function("meta_loss") is not None


def test_rates_become_vectors_and_numbers_again() -> None:
    rng = numpy_stream(0, "rates")
    one = mutate(library("gradient_step"), rng, kinds=["rates"], slots=["adapt"])
    assert one is not None
    assert any(
        s.primitive == VECTOR for function in one.program.functions for s in function.statements
    )
    for seed in range(20):
        back = mutate(library("meta_sgd"), numpy_stream(seed), kinds=["rates"], slots=["adapt"])
        if back is not None and "became one number" in back.words:
            return
    raise AssertionError("no vector became a number")


def test_a_program_without_types_is_refused() -> None:
    with pytest.raises(ProgramError):
        mutate(parse("def adapt(x, y):\n    return add(x, y)\n"), np.random.default_rng(0))


def test_a_variation_of_a_search_has_its_size_without_dead_code() -> None:
    program = canonical(library("prototypes"))
    for seed in range(40):
        variant = vary(program, numpy_stream(seed, "vary"), kinds=["insert", "delete", "constant"])
        if variant is not None:
            tidy = canonical(variant.program)
            calls = sum(len(f.statements) + len(f.literals) for f in tidy.functions)
            assert live_size(variant.program) >= calls


def test_a_slot_that_is_left_out_is_written_out_to_be_changed() -> None:
    assert draft(library("prototypes"), "embed_map").function.results == ("x",)
    loss = draft(library("prototypes"), "meta_loss").function
    assert [s.primitive for s in loss.statements][-2:] == ["mean", "negate"]
