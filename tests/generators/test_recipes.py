"""Recipes as text: inverse to parsing, canonical, and refused in one line where they are wrong."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaloop.core.errors import MetaloopError, UnknownNameError
from metaloop.core.records import Candidate, Choice, DataRecipe, Plan, candidate_from_json, to_json
from metaloop.generators.operators import OPERATORS, Parameter
from metaloop.generators.recipes import (
    checked,
    extended,
    parse_recipe,
    recipe_text,
    shaped,
    without,
)


def values_of(parameter: Parameter) -> st.SearchStrategy[Any]:
    if parameter.choices:
        return st.sampled_from(parameter.choices)
    if parameter.kind == "real":
        return st.floats(parameter.low, parameter.high)
    return st.integers(int(parameter.low), int(parameter.high))


# Plain values, and nothing of metaloop called while they are drawn: checking types draws random
# numbers of its own.
Item = tuple[str, dict[str, Any]]
ARGUMENTS = {
    name: st.fixed_dictionaries(
        {p.name: values_of(p) for p in entry.all_parameters if p.default is None},
        optional={p.name: values_of(p) for p in entry.all_parameters if p.default is not None},
    )
    for name, entry in OPERATORS.items()
}


@st.composite
def operators(draw: st.DrawFn) -> Item:
    name = draw(st.sampled_from(sorted(ARGUMENTS)))
    return name, draw(ARGUMENTS[name])


@st.composite
def recipes(draw: st.DrawFn) -> tuple[list[Item], float]:
    chosen = draw(st.lists(operators(), max_size=4))
    names = draw(st.lists(st.sampled_from(["ways", "shots", "queries"]), unique=True))
    shapes = [(name, {"value": draw(st.integers(2, 100))}) for name in names]
    share = draw(st.floats(0.25, 1, exclude_max=True)) if chosen else 1.0
    return draw(st.permutations([*chosen, *shapes])), share


@given(recipes())
def test_what_is_written_reads_back_as_the_same_recipe(drawn: tuple[list[Item], float]) -> None:
    items, share = drawn
    choices = tuple(Choice(name, options) for name, options in items)
    recipe = checked(DataRecipe(("glyphs",), choices, share))
    text = recipe_text(recipe)
    assert parse_recipe(text, families=("glyphs",)) == recipe
    assert recipe_text(parse_recipe(text)) == text
    candidate = Candidate(Choice("protonet"), Choice("conv4"), Plan("episodes"), recipe)
    assert candidate_from_json(to_json(candidate)) == candidate


def test_a_recipe_reads_as_the_design_writes_it() -> None:
    recipe = parse_recipe("rotate(90) . mix(0.3) . ways=8")
    assert recipe == DataRecipe(
        generators=(
            Choice("rotate", {"degrees": 90}),
            Choice("mix", {"share": 0.3}),
            Choice("ways", {"value": 8}),
        ),
        original_share=0.5,
    )
    assert recipe_text(recipe) == "rotate(90) . mix(0.3) . ways=8"


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("original", "original"),
        ("ways=8", "ways=8"),
        (" rotate( 90 ).mix(share=.3,copies=2) ", "rotate(90) . mix(0.3, copies=2)"),
        ("shots=2 . mix(0.30, 1) . original=0.5", "mix(0.3) . shots=2"),
        ("invert . original=.25", "invert() . original=0.25"),
        ("prior(blobs, number=200)", "prior(blobs)"),
    ],
)
def test_spellings_of_one_recipe_have_one_text(written: str, canonical: str) -> None:
    assert recipe_text(parse_recipe(written)) == canonical


def test_the_recipe_of_plain_candidates_generates_nothing() -> None:
    assert parse_recipe("original") == DataRecipe()
    assert recipe_text(DataRecipe()) == "original"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rotat(90)", r"no operator or setting is called 'rotat'; did you mean 'rotate'\?"),
        ("way=8", r"did you mean 'ways'\?"),
        ("mix(0.3, copys=2)", r"no argument of mix is called 'copys'; did you mean 'copies'\?"),
        ("flip(horizonal)", r"no direction of flip.*did you mean 'horizontal'\?"),
        ("rotate=90", r"rotate is an operator; write rotate\(degrees\)"),
        ("ways(8)", "ways is a setting; write ways="),
    ],
)
def test_a_wrong_name_is_refused_with_near_matches(text: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        parse_recipe(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rotate(45)", "degrees of rotate is 90 or 180; got 45"),
        ("rotate(90.5)", "degrees of rotate is 90 or 180"),
        ("rotate", r"rotate\(degrees\) needs its degrees: 90 or 180"),
        ("mix(0.3, 2, 3)", r"mix\(share, copies=1\) has no place for '3'"),
        ("mix(0.3, share=0.3)", "gives share twice"),
        ("mix(0.9)", "share of mix is a number from 0.05 to 0.5; got 0.9"),
        ("mix(1e400)", "share of mix is a number from 0.05 to 0.5"),
        ("mix(nan)", "share of mix is a number"),
        ("mix(0.3, copies=1e400)", "copies of mix is a whole number from 1 to 8"),
        ("mix(0.3) . ways=1", "value of ways is a whole number from 2"),
        ("mix(0.3) . ways=8 . ways=9", "sets ways once"),
        ("mix(0.3) . original=0.4 . original=0.4", "sets original once"),
        ("mix(0.3) . original=0.2", "a share from 0.25 to less than 1.*got 0.2"),
        ("mix(0.3) . original=1", "a share from 0.25 to less than 1"),
        ("original=0.5", "needs an operator"),
        ("mix(0.3) mix(0.4)", "items with dots between"),
        ("mix(0.3) .", "items with dots between"),
        ("", "items with dots between"),
        ("mix((0.3))", "items with dots between"),
    ],
)
def test_what_cannot_be_a_recipe_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(MetaloopError, match=message) as caught:
        parse_recipe(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "generators",
    [
        (Choice("rotate", {"degrees": [90, 180]}),),
        (Choice("rotate", {"degrees": True}),),
        (Choice("rotate", {"turn": 90}),),
        (Choice("ways", {"value": 5, "other": 3}),),
        (Choice("ways"),),
        (Choice("ways", {"value": 5}), Choice("ways", {"value": 5})),
        (Choice("spin"),),
    ],
)
def test_records_that_no_text_gives_are_refused(generators: tuple[Choice, ...]) -> None:
    with pytest.raises(MetaloopError):
        recipe_text(DataRecipe((), generators, 0.5))


@given(st.text(max_size=30))
def test_any_text_is_a_recipe_or_a_refusal(text: str) -> None:
    try:
        recipe = parse_recipe(text)
    except MetaloopError:
        return
    assert parse_recipe(recipe_text(recipe)) == recipe


def test_settings_shape_the_plan_and_nothing_else() -> None:
    plan = Plan("episodes", ways=5, shots=1, queries=15)
    assert shaped(plan, parse_recipe("mix(0.3) . ways=8 . shots=2")) == Plan(
        "episodes", ways=8, shots=2, queries=15
    )
    assert shaped(plan, parse_recipe("mix(0.3)")) == plan


def test_recipes_grow_and_shrink() -> None:
    recipe = extended(DataRecipe(("glyphs",)), "rotate(90) . original=0.3")
    assert recipe_text(recipe) == "rotate(90) . original=0.3"
    recipe = extended(recipe, "mix(0.3) . ways=8")
    assert recipe_text(recipe) == "rotate(90) . mix(0.3) . ways=8 . original=0.3"
    assert recipe_text(extended(recipe, "ways=9")).endswith("ways=9 . original=0.3")
    recipe = without(without(recipe, 0), 0)
    assert recipe == DataRecipe(("glyphs",), (Choice("ways", {"value": 8}),), 1.0)
