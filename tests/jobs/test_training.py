"""A worker's training: segments go on from each other, and nothing of them is thrown away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metaloop.catalogue.candidates import make_candidate
from metaloop.core.budget import Budget
from metaloop.core.learner import BUFFER_PREFIX, CENTER
from metaloop.core.records import Candidate, Choice, Plan
from metaloop.engine.state import load_state
from metaloop.generators.recipes import extended, recipe_text
from metaloop.jobs.training import Segment, _starting_state, class_names, train_node
from metaloop.jobs.workplace import (
    TrainingData,
    learner_of,
    net_of,
    prepare,
    state_path,
    training_family,
)
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.readers import read_arrays

STEPS = 6


@pytest.fixture(scope="module")
def family() -> ClassFamily:
    """Vectors of 24 classes."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(24), 12)
    vectors = rng.normal(size=(24, 20))[labels] + 0.9 * rng.normal(size=(len(labels), 20))
    return class_family(read_arrays(vectors, labels, name="vectors"))[0]


@pytest.fixture
def folder(family: ClassFamily, tmp_path: Path) -> Path:
    prepare(tmp_path, family, family.spec(5, 1, 5))
    return tmp_path


def recipe_of(learner: str, family: ClassFamily) -> Candidate:
    made = make_candidate(learner, family.input_format, family.spec(5, 1, 5))
    return Candidate(made.learner, Choice("mlp", {"width": 12, "depth": 1}), made.plan)


def trained(folder: Path, node: int, recipe: Candidate, **start: Any) -> dict[str, Any]:
    data = TrainingData(text=recipe_text(recipe.data))
    segment = Segment(node, (recipe,), Budget(steps=STEPS), 0, 20, data, **start)
    return dict(train_node(folder, segment.to_arguments(), lambda content: None))


@pytest.mark.parametrize("learner", ["protonet", "simpleshot"])
def test_a_segment_goes_on_from_the_end_of_the_one_before(
    folder: Path, family: ClassFamily, learner: str
) -> None:
    recipe = recipe_of(learner, family)
    data = TrainingData(text=recipe_text(recipe.data))
    first = trained(folder, 1, recipe)
    second = trained(folder, 2, recipe, start=1, start_recipe=recipe, start_data=data)
    assert (first["steps"], second["steps"]) == (STEPS, 2 * STEPS)
    assert second["flops"] == first["flops"] > 0  # each is charged its own steps
    state = load_state(state_path(folder, 1))
    measured = net_of(folder, 1).meta_params
    for name, tensor in state.meta_params.items():
        if name != CENTER:
            torch.testing.assert_close(tensor, measured[name], rtol=0, atol=0)


def test_a_net_is_kept_with_the_mean_feature_that_heads_ask_for(
    folder: Path, family: ClassFamily
) -> None:
    trained(folder, 1, recipe_of("protonet", family))
    assert net_of(folder, 1).meta_params[CENTER].abs().max() > 0


def test_a_line_goes_on_with_more_classes_and_keeps_the_rows_of_the_old_ones(
    folder: Path, family: ClassFamily
) -> None:
    recipe = recipe_of("simpleshot", family)
    first = trained(folder, 1, recipe)
    data = TrainingData(text=recipe_text(recipe.data))
    more = Candidate(recipe.learner, recipe.net, recipe.plan, extended(recipe.data, "mix(0.5)"))
    second = trained(folder, 2, more, start=1, start_recipe=recipe, start_data=data)
    assert first["status"] == second["status"] == "finished"
    rows = [len(net_of(folder, node).meta_params["classifier.weight"]) for node in (1, 2)]
    assert rows[1] > rows[0] == len(family.parts["train"])


def test_a_line_goes_on_with_larger_images_and_keeps_what_it_had(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(24), 12)
    images = rng.random((len(labels), 16, 16, 3))
    family = class_family(read_arrays(images, labels, name="images", image_size=16))[0]
    prepare(tmp_path, family, family.spec(5, 1, 5))
    made = make_candidate("simpleshot", family.input_format, family.spec(5, 1, 5))
    small = replace(made, net=Choice("resnet10", {"widths": [4, 8], "shrink": 2}))
    trained(tmp_path, 1, small)
    still = Plan("classes", optimiser="sgd", learning_rate=0.0, weight_decay=0.0)
    whole = Candidate(small.learner, Choice("resnet10", {"widths": [4, 8]}), still)
    data = TrainingData(text=recipe_text(small.data))
    second = trained(tmp_path, 2, whole, start=1, start_recipe=small, start_data=data)
    assert (second["status"], second["steps"]) == ("finished", 2 * STEPS)
    before, after = (net_of(tmp_path, node).meta_params for node in (1, 2))
    weights = [name for name in before if not name.startswith(BUFFER_PREFIX)]
    assert len(weights) > 5
    for name in weights:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=0)


def test_rows_of_a_classifier_go_by_the_names_of_classes_not_by_their_number(
    folder: Path, family: ClassFamily
) -> None:
    """Two seeds make as many classes, but others: each row goes to its own class or to none."""
    made = recipe_of("simpleshot", family)
    still = Plan("classes", optimiser="sgd", learning_rate=0.0, weight_decay=0.0)
    recipe = Candidate(made.learner, made.net, still, extended(made.data, "mix(0.5)"))
    data = [TrainingData(text=recipe_text(recipe.data), seed=seed) for seed in (1, 2)]
    segments = [Segment(node, (recipe,), Budget(steps=2), node, 20, data[node]) for node in (0, 1)]
    segments[1] = replace(segments[1], start=0, start_recipe=recipe, start_data=data[0])
    for segment in segments:
        assert train_node(folder, segment.to_arguments(), lambda _: None)["status"] == "finished"
    names = [class_names(training_family(folder, each)) for each in data]
    assert len(names[0]) == len(names[1]) and names[0] != names[1]
    rows = [net_of(folder, node).meta_params["classifier.weight"] for node in (0, 1)]
    common = set(names[0]) & set(names[1])
    assert len(family.parts["train"]) <= len(common) < len(names[0])
    for row, name in enumerate(names[1]):
        if name in common:
            assert torch.equal(rows[1][row], rows[0][names[0].index(name)]), name
        else:
            assert not any(torch.equal(rows[1][row], other) for other in rows[0]), name


def test_momentum_does_not_go_to_other_classes(folder: Path, family: ClassFamily) -> None:
    made = recipe_of("simpleshot", family)
    recipe = Candidate(made.learner, made.net, made.plan, extended(made.data, "mix(0.5)"))
    first, second = (TrainingData(text=recipe_text(recipe.data), seed=seed) for seed in (1, 2))
    segment = Segment(0, (recipe,), Budget(steps=2), 0, 20, first)
    train_node(folder, segment.to_arguments(), lambda _: None)
    for data, keeps in ((first, True), (second, False)):
        following = replace(
            segment, node=1, data=data, start=0, start_recipe=recipe, start_data=first
        )
        now = training_family(folder, data)
        learner = learner_of(folder, recipe, now)
        assert bool(_starting_state(folder, following, learner, now).optimiser) is keeps
