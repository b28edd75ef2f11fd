"""Behaviour as identity: equal for spellings of one rule, different for different rules."""

from __future__ import annotations

import pytest
import torch

from metaloop.programs.behaviour import behaviour
from metaloop.programs.checking import check
from metaloop.programs.errors import ProgramError
from metaloop.programs.library import LIBRARY, library_program
from metaloop.programs.parsing import parse

ADAPT = "def adapt(x, y):\n    return matmul(transpose(y), x)\n"
PREDICT = "def predict(x, w):\n    return matmul(x, transpose(w))\n"


def of(text: str) -> object:
    return behaviour(parse(text))


def ridge(adapt: str) -> str:
    return f"def adapt(x, y):\n    {adapt}\ndef predict(x, w):\n    return matmul(x, w)\n"


@pytest.mark.parametrize(
    ("spelling", "other"),
    [
        (PREDICT, "def predict(x, w):\n    return transpose(matmul(w, transpose(x)))\n"),
        (PREDICT, "def predict(x, w):\n    return negate(matmul(negate(x), transpose(w)))\n"),
        (  # a distance by one or the other formula
            "def predict(x, w):\n    a = matmul(x, transpose(w))\n"
            "    return subtract(add(a, a), sum(square(w), axis=1))\n",
            "def predict(x, w):\n    a = matmul(add(x, x), transpose(w))\n"
            "    return subtract(a, matmul(square(w), sum(identity(x, axis=1), axis=0)))\n",
        ),
    ],
)
def test_spellings_of_one_rule_behave_alike(spelling: str, other: str) -> None:
    assert of(ADAPT + spelling) == of(ADAPT + other) is not None


def test_ridge_in_the_space_of_examples_is_ridge_in_that_of_features() -> None:
    examples = "return matmul(transpose(x), solve(add_diagonal(matmul(x, transpose(x)), 1.0), y))"
    features = "return solve(add_diagonal(matmul(transpose(x), x), 1.0), matmul(transpose(x), y))"
    assert of(ridge(examples)) == of(ridge(features)) is not None


def test_different_programs_of_the_library_behave_differently() -> None:
    found = {name: behaviour(check(library_program(name).source)) for name in LIBRARY}
    assert None not in found.values()
    assert len({b.identity for b in found.values() if b}) == len(LIBRARY)
    # Meta-SGD predicts as equal rates do until its rates are tuned, and learns differently.
    assert found["meta_sgd"].predictions == found["gradient_step"].predictions  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "change", [("10.0", "10.1"), ("subtract(x, center)", "add(x, center)"), ("norm", "sum")]
)
def test_a_small_change_of_a_rule_shows(change: tuple[str, str]) -> None:
    text = library_program("centred").source
    assert change[0] in text
    changed = of(text.replace(*change))
    assert changed != of(text)


def test_a_loss_that_only_training_sees_changes_the_identity_alone() -> None:
    squares = "sum(square(subtract(logits, y)), axis=1)"
    loss = f"def meta_loss(logits, y):\n    return mean({squares}, axis=0)\n"
    plain, trained = behaviour(parse(ADAPT + PREDICT)), behaviour(parse(ADAPT + PREDICT + loss))
    assert plain is not None and trained is not None
    assert plain.predictions == trained.predictions
    assert plain.identity != trained.identity


def test_the_same_program_has_the_same_behaviour_every_time() -> None:
    text = library_program("ridge").source
    first = of(text)
    torch.rand(3)
    assert of(text) == first


def test_what_is_not_finite_has_no_behaviour() -> None:
    singular = "return solve(multiply(0.0, matmul(transpose(x), x)), matmul(transpose(x), y))"
    assert of(ridge(singular)) is None
    large = "square(" * 6 + "multiply(1e30, matmul(transpose(x), y))" + ")" * 6
    assert of(ridge(f"return {large}")) is None


def test_a_program_without_types_has_no_behaviour() -> None:
    with pytest.raises(ProgramError):
        of(ADAPT)
