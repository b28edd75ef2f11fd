"""Nearest-centroid rules by hand on tiny arrays: protonet, simpleshot, nearest_centroid."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.nn import functional

from metaloop.catalogue.candidates import build_learner
from metaloop.core.examples import EpisodeBatch, Examples
from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Candidate, Choice, Plan
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import loop_over_tasks

FEATURES = Examples(
    torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0]]),
    torch.tensor([0, 0, 1]),
    torch.ones(3, dtype=torch.bool),
    2,
)
QUERIES = torch.tensor([[1.0, 0.0], [1.0, 2.0]])


def test_protonet_by_hand(new_case: Any) -> None:
    learner = new_case("protonet", "vectors").learner
    meta_params = {"head.log_scale": torch.tensor(math.log(0.5))}
    state = learner.fit_head(meta_params, FEATURES)
    assert state["prototypes"].tolist() == [[1.0, 0.0], [0.0, 4.0]]
    logits = learner.score(meta_params, state, QUERIES)
    torch.testing.assert_close(logits, torch.tensor([[0.0, -8.5], [-2.0, -2.5]]))


def test_nearest_centroid_by_hand(new_case: Any) -> None:
    learner = new_case("nearest_centroid", "vectors").learner
    logits = learner.score({}, learner.fit_head({}, FEATURES), QUERIES)
    torch.testing.assert_close(logits, torch.tensor([[0.0, -8.5], [-2.0, -2.5]]))


def test_directions_are_told_apart_as_surely_as_their_number_allows() -> None:
    """Of inputs of unit length: 10 n / (n + 1) times squared distances, here with n = 1.5."""
    spec = TaskSpec(2, 1, 1, (2,))
    candidate = Candidate(Choice("nearest_centroid"), Choice("raw", {"view": "unit"}), Plan("none"))
    inputs = InputFormat("vector", (2,), (0.0, 0.0), (1.0, 1.0))
    learner = build_learner(candidate, inputs, spec.objective)
    support = Examples(
        torch.tensor([[3.0, 0.0], [2.0, 0.0], [0.0, 5.0]]),
        torch.tensor([0, 0, 1]),
        torch.ones(3, dtype=torch.bool),
        2,
    )
    logits = learner.predict({}, learner.adapt({}, support), torch.tensor([[0.6, 0.8]]))
    torch.testing.assert_close(logits, -10 * 1.5 / 2.5 * torch.tensor([[0.8, 0.4]]))


def test_simpleshot_by_hand(new_case: Any) -> None:
    learner = new_case("simpleshot", "vectors", scale=2.0).learner
    meta_params = {"buffers.center": torch.tensor([0.0, 1.0])}
    features = Examples(
        torch.tensor([[3.0, 5.0], [0.0, 3.0], [-2.0, 1.0]]),
        torch.tensor([0, 0, 1]),
        torch.ones(3, dtype=torch.bool),
        2,
    )
    state = learner.fit_head(meta_params, features)
    # directions: (0.6, 0.8) and (0, 1) for class 0; (-1, 0) for class 1
    torch.testing.assert_close(state["centroids"], torch.tensor([[0.3, 0.9], [-1.0, 0.0]]))
    logits = learner.score(meta_params, state, torch.tensor([[0.0, -1.0]]))  # direction (0, -1)
    torch.testing.assert_close(logits, torch.tensor([[-2 * (0.09 + 3.61), -4.0]]))


def test_simpleshot_centres_by_the_mean_training_feature(new_case: Any) -> None:
    case = new_case("simpleshot", "vectors")
    features = torch.randn(50, case.learner.net.num_features, generator=torch_stream(0, "f"))
    finished = case.learner.finish(case.meta_params, features.mean(0))
    torch.testing.assert_close(finished["buffers.center"], features.mean(0))
    assert not case.meta_params["buffers.center"].any()


def _episodes(case: Any, shots: int, queries: int, tasks: int = 2) -> EpisodeBatch:
    rng = torch_stream(0, "episodes")

    def side(number: int) -> Examples:
        labels = torch.arange(5).repeat_interleave(number).expand(tasks, -1)
        inputs = torch.randn(*labels.shape, 8, generator=rng)
        return Examples(inputs, labels, torch.ones(labels.shape, dtype=torch.bool), 5)

    return EpisodeBatch(side(shots), side(queries))


@pytest.mark.parametrize("shots", [1, 2])
def test_the_all_pairs_loss_equals_a_naive_double_loop(new_case: Any, shots: int) -> None:
    case = new_case("protonet", "vectors", all_pairs=True)
    batch = _episodes(case, shots, queries=3)
    number = shots + 3
    scale = case.meta_params["head.log_scale"].exp()
    losses, right = [], []
    for task in range(batch.num_tasks):
        features = [
            case.learner.embed(case.meta_params, side.inputs[task]).unflatten(0, (5, -1))  # type: ignore[index]
            for side in (batch.support, batch.query)
        ]
        f_PKD = torch.cat(features, dim=1)
        for j in range(number):  # the j-th example of every class is its support
            for i in range(number):
                if i == j:
                    continue
                for own in range(5):
                    distances = ((f_PKD[own, i] - f_PKD[:, j]) ** 2).sum(-1)
                    logits = -scale * distances
                    losses.append(functional.cross_entropy(logits, torch.tensor(own)))
                    right.append(logits.argmax() == own)
    meta = case.learner.meta_loss(case.meta_params, batch, None, loop_over_tasks)
    torch.testing.assert_close(meta.loss, torch.stack(losses).mean(), atol=1e-5, rtol=1e-4)
    accuracy = torch.stack(right).double().mean()
    torch.testing.assert_close(meta.metrics["accuracy"], accuracy)


def test_the_episodic_loss_is_the_cross_entropy_of_the_queries(new_case: Any) -> None:
    case = new_case("protonet", "vectors", all_pairs=False)
    batch = _episodes(case, shots=2, queries=3)
    losses = []
    for task in range(batch.num_tasks):
        side = batch.support
        support = Examples(side.inputs[task], side.targets[task], side.mask[task], 5)  # type: ignore[index]
        logits = case.predict(support, batch.query.inputs[task])  # type: ignore[index]
        losses.append(functional.cross_entropy(logits, batch.query.targets[task]))
    meta = case.learner.meta_loss(case.meta_params, batch, None, loop_over_tasks)
    torch.testing.assert_close(meta.loss, torch.stack(losses).mean(), atol=1e-5, rtol=1e-4)


def test_labelled_examples_train_the_whole_class_classifier(new_case: Any) -> None:
    case = new_case("protonet", "vectors")
    inputs = torch.randn(6, 8, generator=torch_stream(0, "classes"))
    labels = torch.arange(6)
    batch = Examples(inputs, labels, torch.ones(6, dtype=torch.bool), 7)
    features = case.learner.embed(case.meta_params, inputs)
    cosines = (
        functional.normalize(features)
        @ functional.normalize(case.meta_params["classifier.weight"]).T
    )
    scale = case.meta_params["classifier.log_scale"].exp()
    meta = case.learner.meta_loss(case.meta_params, batch, None, loop_over_tasks)
    torch.testing.assert_close(meta.loss, functional.cross_entropy(scale * cosines, labels))


@pytest.mark.parametrize("name", ["baselinepp", "rfs", "simpleshot"])
def test_heads_of_a_whole_class_net_refuse_episodes(new_case: Any, name: str) -> None:
    case = new_case(name, "vectors")
    with pytest.raises(TypeError, match="labelled examples"):
        case.learner.meta_loss(case.meta_params, _episodes(case, 1, 1), None, loop_over_tasks)


@pytest.mark.parametrize("name", ["nearest_centroid", "nearest_neighbour", "logistic_regression"])
def test_plain_baselines_have_nothing_to_train(new_case: Any, name: str) -> None:
    case = new_case(name, "vectors")
    assert case.meta_params == {}
    with pytest.raises(TypeError, match="nothing to train"):
        case.learner.meta_loss(case.meta_params, _episodes(case, 1, 1), None, loop_over_tasks)
