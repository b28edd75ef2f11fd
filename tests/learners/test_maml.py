"""MAML against the method written by hand, and the statistics its batch norms use."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from metaloop.core.errors import EpisodeError
from metaloop.core.examples import EpisodeBatch, Examples
from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import torch_stream
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import loop_over_tasks, vmap_over_tasks
from metaloop.learners.anil import Anil
from metaloop.learners.maml import Maml
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.mlp import mlp

RATE = 0.2
FORMAT = InputFormat("vector", (4,), (0.5,) * 4, (2.0,) * 4)


def by_hand(weights: list[Tensor], inputs: Tensor) -> Tensor:
    first, first_bias, second, second_bias, head, head_bias = weights
    hidden = functional.relu(functional.linear((inputs - 0.5) / 2.0, first, first_bias))
    hidden = functional.relu(functional.linear(hidden, second, second_bias))
    return functional.linear(hidden, head, head_bias)


@pytest.mark.parametrize("method", [Maml, Anil])
@pytest.mark.parametrize("over_tasks", [loop_over_tasks, vmap_over_tasks])
def test_one_step_equals_the_method_written_with_autograd(method: Any, over_tasks: Any) -> None:
    learner = method(
        FunctionalNet(FORMAT, build=lambda s: mlp(s, 6)), inner_steps=1, inner_rate=RATE
    )
    rng = torch_stream(0, "by hand")
    meta_params = learner.init(TaskSpec(3, 2, 2, (4,)), rng)
    order = [*(f"net.{i}.{kind}" for i in (1, 3) for kind in ("weight", "bias"))]
    order += ["head.weight", "head.bias"]
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    support, query = torch.randn(2, 6, 4, generator=rng), torch.randn(2, 6, 4, generator=rng)

    leaves = [meta_params[name].clone().requires_grad_() for name in order]
    outputs, loss = [], torch.zeros(())
    for task in range(2):
        start = [*leaves[:4], leaves[4].expand(3, -1), leaves[5].expand(3)]
        moving = start if method is Maml else start[4:]
        inner = functional.cross_entropy(by_hand(start, support[task]), labels)
        slopes = torch.autograd.grad(inner, moving, create_graph=True)
        moved = [tensor - RATE * slope for tensor, slope in zip(moving, slopes, strict=True)]
        outputs.append(by_hand(moved if method is Maml else [*start[:4], *moved], query[task]))
        loss = loss + functional.cross_entropy(outputs[-1], labels) / 2
    expected = torch.autograd.grad(loss, leaves)

    def stacked(inputs: Tensor) -> Examples:
        return Examples(inputs, labels.expand(2, -1), torch.ones(2, 6, dtype=torch.bool), 3)

    ours = {name: tensor.clone().requires_grad_() for name, tensor in meta_params.items()}
    batch = EpisodeBatch(stacked(support), stacked(query))
    meta = learner.meta_loss(ours, batch, None, over_tasks)
    torch.testing.assert_close(meta.loss, loss)
    claimed = torch.autograd.grad(meta.loss, [ours[name] for name in order])
    for name, mine, theirs in zip(order, claimed, expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-4, msg=name)
    task = Examples(support[0], labels, torch.ones(6, dtype=torch.bool), 3)
    prediction = learner.predict(meta_params, learner.adapt(meta_params, task), query[0])
    torch.testing.assert_close(prediction, outputs[0].detach(), atol=1e-6, rtol=1e-4)


def test_queries_are_normalised_by_the_statistics_of_the_support(new_case: Any) -> None:
    case = new_case("maml", "images", inner_steps=1)
    support, inputs, _ = case.task()
    state = case.learner.adapt(case.meta_params, support)
    first = next(n for n in state if n.endswith("running_mean"))
    weight = next(state[n] for n in state if n.startswith("net.") and state[n].dim() == 4)
    normalised = case.learner.net.input_format.normalise(support.inputs)
    convolved = functional.conv2d(normalised, weight, padding=1)
    torch.testing.assert_close(state[first], convolved.mean((0, 2, 3)))
    far = torch.cat([inputs, 100 + 50 * inputs])
    torch.testing.assert_close(
        case.learner.predict(case.meta_params, state, far)[: len(inputs)],
        case.learner.predict(case.meta_params, state, inputs),
        atol=1e-5,
        rtol=1e-5,
    )


def test_anil_moves_the_head_alone_and_maml_moves_all_weights(new_case: Any) -> None:
    for name, moved_by in (("anil", {"head.weight", "head.bias"}), ("maml", None)):
        case = new_case(name, "vectors")
        state = case.learner.adapt(case.meta_params, case.task()[0])
        moved = {
            n
            for n, t in case.learner.model.start(case.meta_params, 5).items()
            if not torch.equal(t, state[n])
        }
        assert moved == (moved_by or set(case.meta_params))


def test_any_number_of_ways_is_adapted_to(new_case: Any) -> None:
    case = new_case("maml", "vectors")
    for ways in (2, 9):
        labels = torch.arange(ways)
        inputs = torch.randn(ways, 8, generator=torch_stream(ways, "ways"))
        support = Examples(inputs, labels, torch.ones(ways, dtype=torch.bool), ways)
        assert case.predict(support, inputs).shape == (ways, ways)


def test_episodes_are_required(new_case: Any) -> None:
    case = new_case("maml", "vectors")
    with pytest.raises(TypeError, match="episodes"):
        case.learner.meta_loss(case.meta_params, case.task()[0], None, loop_over_tasks)


def test_dropout_of_a_users_net_is_off_while_adapting_and_predicting() -> None:
    module = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5))
    learner = Maml(FunctionalNet(FORMAT, module=module), inner_steps=2)
    meta_params = learner.init(TaskSpec(2, 2, 2, (4,)), torch_stream(0, "init"))
    inputs = torch.randn(4, 4, generator=torch_stream(0, "inputs"))
    mask = torch.ones(4, dtype=torch.bool)
    support = Examples(inputs, torch.tensor([0, 0, 1, 1]), mask, 2)
    outputs = [
        learner.predict(meta_params, learner.adapt(meta_params, support), inputs) for _ in range(2)
    ]
    assert torch.equal(outputs[0], outputs[1])


def test_a_task_of_one_way_is_refused() -> None:
    with pytest.raises(EpisodeError, match="at least 2 ways"):
        TaskSpec(1, 1, 1, (4,))
