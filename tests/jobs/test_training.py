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
from metaloop.jobs.training import (
    Start,
    TrainRequest,
    TrainResult,
    _starting_state,
    class_names,
    train_node,
)
from metaloop.jobs.workplace import TrainingData, Workplace, prepare, state_path
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
def place(family: ClassFamily, tmp_path: Path) -> Workplace:
    return prepare(tmp_path, family, family.spec(5, 1, 5))


def candidate_of(learner: str, family: ClassFamily) -> Candidate:
    made = make_candidate(learner, family.input_format, family.spec(5, 1, 5))
    return Candidate(made.learner, Choice("mlp", {"width": 12, "depth": 1}), made.plan)


def data_of(candidate: Candidate, **options: Any) -> TrainingData:
    return TrainingData(text=recipe_text(candidate.data), **options)


def trained(
    place: Workplace, node: int, candidate: Candidate, start: Start | None = None
) -> TrainResult:
    budget, data = Budget(steps=STEPS), data_of(candidate)
    request = TrainRequest(node, (candidate,), budget, 0, 20, data, start)
    return train_node(place, request, lambda content: None)


@pytest.mark.parametrize("learner", ["protonet", "simpleshot"])
def test_a_segment_goes_on_from_the_end_of_the_one_before(
    place: Workplace, family: ClassFamily, learner: str
) -> None:
    candidate = candidate_of(learner, family)
    first = trained(place, 1, candidate)
    second = trained(place, 2, candidate, Start(1, candidate, data_of(candidate)))
    assert (first.steps, second.steps) == (STEPS, 2 * STEPS)
    assert first.flops is not None
    assert second.flops == first.flops > 0  # each is charged its own steps
    state = load_state(state_path(place.folder, 1))
    measured = place.net(1).meta_params
    for name, tensor in state.meta_params.items():
        if name != CENTER:
            torch.testing.assert_close(tensor, measured[name], rtol=0, atol=0)


def test_a_net_is_kept_with_the_mean_feature_that_heads_ask_for(
    place: Workplace, family: ClassFamily
) -> None:
    trained(place, 1, candidate_of("protonet", family))
    assert place.net(1).meta_params[CENTER].abs().max() > 0


def test_a_line_goes_on_with_more_classes_and_keeps_the_rows_of_the_old_ones(
    place: Workplace, family: ClassFamily
) -> None:
    candidate = candidate_of("simpleshot", family)
    first = trained(place, 1, candidate)
    more = replace(candidate, data=extended(candidate.data, "mix(0.5)"))
    second = trained(place, 2, more, Start(1, candidate, data_of(candidate)))
    assert first.status == second.status == "finished"
    rows = [len(place.net(node).meta_params["classifier.weight"]) for node in (1, 2)]
    assert rows[1] > rows[0] == len(family.parts["train"])


def test_a_line_goes_on_with_larger_images_and_keeps_what_it_had(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(24), 12)
    images = rng.random((len(labels), 16, 16, 3))
    family = class_family(read_arrays(images, labels, name="images", image_size=16))[0]
    place = prepare(tmp_path, family, family.spec(5, 1, 5))
    made = make_candidate("simpleshot", family.input_format, family.spec(5, 1, 5))
    small = replace(made, net=Choice("resnet10", {"widths": [4, 8], "shrink": 2}))
    trained(place, 1, small)
    still = Plan("classes", optimiser="sgd", learning_rate=0.0, weight_decay=0.0)
    whole = Candidate(small.learner, Choice("resnet10", {"widths": [4, 8]}), still)
    second = trained(place, 2, whole, Start(1, small, data_of(small)))
    assert (second.status, second.steps) == ("finished", 2 * STEPS)
    before, after = (place.net(node).meta_params for node in (1, 2))
    weights = [name for name in before if not name.startswith(BUFFER_PREFIX)]
    assert len(weights) > 5
    for name in weights:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=0)


def test_rows_of_a_classifier_go_by_the_names_of_classes_not_by_their_number(
    place: Workplace, family: ClassFamily
) -> None:
    """Two seeds make as many classes, but others: each row goes to its own class or to none."""
    made = candidate_of("simpleshot", family)
    still = Plan("classes", optimiser="sgd", learning_rate=0.0, weight_decay=0.0)
    candidate = Candidate(made.learner, made.net, still, extended(made.data, "mix(0.5)"))
    data = [data_of(candidate, seed=seed) for seed in (1, 2)]
    for node, start in enumerate((None, Start(0, candidate, data[0]))):
        request = TrainRequest(node, (candidate,), Budget(steps=2), node, 20, data[node], start)
        assert train_node(place, request, lambda _: None).status == "finished"
    names = [class_names(place.training_family(each)) for each in data]
    assert len(names[0]) == len(names[1]) and names[0] != names[1]
    rows = [place.net(node).meta_params["classifier.weight"] for node in (0, 1)]
    common = set(names[0]) & set(names[1])
    assert len(family.parts["train"]) <= len(common) < len(names[0])
    for row, name in enumerate(names[1]):
        if name in common:
            assert torch.equal(rows[1][row], rows[0][names[0].index(name)]), name
        else:
            assert not any(torch.equal(rows[1][row], other) for other in rows[0]), name


def test_momentum_does_not_go_to_other_classes(place: Workplace, family: ClassFamily) -> None:
    made = candidate_of("simpleshot", family)
    candidate = replace(made, data=extended(made.data, "mix(0.5)"))
    first, second = (data_of(candidate, seed=seed) for seed in (1, 2))
    request = TrainRequest(0, (candidate,), Budget(steps=2), 0, 20, first)
    train_node(place, request, lambda _: None)
    for data, keeps in ((first, True), (second, False)):
        following = replace(request, node=1, data=data, start=Start(0, candidate, first))
        now = place.training_family(data)
        learner = place.learner(candidate, now)
        assert bool(_starting_state(place, following, learner, now).optimiser) is keeps
