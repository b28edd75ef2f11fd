"""Variations: new, valid, trainable, explained, from one generator; every field is reached."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaloop.catalogue.candidates import build_learner, make_candidate
from metaloop.catalogue.learners import LEARNERS, learners_for
from metaloop.catalogue.nets import CUSTOM
from metaloop.catalogue.space import random_candidate, space_of, value_of
from metaloop.core.budget import Budget
from metaloop.core.inputs import InputFormat
from metaloop.core.learner import trained
from metaloop.core.records import Candidate, Choice, DataRecipe, candidate_from_json, to_json
from metaloop.core.spec import TaskSpec
from metaloop.engine.training import train
from metaloop.loop.variation import (
    Variation,
    crossover,
    vary_net,
    vary_plan,
)
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.readers import read_arrays
from metaloop.tasks.sinusoid import SinusoidFamily

COLOUR = InputFormat("image", (3, 32, 32), (0.1,) * 3, (0.3,) * 3)
SPEC = TaskSpec(5, 1, 15, (3, 32, 32))
TRAINED = [name for name in learners_for("classes") if LEARNERS[name].trunk != "none"]
METHODS = ["anil", "fomaml", "maml", "protonet", "ridge", "simpleshot"]


def _family(images: bool) -> ClassFamily:
    """Returns 24 classes x 8 examples of noise, 16-pixel colour images or vectors of 6 features."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(24), 8)
    inputs: np.ndarray = rng.normal(size=(len(labels), 6))
    if images:
        inputs = rng.integers(0, 256, (len(labels), 16, 16, 3), dtype=np.uint8)
    return class_family(read_arrays(inputs, labels, name="noise"))[0]


FAMILIES = {True: _family(True), False: _family(False)}
REGRESSION = SinusoidFamily()


def _small(candidate: Candidate) -> Candidate:
    """Returns the candidate with few examples in a step: what a test can afford."""
    plan = candidate.plan
    small = {name: min(getattr(plan, name), 2) for name in ("num_tasks", "queries", "shots")}
    return replace(
        candidate,
        plan=replace(plan, **small, ways=min(plan.ways, 4), batch_size=8),  # type: ignore[arg-type]
    )


def _one_step(candidate: Candidate, family: Any) -> None:
    spec = family.spec(3, 1, 2)
    learner = build_learner(candidate, family.input_format, spec.objective)
    finished = list(
        train(learner, family, _small(candidate).plan, Budget(steps=1), spec, evaluations=0)
    )[-1]
    assert finished.status == "finished", finished.message
    for tensor in trained(finished.meta_params).values():
        assert bool(tensor.isfinite().all())


def _check(child: Variation, parent: Candidate, place: str) -> None:
    assert child.candidate.identity != parent.identity
    assert candidate_from_json(to_json(child.candidate)) == child.candidate
    assert child.operator.startswith(f"{place}: ") and " -> " in child.operator
    untouched = ("learner", "data", "program", "net" if place == "plan" else "plan")
    for name in untouched:
        assert getattr(child.candidate, name) == getattr(parent, name)


def _chain(name: str, images: bool, seed: int) -> None:
    rng, family = np.random.default_rng(seed), FAMILIES[images]
    inputs = family.input_format
    parent = make_candidate(name, inputs, family.spec(3, 1, 2))
    if seed % 2:
        parent = random_candidate(name, inputs, family.spec(3, 1, 2), rng)
    for _ in range(3):
        for vary, place in ((vary_plan, "plan"), (vary_net, "net")):
            child = vary(parent, inputs, rng)
            assert child is not None
            _check(child, parent, place)
            parent = child.candidate
    _one_step(parent, family)


@settings(max_examples=8)
@given(name=st.sampled_from(METHODS), seed=st.integers(0, 2**32))
def test_variations_of_variations_are_new_and_take_a_training_step(name: str, seed: int) -> None:
    _chain(name, images=False, seed=seed)


@pytest.mark.long
@settings(max_examples=15)
@given(name=st.sampled_from(METHODS), seed=st.integers(0, 2**32))
def test_variations_for_images_are_new_and_take_a_training_step(name: str, seed: int) -> None:
    _chain(name, images=True, seed=seed)


@pytest.mark.parametrize("name", ["fomaml", "maml", "ridge"])
def test_candidates_for_regression_vary_and_take_a_training_step(name: str) -> None:
    rng, spec = np.random.default_rng(0), REGRESSION.spec(0, 3, 3)
    parent = make_candidate(name, REGRESSION.input_format, spec)
    for vary, place in ((vary_plan, "plan"), (vary_net, "net")) * 3:
        child = vary(parent, REGRESSION.input_format, rng, "real")
        assert child is not None
        _check(child, parent, place)
        _one_step(child.candidate, REGRESSION)


