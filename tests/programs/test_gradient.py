"""`EvolvedGradient`: MAML when nothing evolved, any inner loss, rates that are trained."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from metaloop.core.errors import MetaloopError
from metaloop.core.examples import EpisodeBatch, Examples
from metaloop.core.inputs import InputFormat
from metaloop.core.learner import MetaParams, trained
from metaloop.core.objective import REGRESSION
from metaloop.core.randomness import torch_stream
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import loop_over_tasks, vmap_over_tasks
from metaloop.learners.maml import Maml
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.head import HeadedNet
from metaloop.nets.mlp import mlp
from metaloop.programs.gradient import EvolvedGradient

FORMAT = InputFormat("vector", (4,), (0.0,) * 4, (1.0,) * 4)
SPEC = TaskSpec(3, 2, 4, (4,))
CROSS_ENTROPY = """
def inner_loss(logits, y):
    likelihood = sum(multiply(y, log_softmax(logits, axis=1)), axis=1)
    return negate(mean(likelihood, axis=0))
"""
SQUARES = """
def inner_loss(logits, y):
    return multiply(1.5, mean(sum(square(subtract(logits, y)), axis=1), axis=0))
"""


def make(source: str = "", **options: Any) -> tuple[EvolvedGradient, MetaParams]:
    net = FunctionalNet(FORMAT, build=mlp)
    learner = EvolvedGradient(net, source, inner_steps=3, **options)
    return learner, learner.init(SPEC, torch_stream(0, "init"))


def smooth(input_shape: tuple[int, ...]) -> nn.Module:
    """A net without kinks, for finite differences."""
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5), nn.Tanh())


def batch(padding: int = 0) -> EpisodeBatch:
    rng = torch_stream(0, "batch")
    targets = torch.tensor([0, 1, 2, 0, 1, 2]).expand(2, -1)
    mask = torch.ones(2, 6, dtype=torch.bool)
    mask[:, 6 - padding :] = False

    def side(masked: Tensor, padded: bool) -> Examples:
        return Examples(torch.randn(2, 6, 4, generator=rng), targets, masked, 3, padded)

    return EpisodeBatch(side(mask, padding > 0), side(torch.ones_like(mask), False))


@pytest.mark.parametrize("source", ["", CROSS_ENTROPY], ids=["default", "written out"])
@pytest.mark.parametrize("padding", [0, 2])
def test_with_cross_entropy_and_equal_rates_it_is_maml(source: str, padding: int) -> None:
    learner, meta_params = make(source)
    theirs = Maml(learner.net, inner_steps=3, inner_rate=0.1)
    shared = {n: t for n, t in meta_params.items() if not n.startswith(("rate.", "program."))}
    ours = learner.meta_loss(meta_params, batch(padding), None, vmap_over_tasks)
    expected = theirs.meta_loss(shared, batch(padding), None, vmap_over_tasks)
    torch.testing.assert_close(ours.loss, expected.loss)


def test_the_inner_loss_is_that_of_the_program() -> None:
    learner, meta_params = make(SQUARES)
    support = batch().support
    one = Examples(support.features[0], support.targets[0], support.mask[0], 3)
    adapted = learner.adapt(meta_params, one)
    model_tensors = {n: t for n, t in meta_params.items() if not n.startswith(("rate.", "prog"))}
    names = sorted(trained(model_tensors))
    model = HeadedNet(learner.net)
    current = model.start(model_tensors, 3)
    for _ in range(3):
        leaves = {n: current[n].detach().clone().requires_grad_() for n in names}
        logits, _ = model.forward({**current, **leaves}, one.inputs, True, None)
        loss = 1.5 * ((logits - torch.eye(3)[one.targets]) ** 2).sum(-1).mean()
        slopes = torch.autograd.grad(loss, [leaves[n] for n in names])
        moved = {n: leaves[n] - 0.1 * s for n, s in zip(names, slopes, strict=True)}
        current = {**current, **moved}
    for name in names:
        torch.testing.assert_close(adapted[name], current[name], atol=1e-5, rtol=1e-4)


def test_rates_and_constants_of_the_loss_are_trained() -> None:
    learner = EvolvedGradient(FunctionalNet(FORMAT, build=smooth), SQUARES, inner_steps=3)
    meta_params = learner.init(SPEC, torch_stream(0, "init"))
    rates = [n for n in meta_params if n.startswith("rate.")]
    assert len(rates) == len([n for n in trained(meta_params) if n.startswith(("net.", "head."))])
    assert all(meta_params[n].shape == (3,) for n in rates)
    leaves = {n: t.clone().requires_grad_() for n, t in meta_params.items()}
    loss = learner.meta_loss(leaves, batch(), None, vmap_over_tasks).loss
    slopes = dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))
    assert slopes["program.inner_loss.0"].abs() > 0
    assert all(slopes[n].abs().min() > 0 for n in rates if "bias" not in n)
    step = 1e-2
    shifted = [
        {**meta_params, "program.inner_loss.0": meta_params["program.inner_loss.0"] + s}
        for s in (step, -step)
    ]
    up, down = (float(learner.meta_loss(p, batch(), None, loop_over_tasks).loss) for p in shifted)
    measured = (up - down) / (2 * step)
    assert float(slopes["program.inner_loss.0"]) == pytest.approx(measured, rel=2e-2)


def test_real_targets_are_learned_too() -> None:
    net = FunctionalNet(FORMAT, build=mlp)
    learner = EvolvedGradient(net, SQUARES, REGRESSION, inner_steps=20, initial_rate=0.02)
    spec = TaskSpec(0, 8, 8, (4,), "regression", (2,))
    meta_params = learner.init(spec, torch_stream(0, "init"))
    rng = torch_stream(0, "real")
    inputs = torch.randn(8, 4, generator=rng)
    support = Examples(inputs, inputs[:, :2] * 2, torch.ones(8, dtype=torch.bool))

    def error(state: MetaParams) -> float:
        return float(((learner.predict(meta_params, state, inputs) - support.targets) ** 2).mean())

    untrained = {n: t for n, t in meta_params.items() if not n.startswith("rate.")}
    assert error(learner.adapt(meta_params, support)) < 0.5 * error(untrained)


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        ("def inner_loss(logits, y):\n    return logits\n", {}, "expected to return Scalar"),
        ("nonsense", {}, "expected functions only"),
        ("", {"inner_steps": 0}, "inner_steps is at least 1"),
    ],
)
def test_wrong_options_are_refused(source: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(MetaloopError, match=words):
        EvolvedGradient(FunctionalNet(FORMAT, build=mlp), source, **options)


def test_labelled_examples_are_refused() -> None:
    learner, meta_params = make()
    examples = Examples(torch.zeros(2, 4), torch.zeros(2, dtype=torch.int64), torch.ones(2) > 0, 3)
    with pytest.raises(TypeError, match="trained on episodes"):
        learner.meta_loss(meta_params, examples, None, vmap_over_tasks)
