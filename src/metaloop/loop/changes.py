"""What the arms of the bandits make of a recipe: other data, another plan, another net."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from metaloop.catalogue.generators import generator_arms
from metaloop.catalogue.learners import EVOLVED, PROGRAM, embeds
from metaloop.catalogue.nets import CUSTOM, coarse, companions, finer, on_whole_images
from metaloop.core.inputs import InputFormat
from metaloop.core.records import Candidate, Choice, DataRecipe
from metaloop.generators.recipes import extended, operators_of
from metaloop.loop.arms import (
    ALL_DATA,
    CROSSOVER,
    DATA,
    END_TO_END,
    INNER_LOSS,
    NET,
    PLAN,
    RESOLUTION,
)
from metaloop.loop.evolving import end_to_end, other_inner_loss
from metaloop.loop.population import Node, Population
from metaloop.loop.variation import Variation, crossover, vary_net, vary_plan

MOST_OPERATORS = 3  # in a data recipe


@dataclass(frozen=True)
class Changes:
    """Changes recipes of a population's nodes; inputs and targets are those of its family."""

    population: Population
    input_format: InputFormat
    target_kind: str  # `classes` or `real`

    def varied(
        self, arm: str, node: Node, rng: np.random.Generator, lines: list[Node]
    ) -> Variation | None:
        """Returns the node's recipe changed by an arm; None where it stays as it is.

        `lines`: those that are worth going on with.
        """
        recipe = node.recipe
        if arm == PLAN:
            return vary_plan(recipe, self.input_format, rng, self.target_kind)
        if arm == NET:
            return self.companion(recipe, lines) or vary_net(
                recipe, self.input_format, rng, self.target_kind
            )
        if arm == RESOLUTION:
            net = finer(recipe.net)
            assert net is not None
            words = f"{RESOLUTION}: shrink {recipe.net.options['shrink']} -> "
            words += str(net.options.get("shrink", 1))
            return Variation(replace(recipe, net=net), words)
        if arm == CROSSOVER:
            others = [line for line in self.population.lines if line.line != node.line]
            return crossover(recipe, others[0].recipe, rng) if others else None
        if arm == INNER_LOSS:
            return other_inner_loss(recipe, rng)
        if arm == END_TO_END:
            invented = self.population.inventions
            return end_to_end(recipe, invented[0].candidate) if invented else None
        if not arm.startswith(DATA):
            return None
        return self.with_data(arm, recipe)

    def companion(self, recipe: Candidate, lines: list[Node]) -> Variation | None:
        """Returns the recipe with a good other net that no line has yet; None without one."""
        begun = [node for node in self.population.pending.values() if node.parent is not None]
        nets = [on_whole_images(node.recipe.net) for node in [*lines, *begun]]
        for net in companions(self.input_format):
            if net not in nets:
                words = f"{NET}: {_described(recipe.net)} -> {_described(net)}"
                return Variation(replace(recipe, net=coarse(net, self.input_format)), words)
        return None

    def applies(self, arm: str, recipe: Candidate) -> bool:
        """Whether an arm would change such a recipe, or is to leave it as it is."""
        if arm == NET:
            return recipe.net.name != CUSTOM
        if arm == RESOLUTION:
            return finer(recipe.net) is not None
        if arm == INNER_LOSS:
            return recipe.learner.name == EVOLVED
        if arm == END_TO_END:
            fresh = recipe.learner.name != PROGRAM and embeds(recipe.learner.name)
            return fresh and bool(self.population.inventions)
        if not arm.startswith(DATA):
            return True
        what = arm.removeprefix(f"{DATA}add ")
        if what.startswith("family "):
            return what.removeprefix("family ") not in recipe.data.families
        if len(operators_of(recipe.data)) >= MOST_OPERATORS:
            return False
        return what.partition("(")[0] not in {choice.name for choice in recipe.data.generators}

    def with_data(self, arm: str, recipe: Candidate) -> Variation:
        """Returns the recipe that learns from an operator's classes or another family, too."""
        if arm == ALL_DATA:
            return Variation(replace(recipe, data=self._with_all_operators(recipe.data)), arm)
        what = arm.removeprefix(f"{DATA}add ")
        if what.startswith("family "):
            name = what.removeprefix("family ")
            data = replace(recipe.data, families=(*recipe.data.families, name))
        else:
            data = extended(recipe.data, what)
        return Variation(replace(recipe, data=data), arm)

    def _with_all_operators(self, data: DataRecipe) -> DataRecipe:
        """Returns the recipe with the first operator of each kind that it does not have."""
        for text in generator_arms(self.input_format):
            if text.partition("(")[0] not in {choice.name for choice in operators_of(data)}:
                data = extended(data, text)
        return data


def _described(net: Choice) -> str:
    """Returns a net's name with the activation, if it has one of its own: `resnet10 by silu`."""
    return net.name + (f" by {net.options['activation']}" if "activation" in net.options else "")
