"""The visible table of generators: complete, and every arm it proposes works on such inputs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from metaloop.catalogue.domains import DOMAINS
from metaloop.catalogue.generators import GENERATORS, generator_arms
from metaloop.generators.generate import generate
from metaloop.generators.operators import OPERATORS
from metaloop.generators.recipes import parse_recipe, recipe_text
from metaloop.tasks.family import ClassFamily

New = Callable[..., ClassFamily]


def test_the_table_has_every_operator() -> None:
    assert set(GENERATORS) == set(OPERATORS)
    for name, entry in GENERATORS.items():
        assert entry.signature.startswith(f"{name}(")
        without = {"item", "sentence", "tokens"}  # tasks that are no classes; words, not mixed
        assert set(DOMAINS) - set(entry.examples) == without
        for domain, examples in entry.examples.items():
            assert bool(examples) == (entry.inputs in (domain, "any"))


@pytest.mark.parametrize(
    "shape",
    [{"channels": 3}, {}, {"side": 9}, {"features": 10}, {"frames": 11}],
    ids=lambda s: str(s),
)
def test_every_arm_works_and_is_written_canonically(shape: dict[str, int], new_family: New) -> None:
    family = new_family(**shape)
    arms = generator_arms(family.input_format)
    assert len(set(arms)) == len(arms) >= 5
    for arm in arms:
        recipe = parse_recipe(arm)
        assert recipe_text(recipe) == arm
        made = generate(family, recipe, 0)
        assert len(made.parts["train"]) > len(family.parts["train"])
