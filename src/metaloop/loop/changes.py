"""What the arms of the bandits make of a candidate: other data, another plan, another net."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from metaloop.catalogue.committees import COMPANIONS
from metaloop.catalogue.generators import generator_arms
from metaloop.catalogue.learners import EVOLVED, PROGRAM, embeds
from metaloop.catalogue.nets import CUSTOM, coarse, companions, finer, generates, on_whole_images
from metaloop.catalogue.space import TargetKind
from metaloop.core.inputs import InputFormat
from metaloop.core.objective import objective
from metaloop.core.records import Candidate, Choice, DataRecipe
from metaloop.core.spec import TaskSpec
from metaloop.generators.recipes import extended, operators_of
from metaloop.loop.arms import (
    ALL_DATA,
    CROSSOVER,
    DATA,
    END_TO_END,
    EPISODES,
    INNER_LOSS,
    NET,
    PLAN,
    RESOLUTION,
    VOICES,
)
from metaloop.loop.evolving import PROTOTYPES, by_episodes, end_to_end, other_inner_loss
from metaloop.loop.population import Node, Population
from metaloop.loop.variation import Variation, crossover, vary_net, vary_plan

MOST_OPERATORS = 3  # in a data recipe
OF_ONE_VOICE = 0.5  # of the training episodes
_SHARED = ("prior", "fewest")  # options that a learner and its companion both have


@dataclass(frozen=True)
class Changes:
    """Changes candidates of a population's nodes; inputs and targets are those of its family.

    `formats` are those of the inputs, by view, `spec` the task; `learners` what there is to choose
    among, None for all of the catalogue.
    """

    population: Population
    formats: Mapping[str, InputFormat]
    spec: TaskSpec
    learners: Collection[str] | None = None

    @property
    def target_kind(self) -> TargetKind:
        """Kind of targets of the task."""
        return objective(self.spec.objective).target_kind

    def varied(
        self, arm: str, node: Node, rng: np.random.Generator, tips: list[Node]
    ) -> Variation | None:
        """Returns the node's candidate changed by an arm; None where it stays as it is.

        `tips`: of lines that are worth going on with.
        """
        candidate, input_format = node.candidate, self.format_of(node.candidate)
        if arm == PLAN:
            return vary_plan(candidate, input_format, rng, self.target_kind)
        if arm == NET:
            return self.companion(candidate, tips) or vary_net(
                candidate, input_format, rng, self.target_kind
            )
        if arm == RESOLUTION:
            net = finer(candidate.net)
            assert net is not None
            words = f"{RESOLUTION}: shrink {candidate.net.options['shrink']} -> "
            words += str(net.options.get("shrink", 1))
            return Variation(replace(candidate, net=net), words)
        if arm == VOICES:
            plan = replace(candidate.plan, one_voice=OF_ONE_VOICE)
            words = f"{VOICES}: {OF_ONE_VOICE:.0%} of episodes with support of one speaker"
            return Variation(replace(candidate, plan=plan), words)
        if arm == CROSSOVER:
            others = [
                tip
                for tip in self.population.tips
                if tip.line != node.line and tip.candidate.view == candidate.view
            ]
            return crossover(candidate, others[0].candidate, rng) if others else None
        if arm == INNER_LOSS:
            return other_inner_loss(candidate, rng)
        if arm == END_TO_END:
            invented = self.population.inventions
            return end_to_end(candidate, invented[0].candidate) if invented else None
        if arm == EPISODES:
            return by_episodes(candidate, input_format, self.spec)
        if not arm.startswith(DATA):
            return None
        return self.with_data(arm, candidate)

    def format_of(self, candidate: Candidate) -> InputFormat:
        """Returns the format of inputs in the candidate's view."""
        return self.formats[candidate.view]

    def has_companions(self, candidate: Candidate) -> bool:
        """Whether there are nets of another kind for what it sees, or a learner that suits it."""
        return bool(companions(self.format_of(candidate)) or self._other_learner(candidate))

    def companion(self, candidate: Candidate, tips: list[Node]) -> Variation | None:
        """Returns the candidate with a good other net that none of these lines has, nor one begun.

        Or with another learner, where there is one and no line of the run ever had it. None where
        there is neither.
        """
        begun = [node for node in self.population.pending.values() if node.parent is not None]
        others = [node.candidate for node in [*tips, *begun]]
        learner = self._other_learner(candidate)
        known = {node.candidate.learner.name for node in self.population.known}
        if learner and learner not in known:
            words = f"{NET}: {candidate.learner.name} -> {learner} on one of its kind"
            shared = {k: v for k, v in candidate.learner.options.items() if k in _SHARED}
            return Variation(replace(candidate, learner=Choice(learner, shared)), words)
        nets = [on_whole_images(other.net) for other in others]
        input_format = self.format_of(candidate)
        for net in companions(input_format):
            if net not in nets:
                words = f"{NET}: {_described(candidate.net)} -> {_described(net)}"
                return Variation(replace(candidate, net=coarse(net, input_format)), words)
        return None

    def _other_learner(self, candidate: Candidate) -> str:
        """Returns the name of a learner that errs differently, "" where there is none."""
        name = COMPANIONS.get(candidate.learner.name, "")
        return name if self._may_be(name) else ""

    def _may_be(self, name: str) -> bool:
        return self.learners is None or name in self.learners

    def applies(self, arm: str, candidate: Candidate) -> bool:
        """Whether an arm would change such a candidate, or is to leave it as it is."""
        if arm == NET:
            return candidate.net.name != CUSTOM and not generates(candidate.net)
        if arm == RESOLUTION:
            return finer(candidate.net) is not None
        if arm == INNER_LOSS:
            return candidate.learner.name == EVOLVED
        if arm == EPISODES:
            return candidate.plan.style == "classes" and self._may_be(PROTOTYPES)
        if arm == VOICES:
            return candidate.plan.style in ("episodes", "both") and not candidate.plan.one_voice
        if arm == END_TO_END:
            fresh = candidate.learner.name != PROGRAM and embeds(candidate.learner.name)
            return fresh and bool(self.population.inventions)
        if not arm.startswith(DATA):
            return True
        what = arm.removeprefix(f"{DATA}add ")
        if what.startswith("family "):
            return what.removeprefix("family ") not in candidate.data.families
        if len(operators_of(candidate.data)) >= MOST_OPERATORS:
            return False
        if arm == ALL_DATA:
            return bool(generator_arms(self.format_of(candidate)))
        if what not in generator_arms(self.format_of(candidate)):
            return False
        return what.partition("(")[0] not in {choice.name for choice in candidate.data.generators}

    def with_data(self, arm: str, candidate: Candidate) -> Variation:
        """Returns the candidate that learns from an operator's classes or another family, too."""
        if arm == ALL_DATA:
            return Variation(replace(candidate, data=self._with_all_operators(candidate)), arm)
        what = arm.removeprefix(f"{DATA}add ")
        if what.startswith("family "):
            name = what.removeprefix("family ")
            data = replace(candidate.data, families=(*candidate.data.families, name))
        else:
            data = extended(candidate.data, what)
        return Variation(replace(candidate, data=data), arm)

    def _with_all_operators(self, candidate: Candidate) -> DataRecipe:
        """Returns its recipe with the first operator of each kind that it does not have."""
        data = candidate.data
        for text in generator_arms(self.format_of(candidate)):
            if text.partition("(")[0] not in {choice.name for choice in operators_of(data)}:
                data = extended(data, text)
        return data


def _described(net: Choice) -> str:
    """Returns a net's name with the activation, if it has one of its own: `resnet10 by silu`."""
    return net.name + (f" by {net.options['activation']}" if "activation" in net.options else "")
