"""The canonical form: one text for one algorithm, with the same behaviour."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from metaloop.core.examples import EpisodeBatch
from metaloop.programs.canonical import canonical, canonical_text
from metaloop.programs.errors import ProgramError
from metaloop.programs.library import LIBRARY, library_program
from metaloop.programs.parsing import parse
from metaloop.programs.syntax import Program

ADAPT = "def adapt(x, y):\n    return matmul(transpose(y), x)\n"
PREDICT = "def predict(x, w):\n    return matmul(x, transpose(w))\n"


@given(seed=st.integers(0, 10**6))
@settings(max_examples=12)
def test_the_canonical_form_is_its_own_canonical_form(
    random_program: Callable[[int], Program], seed: int
) -> None:
    once = canonical(random_program(seed))
    assert canonical(once) == once
    assert parse(str(once)) == once


@given(seed=st.integers(0, 10**6))
@settings(max_examples=12)
def test_the_canonical_form_predicts_the_same(
    random_program: Callable[[int], Program],
    random_episodes: Callable[..., EpisodeBatch],
    run: Callable[..., Tensor],
    seed: int,
) -> None:
    program, episodes = random_program(seed), random_episodes(seed, padding=2)
    torch.testing.assert_close(
        run(canonical(program), episodes), run(program, episodes), equal_nan=True
    )


@pytest.mark.parametrize("name", LIBRARY)
def test_programs_of_the_library_lose_nothing(name: str) -> None:
    program = parse(library_program(name).source)
    before, after = (
        sum(len(f.statements) for f in p.functions) for p in (program, canonical(program))
    )
    assert after <= before
    assert [f.slot for f in canonical(program).functions] == [f.slot for f in program.functions]
    for function in program.functions:
        same_slot = canonical(program).function(function.slot)
        assert same_slot is not None
        assert sorted(same_slot.literals) == sorted(function.literals)


@pytest.mark.parametrize(
    ("spelling", "other"),
    [
        (  # names
            "def adapt(a, b):\n    c2 = transpose(b)\n    z = matmul(c2, a)\n    return z\n"
            + PREDICT,
            ADAPT + PREDICT,
        ),
        (  # dead code
            "def adapt(x, y):\n    a = exp(x)\n    b = sum(a, axis=0)\n"
            "    return matmul(transpose(y), x)\n" + PREDICT,
            ADAPT + PREDICT,
        ),
        (  # common expressions
            ADAPT + "def predict(x, w):\n    a = matmul(x, transpose(w))\n"
            "    b = matmul(x, transpose(w))\n    return add(a, b)\n",
            ADAPT + "def predict(x, w):\n    a = matmul(x, transpose(w))\n    return add(a, a)\n",
        ),
        (  # order of arguments and statements
            ADAPT + "def predict(x, w):\n    b = sum(w, axis=1)\n"
            "    a = matmul(x, transpose(w))\n    return add(multiply(a, 2.0), b)\n",
            ADAPT + "def predict(x, w):\n    a = matmul(x, transpose(w))\n"
            "    b = sum(w, axis=1)\n    return add(b, multiply(2.0, a))\n",
        ),
        (  # undone work
            ADAPT + "def predict(x, w):\n"
            "    return negate(negate(matmul(x, transpose(transpose(transpose(w))))))\n",
            ADAPT + PREDICT,
        ),
        (  # an axis that is stated or inferred
            ADAPT + "def predict(x, w):\n    a = matmul(x, transpose(w))\n"
            "    return divide(a, norm(x, axis=1))\n",
            ADAPT + "def predict(x, w):\n    a = matmul(x, transpose(w))\n"
            "    return divide(a, norm(x, axis=1), axis=0)\n",
        ),
        (  # state that is not read, and what computed it
            "def adapt(x, y):\n    return sum(exp(x), axis=0), matmul(transpose(y), x)\n"
            "def predict(x, v, w):\n    return matmul(x, transpose(w))\n",
            ADAPT + PREDICT,
        ),
        (  # slots that do nothing
            "def embed_map(x, center):\n    return x\n"
            + ADAPT
            + PREDICT
            + "def inner_loss(logits, y):\n    return mean(mean(logits, axis=0), axis=0)\n",
            ADAPT + PREDICT,
        ),
    ],
    ids=["names", "dead", "common", "order", "undone", "axis", "state", "slots"],
)
def test_two_spellings_become_one_text(spelling: str, other: str) -> None:
    assert canonical_text(parse(spelling)) == canonical_text(parse(other))


def test_state_that_only_a_gradient_reads_goes_with_its_arguments() -> None:
    text = (
        "def adapt(x, y):\n    a = sum(x, axis=0)\n    b = matmul(transpose(y), x)\n"
        "    return a, subtract(b, grad(a, b, wrt=1))\n"
        "def predict(x, v, w):\n    return matmul(x, transpose(w))\n"
    )
    shorter = canonical(parse(text))
    assert "grad(b, wrt=0)" in str(shorter)
    assert "sum" not in str(shorter)


def test_vectors_stay_parameters_of_their_own() -> None:
    text = (
        "def adapt(x, y):\n    a = multiply(vector(1.0), x)\n    b = multiply(vector(1.0), a)\n"
        "    return matmul(transpose(y), b)\n" + PREDICT
    )
    adapt = canonical(parse(text)).function("adapt")
    assert adapt is not None
    assert adapt.literals == (1.0, 1.0)


def test_different_programs_keep_different_texts() -> None:
    texts = {canonical_text(parse(entry.source)) for entry in LIBRARY.values()}
    assert len(texts) == len(LIBRARY)


def test_a_long_chain_of_squares_is_no_tree() -> None:
    """64 times x + x would be 2^64 leaves: shared values are seen once."""
    lines = ["    a0 = add(x, x)"] + [f"    a{n} = add(a{n - 1}, a{n - 1})" for n in range(1, 60)]
    text = "def adapt(x, y):\n" + "\n".join(lines) + "\n    return matmul(transpose(y), a59)\n"
    adapt = canonical(parse(text + PREDICT)).function("adapt")
    assert adapt is not None
    assert len(adapt.statements) == 62


def test_a_program_without_types_has_no_canonical_form() -> None:
    with pytest.raises(ProgramError):
        canonical(parse("def adapt(x, y):\n    return add(x, y)\n" + PREDICT))
