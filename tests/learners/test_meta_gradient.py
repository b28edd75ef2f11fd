"""Meta-gradients against finite differences in float64, and what first order leaves out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from metaloop.core.examples import EpisodeBatch, Examples
from metaloop.core.inputs import InputFormat
from metaloop.core.learner import MetaParams, trained
from metaloop.core.objective import CLASSIFICATION, REGRESSION
from metaloop.core.randomness import torch_stream
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import loop_over_tasks, vmap_over_tasks
from metaloop.learners.anil import Anil
from metaloop.learners.fomaml import FirstOrderMaml
from metaloop.learners.maml import Maml
from metaloop.nets.functional import FunctionalNet

FORMAT = InputFormat("vector", (3,), (0.0,) * 3, (1.0,) * 3)


class DoubleNet(FunctionalNet):
    """A smooth net that stays in float64, where finite differences are exact enough."""

    def __call__(
        self, tensors: Any, inputs: Any, statistics: Any = "running", mask: Any = None
    ) -> tuple[Tensor, MetaParams]:
        own = {k.removeprefix("net."): v for k, v in tensors.items() if k.startswith("net.")}
        return torch.func.functional_call(self._module, own, (inputs,)), {}


def smooth(input_shape: tuple[int, ...]) -> nn.Module:
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4), nn.Tanh())


def make(method: Any, kind: str) -> tuple[Any, MetaParams, EpisodeBatch]:
    objective = CLASSIFICATION if kind == "classes" else REGRESSION
    learner = method(DoubleNet(FORMAT, build=smooth), objective, inner_steps=3, inner_rate=0.3)
    rng = torch_stream(0, "finite differences")
    if kind == "classes":
        spec = TaskSpec(2, 2, 3, (3,))
        labels = torch.tensor([0, 1, 0, 1]).expand(2, -1)
    else:
        spec = TaskSpec(0, 4, 4, (3,), "regression", (1,))
        labels = torch.randn(2, 4, 1, generator=rng, dtype=torch.float64)
    meta_params = {name: t.double() for name, t in learner.init(spec, rng).items()}

    def side() -> Examples:
        inputs = torch.randn(2, 4, 3, generator=rng, dtype=torch.float64)
        return Examples(inputs, labels, torch.ones(2, 4, dtype=torch.bool), spec.ways)

    return learner, meta_params, EpisodeBatch(side(), side())


def gradient(learner: Any, meta_params: MetaParams, batch: EpisodeBatch) -> MetaParams:
    leaves = {name: t.clone().requires_grad_() for name, t in meta_params.items()}
    loss = learner.meta_loss(leaves, batch, None, vmap_over_tasks).loss
    names = list(trained(leaves))
    return dict(zip(names, torch.autograd.grad(loss, [leaves[n] for n in names]), strict=True))


@pytest.mark.parametrize("kind", ["classes", "real"])
@pytest.mark.parametrize("method", [Maml, Anil])
def test_the_meta_gradient_equals_finite_differences(method: Any, kind: str) -> None:
    learner, meta_params, batch = make(method, kind)
    exact = gradient(learner, meta_params, batch)
    for turn in range(4):
        rng = torch_stream(turn, "direction")
        direction = {n: torch.randn(t.shape, generator=rng).double() for n, t in exact.items()}
        epsilon = 1e-5

        def loss_at(step: float, towards: MetaParams = direction) -> float:
            moved = {n: t + step * towards[n] for n, t in meta_params.items()}
            return float(learner.meta_loss(moved, batch, None, loop_over_tasks).loss)

        measured = (loss_at(epsilon) - loss_at(-epsilon)) / (2 * epsilon)
        claimed = sum(float((exact[n] * direction[n]).sum()) for n in exact)
        assert claimed == pytest.approx(measured, rel=1e-6, abs=1e-8)


def test_first_order_takes_the_gradient_at_the_adapted_weights() -> None:
    learner, meta_params, batch = make(FirstOrderMaml, "classes")
    claimed = gradient(learner, meta_params, batch)
    expected = {name: torch.zeros_like(tensor) for name, tensor in meta_params.items()}
    for task in range(2):
        side = batch.support
        support = Examples(side.inputs[task], side.targets[task], side.mask[task], 2)  # type: ignore[index]
        adapted = {
            n: t.detach().requires_grad_() for n, t in learner.adapt(meta_params, support).items()
        }
        queries, labels = batch.query.inputs[task], batch.query.targets[task]  # type: ignore[index]
        outputs = learner.predict(meta_params, adapted, queries)
        loss = nn.functional.cross_entropy(outputs, labels) / 2
        slopes = torch.autograd.grad(loss, list(adapted.values()))
        for name, slope in zip(adapted, slopes, strict=True):
            # all rows of the task's head come from the one row that is meta-learned
            expected[name] += slope.sum(0, keepdim=True) if name.startswith("head.") else slope
    for name in claimed:
        torch.testing.assert_close(claimed[name], expected[name])


def test_first_order_differs_from_second_order_only_in_the_gradient() -> None:
    first, meta_params, batch = make(FirstOrderMaml, "classes")
    second, _, _ = make(Maml, "classes")
    losses = [m.meta_loss(meta_params, batch, None, loop_over_tasks).loss for m in (first, second)]
    assert losses[0] == losses[1]
    slopes = [gradient(method, meta_params, batch)["net.0.weight"] for method in (first, second)]
    assert not torch.allclose(slopes[0], slopes[1], rtol=1e-2)
