"""Programs as parts of whole candidates: inventions trained end to end, other inner losses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from metaloop.catalogue.candidates import build_learner, make_candidate
from metaloop.catalogue.learners import EVOLVED, PROGRAM
from metaloop.catalogue.programs import PROGRAMS, on_trunk
from metaloop.core.records import Candidate
from metaloop.core.spec import TaskSpec
from metaloop.core.statistics import EpisodeScores
from metaloop.jobs.measured import Measured
from metaloop.loop.arms import END_TO_END, EPISODES, INNER_LOSS, VOICES, arm_of
from metaloop.loop.changes import Changes
from metaloop.loop.evolving import end_to_end, other_inner_loss
from metaloop.loop.population import Head, Node, Population
from metaloop.loop.proposal import Proposal
from metaloop.loop.recording import is_generated
from metaloop.programs.canonical import canonical
from metaloop.programs.library import library_program
from metaloop.programs.parsing import parse

SPEC = TaskSpec(5, 1, 5, (1, 8, 8))
INVENTED = PROGRAMS["ridge"].source.replace("0.01", "0.02")


@pytest.fixture
def changes(family: Any) -> Changes:
    """Changes in a population in which nothing has happened."""
    return Changes(Population(), {"": family.input_format}, family.spec(5, 1, 3))


def made(name: str, family: Any) -> Candidate:
    return make_candidate(name, family.input_format, SPEC)


def invent(population: Population, recipe: Candidate, sources: dict[str, float]) -> None:
    """Puts in a node of programs with figures on `search`."""
    number = len(population.nodes)
    node = Node(number, Proposal("invent", (recipe,), "program: invented"), line=number)
    for source, value in sources.items():
        candidate = on_trunk(recipe, source)
        scores = EpisodeScores.independent(np.full(10, value))
        search = Measured((), (scores,))
        node.heads.append(Head(candidate, "finished", generated=is_generated(candidate)))
        node.heads[-1].search = search
        search.__dict__["goodness"] = scores  # no results are needed here
    population.nodes[number] = node


def test_the_best_invention_of_all_is_trained_end_to_end(changes: Changes, family: Any) -> None:
    recipe = made("simpleshot", family)
    node = Node(0, Proposal("train", (recipe,)))
    rng = np.random.default_rng(0)
    assert not changes.applies(END_TO_END, recipe)
    assert changes.varied(END_TO_END, node, rng, [node]) is None
    worse = INVENTED.replace("0.02", "0.5")
    known = PROGRAMS["ridge"].source
    invent(changes.population, recipe, {worse: 0.5, known: 0.9})
    invent(changes.population, recipe, {INVENTED: 0.6})
    assert changes.applies(END_TO_END, recipe)
    varied = changes.varied(END_TO_END, node, rng, [node])
    assert varied is not None and arm_of(varied.operator) == END_TO_END
    child = varied.candidate
    assert (child.learner.name, child.program) == (PROGRAM, INVENTED)  # not one of the catalogue
    assert varied.further_parents == (on_trunk(recipe, INVENTED).identity,)
    assert (child.net, child.data) == (recipe.net, recipe.data)
    assert not changes.applies(END_TO_END, child)


@pytest.mark.parametrize(("name", "style"), [("simpleshot", "both"), ("protonet", "episodes")])
def test_end_to_end_keeps_a_classifier_beside_the_episodes(
    family: Any, name: str, style: str
) -> None:
    recipe = made(name, family)
    child = end_to_end(recipe, on_trunk(recipe, INVENTED)).candidate
    assert child.plan == replace(recipe.plan, style=style)
    learner = build_learner(child, family.input_format, "classification")
    assert is_generated(child) and learner is not None


def test_a_whole_class_line_goes_on_as_prototypes_on_the_same_net(
    changes: Changes, family: Any
) -> None:
    recipe = made("simpleshot", family)
    assert changes.applies(EPISODES, recipe)
    node = Node(0, Proposal("train", (recipe,)))
    varied = changes.varied(EPISODES, node, np.random.default_rng(0), [node])
    assert varied is not None and arm_of(varied.operator) == EPISODES
    assert (varied.candidate.net, varied.candidate.data) == (recipe.net, recipe.data)
    assert varied.candidate.plan == made("protonet", family).plan
    assert not changes.applies(EPISODES, varied.candidate)
    assert not replace(changes, learners=("simpleshot",)).applies(EPISODES, recipe)


def test_inner_losses_change_step_by_step_and_can_still_be_built(family: Any) -> None:
    recipe, rng = made(EVOLVED, family), np.random.default_rng(0)
    seen = {recipe.program}
    for _ in range(20):
        varied = other_inner_loss(recipe, rng)
        if varied is None:
            continue
        assert arm_of(varied.operator) == INNER_LOSS and varied.operator != INNER_LOSS
        before = canonical(parse(recipe.program or _written_out()))
        after = parse(varied.candidate.program or "")
        names = {function.slot for function in after.functions}
        for name in names - {"inner_loss"}:
            assert str(after.function(name)) == str(before.function(name))
        build_learner(varied.candidate, family.input_format, "classification")
        assert is_generated(varied.candidate)
        assert replace(varied.candidate, program=recipe.program) == recipe
        recipe = varied.candidate
        seen.add(recipe.program)
    assert len(seen) > 5


def _written_out() -> str:
    return library_program("gradient_step").source


def test_only_a_learner_with_an_inner_loss_evolves_it(changes: Changes, family: Any) -> None:
    assert other_inner_loss(made("protonet", family), np.random.default_rng(0)) is None
    assert changes.applies(INNER_LOSS, made(EVOLVED, family))
    assert not changes.applies(INNER_LOSS, made("maml", family))


def test_some_episodes_of_one_voice_are_a_change_that_is_made_once(
    changes: Changes, family: Any
) -> None:
    recipe = made("protonet", family)
    assert changes.applies(VOICES, recipe)
    assert not changes.applies(VOICES, made("simpleshot", family))  # learns by whole classes
    node = Node(0, Proposal("train", (recipe,)))
    varied = changes.varied(VOICES, node, np.random.default_rng(0), [node])
    assert varied is not None and arm_of(varied.operator) == VOICES
    assert varied.operator == "voices: 50% of episodes with support of one speaker"
    assert varied.candidate.plan == replace(recipe.plan, one_voice=0.5)
    assert varied.candidate.identity != recipe.identity
    assert not changes.applies(VOICES, varied.candidate)
