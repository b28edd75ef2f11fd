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
from metaloop.loop.training_job import Segment, train_node
from metaloop.loop.workplace import TrainingData, net_of, prepare, state_path
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
