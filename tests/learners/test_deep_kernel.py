"""The deep kernel is a Gaussian process where nothing is learned yet, and learns from there."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metaloop.core.errors import MetaloopError
from metaloop.core.examples import EpisodeBatch, Examples
from metaloop.core.inputs import InputFormat
from metaloop.core.learner import MetaParams
from metaloop.core.randomness import torch_stream
from metaloop.core.rating import RATING, ranking_gain, rating_loss, root_squared_error
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import vmap_over_tasks
from metaloop.learners.deep_kernel import DeepKernel
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.mlp import raw

FORMAT = InputFormat("vector", (4,), (0.0,) * 4, (1.0,) * 4)
SPEC = TaskSpec(0, 6, 5, (4,), "rating", (1,))


def made(**options: Any) -> tuple[DeepKernel, MetaParams]:
    learner = DeepKernel(FunctionalNet(FORMAT, build=raw), RATING, **options)
    return learner, learner.init(SPEC, torch_stream(0, "init"))


def task(seed: int = 0, number: int = 6, padding: int = 0) -> tuple[Examples, torch.Tensor]:
    rng = torch_stream(seed, "task")
    inputs = torch.randn(number + padding, 4, generator=rng)
    targets = torch.randn(number + padding, 1, generator=rng)
    mask = torch.arange(number + padding) < number
    return Examples(inputs, targets, mask, 0, bool(padding)), torch.randn(5, 4, generator=rng)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), number=st.integers(1, 9))
def test_untrained_it_is_the_process_with_the_kernel_that_it_has(seed: int, number: int) -> None:
    learner, params = made(prior=0)
    support, queries = task(seed, number)
    found = learner.predict(params, learner.adapt(params, support), queries)

    def points(x: torch.Tensor) -> torch.Tensor:
        return x.double() @ params["head.kernel.weight"].double().T / math.sqrt(learner.width)

    known, asked = points(support.features), points(queries)
    noise = (0.4 + 0.02) * torch.eye(number, dtype=torch.float64)
    residual = support.targets.double() - support.features[:, :1].double()
    weights = torch.linalg.solve(0.25 + known @ known.T + noise, residual)
    expected = queries[:, :1].double() + (0.25 + asked @ known.T) @ weights
    torch.testing.assert_close(found.double(), expected, atol=1e-4, rtol=1e-4)


def test_with_nothing_known_but_far_away_it_is_the_prior() -> None:
    learner, params = made(prior=0)
    params["head.log_offset"] = torch.tensor(-30.0)
    params["head.kernel.weight"] = torch.zeros_like(params["head.kernel.weight"])
    support, queries = task()
    found = learner.predict(params, learner.adapt(params, support), queries)
    torch.testing.assert_close(found, queries[:, :1])


def test_padding_and_the_order_of_the_support_change_nothing() -> None:
    learner, params = made()
    params = {
        n: t + 0.1 * torch.randn(t.shape, generator=torch_stream(1, n)) for n, t in params.items()
    }
    support, queries = task()
    padded, _ = task(padding=3)
    padded = padded.with_inputs(torch.cat([support.features, torch.full((3, 4), 1e3)]))
    targets = torch.cat([support.targets, torch.full((3, 1), 1e3)])
    padded = Examples(padded.inputs, targets, padded.mask, 0, True)
    turned = Examples(support.features.flip(0), support.targets.flip(0), support.mask, 0)
    expected = learner.predict(params, learner.adapt(params, support), queries)
    for other in (padded, turned):
        found = learner.predict(params, learner.adapt(params, other), queries)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_contributions_add_up_to_what_the_support_moves() -> None:
    learner, params = made(prior=1)
    support, queries = task()
    state = learner.adapt(params, support)
    moved = learner.contributions(params, state, queries).sum(1)
    found = learner.predict(params, state, queries)
    torch.testing.assert_close(queries[:, 1:2] + moved, found)
    assert learner.support_size(state) == 6


def test_the_gradient_equals_finite_differences_in_every_direction_tried() -> None:
    learner, params = made(prior=0, width=3)
    params = {n: t.double() for n, t in params.items()}
    for name in list(params):
        params[name] += 0.1 * torch.randn(params[name].shape, generator=torch_stream(2, name))
    rng = torch_stream(0, "batch")

    def side(number: int) -> Examples:
        inputs = torch.randn(3, number, 4, generator=rng, dtype=torch.float64)
        targets = torch.randn(3, number, 1, generator=rng, dtype=torch.float64)
        return Examples(inputs, targets, torch.ones(3, number, dtype=torch.bool))

    support, query = side(4), side(5)

    def loss(params: MetaParams) -> torch.Tensor:
        def one(x: Any, y: Any, mask: Any, asked: Any) -> Any:
            head = learner.fit_head(params, Examples(x, y, mask))
            return learner.score(params, head, asked)

        outputs = vmap_over_tasks(one, support.inputs, support.targets, support.mask, query.inputs)
        return rating_loss(outputs, query.targets, query.mask)

    leaves = {n: t.clone().requires_grad_() for n, t in params.items()}
    exact = torch.autograd.grad(loss(leaves), list(leaves.values()))
    for turn in range(3):
        draw = torch_stream(turn, "direction")
        along = {n: torch.randn(t.shape, generator=draw).double() for n, t in params.items()}
        ends = [loss({n: t + s * 1e-5 * along[n] for n, t in params.items()}) for s in (1, -1)]
        slope = sum((g * a).sum() for g, a in zip(exact, along.values(), strict=True))
        torch.testing.assert_close((ends[0] - ends[1]) / 2e-5, slope, atol=1e-6, rtol=1e-4)


def test_training_keeps_part_of_each_support_and_refuses_labelled_examples() -> None:
    learner, params = made(fewest=2)
    support = Examples(torch.randn(4, 8, 4), torch.randn(4, 8, 1), torch.ones(4, 8).bool())
    query = Examples(torch.randn(4, 5, 4), torch.randn(4, 5, 1), torch.ones(4, 5).bool())
    batch = EpisodeBatch(support, query)
    losses = {
        round(
            float(learner.meta_loss(params, batch, torch_stream(s, "x"), vmap_over_tasks).loss), 6
        )
        for s in range(12)
    }
    assert 2 < len(losses) <= 7  # supports of 2 to 8
    with pytest.raises(TypeError, match="trained on episodes"):
        learner.meta_loss(params, support, None, vmap_over_tasks)
    with pytest.raises(MetaloopError, match="one of the net's 4 features, got 4"):
        made(prior=4)


def test_ratings_are_judged_by_each_users_error_and_by_order() -> None:
    targets = torch.tensor([[[1.0], [2.0], [3.0]], [[5.0], [5.0], [9.0]]])
    outputs = torch.tensor([[[1.0], [2.0], [5.0]], [[5.0], [5.0], [0.0]]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    found = root_squared_error(outputs, targets, mask)
    torch.testing.assert_close(found, torch.tensor([math.sqrt(4 / 3), 0.0]).double())
    best = ranking_gain(targets, targets, mask)
    assert best.tolist() == [1.0, 1.0]
    reverse = float(ranking_gain(-targets, targets, mask)[0])
    gains = [1.0, 3.0, 7.0]
    ideal = sum(g / math.log2(p + 2) for p, g in enumerate(reversed(gains)))
    worst = sum(g / math.log2(p + 2) for p, g in enumerate(gains))
    assert reverse == pytest.approx(worst / ideal)
    alone = rating_loss(outputs[0], targets[0], mask[0])
    stacked = rating_loss(outputs[:1], targets[:1], mask[:1])
    torch.testing.assert_close(alone, stacked)