@pytest.mark.parametrize("name", METHODS)
def test_variation_reaches_every_field(name: str) -> None:
    rng, parent = np.random.default_rng(0), make_candidate(name, COLOUR, SPEC)
    wanted = {
        (d.place, d.name): value_of(parent, d)
        for d in space_of(parent, COLOUR)
        if d.place != "net" or d.name in ("name", "widths", "activation")
    }
    changed = set()
    for _ in range(300):
        for vary in (vary_plan, vary_net):
            child = vary(parent, COLOUR, rng)
            assert child is not None
            for dimension in space_of(child.candidate, COLOUR):
                key = dimension.place, dimension.name
                if key in wanted and value_of(child.candidate, dimension) != wanted[key]:
                    changed.add(key)
    assert changed == set(wanted)


@given(seed=st.integers(0, 2**32))
def test_equal_generators_make_equal_variations(seed: int) -> None:
    parent = make_candidate("protonet", COLOUR, SPEC)
    for vary in (vary_plan, vary_net):
        first, again = (vary(parent, COLOUR, np.random.default_rng(seed)) for _ in range(2))
        assert first == again


def test_most_variations_change_one_thing_and_none_more_than_three() -> None:
    rng, parent = np.random.default_rng(0), make_candidate("protonet", COLOUR, SPEC)
    counts = []
    for _ in range(200):
        child = vary_plan(parent, COLOUR, rng)
        assert child is not None
        counts.append(child.operator.count(" -> "))
    assert min(counts) == 1 and max(counts) == 3
    assert 0.45 < np.mean(np.array(counts) == 1) < 0.85


def test_the_operator_says_what_changed() -> None:
    rng, parent = np.random.default_rng(0), make_candidate("protonet", COLOUR, SPEC)
    operators = []
    for _ in range(300):
        for vary in (vary_plan, vary_net):
            child = vary(parent, COLOUR, rng)
            assert child is not None
            operators.append(child.operator)
            if child.operator.startswith("plan: learning_rate 0.003 -> "):
                first = child.operator.split(" -> ")[1].split(",")[0]
                assert float(first) == child.candidate.plan.learning_rate
    assert any(o.startswith("plan: photo.crop 0 -> 0.") for o in operators)
    assert any(o.startswith("plan: photo.flip yes -> no") for o in operators)
    assert any(o.startswith("net: widths 24,32,64,128 -> 24,") for o in operators)
    assert any(o.startswith("net: name lean -> conv4") for o in operators)


def test_what_cannot_vary_gives_none() -> None:
    rng = np.random.default_rng(0)
    plain = make_candidate("nearest_centroid", COLOUR, SPEC)
    proto = make_candidate("protonet", COLOUR, SPEC)
    assert vary_plan(plain, COLOUR, rng) is None
    assert vary_net(plain, COLOUR, rng) is None
    assert vary_net(replace(proto, net=Choice(CUSTOM, {"class": "Own"})), COLOUR, rng) is None
    assert crossover(plain, proto, rng) is None
    assert crossover(proto, proto, rng) is None


def test_crossover_gives_each_part_of_one_parent() -> None:
    rng = np.random.default_rng(0)
    first = make_candidate("protonet", COLOUR, SPEC, net="conv4")
    second = replace(make_candidate("ridge", COLOUR, SPEC), data=DataRecipe(("glyphs",)))
    third = replace(first, data=DataRecipe(("digits",)))
    seen: dict[str, set[str]] = {"learner": set(), "net": set(), "plan": set(), "data": set()}
    for _ in range(60):
        child = crossover(first, second, rng, third)
        assert child is not None
        assert child.candidate not in (first, second, third)
        for part, found in seen.items():
            value = getattr(child.candidate, part)
            assert value in [getattr(parent, part) for parent in (first, second, third)]
            found.add(repr(value))
        assert child.operator.startswith("crossover: ") and second.identity[:8] in child.operator
    assert {part: len(found) for part, found in seen.items()} == {
        "learner": 2,
        "net": 2,
        "plan": 2,
        "data": 3,
    }


@pytest.mark.parametrize("name", TRAINED)
def test_crossover_keeps_plans_that_the_learner_can_be_trained_by(name: str) -> None:
    rng, family = np.random.default_rng(0), FAMILIES[False]
    spec = family.spec(3, 1, 2)
    first = make_candidate(name, family.input_format, spec)
    for other in ("protonet", "rfs", "maml"):
        second = random_candidate(other, family.input_format, spec, rng)
        for _ in range(2):
            child = crossover(first, second, rng)
            if child is not None:
                _one_step(child.candidate, family)
