"""`ProgramLearner` as a learner: meta-parameters, training, meta-gradient, uneven tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from metaloop.core.errors import MetaloopError
from metaloop.core.examples import EpisodeBatch, Examples
from metaloop.core.inputs import InputFormat
from metaloop.core.learner import AfterTraining, MetaParams, trained
from metaloop.core.randomness import torch_stream
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import loop_over_tasks, vmap_over_tasks
from metaloop.learners.protonet import ProtoNet
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.mlp import mlp
from metaloop.programs.learner import ProgramLearner
from metaloop.programs.library import LIBRARY, library_program

FORMAT = InputFormat("vector", (5,), (0.0,) * 5, (1.0,) * 5)
SPEC = TaskSpec(3, 2, 4, (5,), num_training_classes=7)
LOSS = """
def meta_loss(logits, y):
    return mean(sum(square(subtract(softmax(logits, axis=1), y)), axis=1), axis=0)
"""
Episodes = Callable[..., EpisodeBatch]


def make(name: str, extra: str = "") -> tuple[ProgramLearner, MetaParams]:
    net = FunctionalNet(FORMAT, build=mlp)
    learner = ProgramLearner(net, library_program(name).source + extra)
    return learner, learner.init(SPEC, torch_stream(0, "init"))


def floats(episodes: EpisodeBatch) -> EpisodeBatch:
    sides = (side.with_inputs(side.features.float()) for side in (episodes.support, episodes.query))
    return EpisodeBatch(*sides)


def test_constants_are_meta_parameters_and_the_centre_is_a_buffer() -> None:
    _, meta_params = make("meta_sgd")
    names = {name for name in meta_params if name.startswith("program.")}
    assert {"program.adapt.0", "program.adapt.2"} <= names
    assert names <= set(trained(meta_params))
    assert "buffers.center" in meta_params
    assert "classifier.weight" in meta_params


def test_the_text_decides_equality() -> None:
    first, again = (make("ridge")[0] for _ in range(2))
    assert replace(again, net=first.net) == first
    assert make("cosine")[0].source != first.source


def test_a_text_that_is_no_program_is_refused() -> None:
    with pytest.raises(MetaloopError, match="needs the slot"):
        ProgramLearner(FunctionalNet(FORMAT, build=mlp), "")


@pytest.mark.parametrize("name", LIBRARY)
def test_the_meta_gradient_reaches_net_and_constants(name: str, random_episodes: Episodes) -> None:
    learner, meta_params = make(name)
    leaves = {n: t.clone().requires_grad_() for n, t in trained(meta_params).items()}
    batch = floats(random_episodes(0))
    result = learner.meta_loss(meta_params | leaves, batch, None, vmap_over_tasks)
    names = [n for n in leaves if not n.startswith("classifier.")]
    slopes = torch.autograd.grad(result.loss, [leaves[n] for n in names])
    for slope_name, slope in zip(names, slopes, strict=True):
        assert slope.isfinite().all(), slope_name
    moved = [n for n, s in zip(names, slopes, strict=True) if s.abs().max() > 0]
    assert any(n.startswith("net.") for n in moved)
    assert any(n.startswith("program.") for n in moved)


def test_the_meta_gradient_of_constants_equals_finite_differences(
    random_episodes: Episodes,
) -> None:
    """Through the inner gradients of two steps."""
    learner, meta_params = make("gradient_step")
    batch = floats(random_episodes(1))
    name, step = "program.adapt.2", 0.05
    assert float(meta_params[name]) == 5.0  # the rate of the first step

    def loss(rate: torch.Tensor) -> torch.Tensor:
        return learner.meta_loss(meta_params | {name: rate}, batch, None, loop_over_tasks).loss

    rate = meta_params[name].clone().requires_grad_()
    exact = float(torch.autograd.grad(loss(rate), rate)[0])
    with torch.no_grad():
        measured = float(loss(rate + step) - loss(rate - step)) / (2 * step)
    assert abs(exact) > 1e-5
    assert exact == pytest.approx(measured, rel=2e-2)


def test_the_default_loss_is_protonets(random_episodes: Episodes) -> None:
    learner, meta_params = make("prototypes")
    theirs = ProtoNet(learner.net, all_pairs=False)
    shared = meta_params | {"head.log_scale": meta_params["program.predict.1"].log()}
    batch = floats(random_episodes(2))
    ours = learner.meta_loss(meta_params, batch, None, vmap_over_tasks)
    expected = theirs.meta_loss(shared, batch, None, vmap_over_tasks)
    torch.testing.assert_close(ours.loss, expected.loss)
    assert ours.metrics["accuracy"] == expected.metrics["accuracy"]


def test_a_meta_loss_of_the_program_is_used(random_episodes: Episodes) -> None:
    batch = floats(random_episodes(2))
    learner, meta_params = make("cosine", LOSS)
    loss = learner.meta_loss(meta_params, batch, None, vmap_over_tasks).loss
    support, query = batch.support, batch.query
    expected = []
    for task in range(batch.num_tasks):
        examples = Examples(support.features[task], support.targets[task], support.mask[task], 3)
        state = learner.adapt(meta_params, examples)
        shares = learner.predict(meta_params, state, query.features[task]).softmax(-1)
        errors = shares - torch.nn.functional.one_hot(query.targets[task], 3)
        expected.append((errors**2).sum(-1).mean())
    torch.testing.assert_close(loss, torch.stack(expected).mean())


def test_labelled_examples_train_the_whole_class_classifier() -> None:
    learner, meta_params = make("ridge")
    rng = torch_stream(0, "examples")
    labels = torch.arange(7)
    examples = Examples(
        torch.randn(7, 5, generator=rng), labels, torch.ones(7, dtype=torch.bool), 7
    )
    loss = learner.meta_loss(meta_params, examples, None, vmap_over_tasks)
    assert "class accuracy" in loss.metrics


def test_the_centre_follows_episodes_and_ends_as_the_training_mean(
    random_episodes: Episodes,
) -> None:
    learner, meta_params = make("centred")
    assert isinstance(learner, AfterTraining)
    batch = floats(random_episodes(3))
    moved = learner.meta_loss(meta_params, batch, None, vmap_over_tasks).buffers["buffers.center"]
    seen = learner.embed(meta_params, batch.support.features.flatten(0, 1)).mean(0)
    torch.testing.assert_close(moved, 0.1 * seen, atol=1e-5, rtol=1e-3)
    features = torch.randn(9, len(moved), generator=torch_stream(0, "features"))
    done = learner.finish(meta_params, features.mean(0))
    torch.testing.assert_close(done["buffers.center"], features.mean(0))


def test_a_padded_batch_has_the_loss_of_its_tasks(random_episodes: Episodes) -> None:
    learner, meta_params = make("gradient_step", LOSS)
    whole, padded = floats(random_episodes(4)), floats(random_episodes(4, padding=2))
    query = replace(padded.query, mask=padded.query.mask.clone(), padded=True)
    query.mask[:, -3:] = False
    loss = learner.meta_loss(
        meta_params, EpisodeBatch(padded.support, query), None, vmap_over_tasks
    )

    def cut(side: Examples, length: int) -> Examples:
        return replace(
            side,
            inputs=side.features[:, :length],
            targets=side.targets[:, :length],
            mask=torch.ones_like(side.mask[:, :length]),
            padded=False,
        )

    shorter = EpisodeBatch(cut(whole.support, 4), cut(whole.query, 9))
    expected = learner.meta_loss(meta_params, shorter, None, vmap_over_tasks)
    torch.testing.assert_close(loss.loss, expected.loss)
