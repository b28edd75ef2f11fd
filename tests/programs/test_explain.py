"""Differences between parent and child in words, for each kind of change."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaloop.programs.explain import explain
from metaloop.programs.library import LIBRARY, library_program
from metaloop.programs.parsing import parse
from metaloop.programs.syntax import Program

CENTRED = library_program("centred").source
STEPS = library_program("gradient_step").source


@pytest.mark.parametrize(
    ("old", "new", "sentences"),
    [
        ("", "", ["the same algorithm in other words"]),
        ("10.0", "13.2", ["predict: constant 10.0 became 13.2 in multiply(13.2, i)"]),
        (
            "sum(y, axis=0)",
            "max(y, axis=0)",
            ["adapt: replaced sum(y, axis=0) by max(y, axis=0)"],
        ),
        (
            "shifted = subtract(x, center)",
            "shifted = power(subtract(x, center), 0.5)",
            ["embed_map: inserted power(subtract(x, center), 0.5)"],
        ),
        (
            "matmul(transpose(y), x)",
            "matmul(transpose(softmax(y, axis=1)), x)",
            ["adapt: inserted softmax(y, axis=1)"],
        ),
        (
            "norm(shifted, axis=1), axis=0)",
            "norm(x, axis=1), axis=0)",
            ["embed_map: norm(subtract(x, center), axis=1) became norm(x, axis=1)"],
        ),
        (
            "norm(shifted, axis=1), axis=0)",
            "norm(shifted, axis=0))",
            None,  # mixes examples: has no types
        ),
    ],
)
def test_a_change_is_told_in_words(old: str, new: str, sentences: list[str] | None) -> None:
    child = CENTRED.replace(old, new)
    if sentences is None:
        with pytest.raises(Exception, match="mix examples"):
            explain(parse(CENTRED), parse(child))
        return
    assert list(explain(parse(CENTRED), parse(child))) == sentences


def test_what_was_inserted_is_removed_the_other_way_round() -> None:
    child = CENTRED.replace("subtract(x, center)", "power(subtract(x, center), 0.5)")
    assert explain(parse(child), parse(CENTRED)) == (
        "embed_map: removed power(subtract(x, center), 0.5)",
    )


def test_slots_come_and_go() -> None:
    plain = library_program("prototypes").source.replace("0.1", "10.0")
    assert explain(parse(plain), parse(CENTRED)) == (
        "embed_map: new; it returns divide(a, b, axis=0)",
    )
    assert explain(parse(CENTRED), parse(plain)) == (
        "embed_map: removed; it returned divide(a, b, axis=0)",
    )


def test_a_rewritten_slot_is_not_told_line_by_line() -> None:
    sentences = explain(parse(CENTRED), parse(library_program("ridge").source))
    assert any("rewritten with" in sentence and "solve" in sentence for sentence in sentences)
    assert len(sentences) <= 8


def test_another_state_value_is_differentiated() -> None:
    text = STEPS.replace("grad(w1, v1, wrt=1)", "grad(w0, v0, wrt=1)")
    assert any("grad" in s or "became" in s for s in explain(parse(STEPS), parse(text)))


@pytest.mark.parametrize("parent", LIBRARY)
@pytest.mark.parametrize("child", LIBRARY)
def test_any_two_programs_can_be_compared(parent: str, child: str) -> None:
    sentences = explain(*(parse(library_program(name).source) for name in (parent, child)))
    assert (sentences == ("the same algorithm in other words",)) == (parent == child)
    assert all("\n" not in sentence for sentence in sentences)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=12)
def test_a_changed_constant_is_always_told(
    random_program: Callable[[int], Program], seed: int
) -> None:
    parent = random_program(seed)
    assert explain(parent, parent) == ("the same algorithm in other words",)
    for function in parent.functions:
        child = parent.with_function(function.with_literals(v + 1.5 for v in function.literals))
        for sentence in explain(parent, child):
            assert sentence.startswith((function.slot, "the same"))
