"""Text to tree and back; what is not in the language is refused in one line, with its place."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaloop.core.errors import MetaloopError
from metaloop.programs.errors import ProgramError
from metaloop.programs.library import LIBRARY, library_program
from metaloop.programs.parsing import parse
from metaloop.programs.syntax import MAX_CHARACTERS, Literal, Program, fresh_names

ADAPT = "def adapt(x, y):\n    {}\n"


@given(seed=st.integers(0, 10**6))
@settings(max_examples=30)
def test_a_program_is_read_as_it_was_printed(
    random_program: Callable[[int], Program], seed: int
) -> None:
    program = random_program(seed)
    assert parse(str(program)) == program


@pytest.mark.parametrize("name", LIBRARY)
def test_programs_of_the_library_are_read_as_they_were_printed(name: str) -> None:
    program = parse(library_program(name).source)
    assert parse(str(program)) == program


@given(value=st.floats(-1e30, 1e30))
def test_numbers_survive_the_text_exactly(value: float) -> None:
    program = parse(ADAPT.format(f"return multiply({value!r}, x)"))
    assert program.functions[0].literals == (value,)
    assert parse(str(program)) == program


def test_nested_calls_become_lines_in_the_order_of_computation() -> None:
    text = "def predict(x, w):\n    return multiply(10, matmul(x, transpose(w)))\n"
    assert str(parse(text)) == (
        "def predict(x, w):\n"
        "    a = transpose(w)\n"
        "    b = matmul(x, a)\n"
        "    return multiply(10.0, b)\n"
    )


def test_slots_are_printed_in_their_order_and_comments_are_left_out() -> None:
    text = "# a note\ndef predict(x, w):\n    return matmul(x, w)  # here\n\n" + ADAPT.format(
        "return matmul(transpose(x), y)"
    )
    assert [function.slot for function in parse(text).functions] == ["adapt", "predict"]
    assert "#" not in str(parse(text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1", "line 1: expected functions only, got `x = 1`"),
        ("import os", "line 1: expected functions only"),
        ("class A: pass", "line 1: expected functions only"),
        ("async def adapt(x, y): return x", "line 1: expected functions only"),
        ("def adopt(x, y): return x", "no slot is called 'adopt'; did you mean 'adapt'"),
        (ADAPT.format("return x") * 2, "line 3: slot 'adapt' is there twice"),
        ("@f\ndef adapt(x, y): return x", "plain names"),
        ("def adapt(x, y=1): return x", "plain names"),
        ("def adapt(x, *y): return x", "plain names"),
        ("def adapt(x: int, y): return x", "plain names"),
        ("def adapt(x): return x", r"expected adapt\(x, y\), got 1 parameters"),
        ("def predict(x, a, b, c, d, e): return x", r"expected predict\(x, w\), got 6"),
        ("def adapt(x, sum): return x", "'sum' is the name of a primitive"),
        (ADAPT.format("return"), "line 2: expected `return` with a value"),
        (ADAPT.format("pass"), "line 2: expected `return` with a value"),
        (ADAPT.format("return 1.0"), "got a number"),
        (ADAPT.format("return x, x, x, x, x"), "1 to 4 returned values, got 5"),
        (ADAPT.format("return z"), "line 2: no value is called 'z'"),
        (ADAPT.format("return ad(x, y)"), "no primitive is called 'ad'; did you mean 'add'"),
        (ADAPT.format("return __import__('os').system('true')"), "expected a call such as"),
        (ADAPT.format("return x.sum()"), "expected a call such as"),
        (ADAPT.format("return x + y"), "expected a name, a number or a call, got `x . y`"),
        (ADAPT.format("return add(x, 'a')"), "got `'a'`"),
        (ADAPT.format("return add(x, True)"), "got `True`"),
        (ADAPT.format("return add(x, 1j)"), "got `1j`"),
        (ADAPT.format("return add(x, 1e31)"), "numbers go up to"),
        (ADAPT.format("return add(x, 1e999)"), "numbers go up to"),
        (ADAPT.format("return add(x, *y)"), "expected a name, a number or a call"),
        (ADAPT.format("return add(x, **y)"), "'add' does not take"),
        (ADAPT.format("return sum(x, dim=0)"), "'sum' does not take dim"),
        (ADAPT.format("return exp(x, axis=0)"), "'exp' does not take axis"),
        (ADAPT.format("return sum(x, axis=-1)"), "small whole numbers"),
        (ADAPT.format("return sum(x, axis=True)"), "small whole numbers"),
        (ADAPT.format("return sum(x, axis=0.0)"), "small whole numbers"),
        (ADAPT.format("a = exp(x)\n    a = exp(a)\n    return a"), "line 3: 'a' already has"),
        (ADAPT.format("exp = exp(x)\n    return x"), "'exp' is the name of a primitive"),
        (ADAPT.format("a = b = exp(x)\n    return a"), "expected `name = primitive"),
        (ADAPT.format("a, b = exp(x)\n    return a"), "expected `name = primitive"),
        (ADAPT.format("a: int = exp(x)\n    return a"), "expected `name = primitive"),
        (ADAPT.format("for a in x: pass\n    return x"), "expected `name = primitive"),
        (ADAPT.format("a = x\n    return a"), "expected a call such as"),
        (ADAPT.format("_a = exp(x)\n    return _a"), "letters, digits and _"),
        (ADAPT.format("ä = exp(x)\n    return ä"), "letters, digits and _"),
        (ADAPT.format(f"{'a' * 33} = exp(x)\n    return x"), "up to 32 letters"),
        ("def adapt(x, y) return x", "line 1: not Python"),
        ("\0", "Python"),
        ("", "expected|needs"),
    ],
)
def test_what_is_not_in_the_language_is_refused(text: str, words: str) -> None:
    if not text:
        assert parse(text).functions == ()  # empty is read; the check of types refuses it
        return
    with pytest.raises(ProgramError, match=words) as caught:
        parse(text)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, MetaloopError)


@pytest.mark.parametrize(
    "text",
    [
        "(" * (MAX_CHARACTERS - 1),
        "-" * (MAX_CHARACTERS - 1) + "1",
        "not " * 2000 + "x",
        ADAPT.format("return " + "-" * 9000 + "x"),
        ADAPT.format("return " + "exp(" * 150 + "x" + ")" * 150),
        ADAPT.format("return " + "exp(" * 1500 + "x" + ")" * 1500),
        ADAPT.format("return add(x, " + "9" * 9000 + ")"),
        ADAPT.format("return add(x, 1" + "+1" * 4000 + ")"),
        ADAPT.format("\n    ".join(f"a{n} = exp(x)" for n in range(65)) + "\n    return x"),
        "x" * (MAX_CHARACTERS + 1),
        "'" + "\\d" * 100 + "'",
        "lambda: " * 1000 + "x",
        "[" * 199 + "]" * 199,
        "\ud800",
    ],
    ids=range(14),
)
def test_hostile_texts_are_refused_quickly(text: str) -> None:
    start = time.process_time()
    with pytest.raises(ProgramError) as caught:
        parse(text)
    assert time.process_time() - start < 2
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


@given(text=st.text(max_size=200) | st.text("def adapt(x,y):\n  =retun1.0sm'\"\\", max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    message = ""
    try:
        parse(text)
    except ProgramError as error:
        message = str(error)
    assert "\n" not in message


def test_numbers_that_are_not_finite_are_no_literals() -> None:
    with pytest.raises(ProgramError, match="finite"):
        Literal(float("nan"))


def test_fresh_names_are_never_taken() -> None:
    taken = {"a", "c", "z", "a2"}
    names = fresh_names(taken)
    first = [next(names) for _ in range(60)]
    assert len(set(first)) == 60
    assert not taken & set(first)
