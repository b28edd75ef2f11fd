"""Set attention is a shrunken mean of residuals where nothing is learned yet, and sees a set."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from metaloop.core.errors import MetaloopError
from metaloop.core.examples import EpisodeBatch, Examples
from metaloop.core.inputs import InputFormat
from metaloop.core.learner import MetaParams
from metaloop.core.randomness import torch_stream
from metaloop.core.rating import RATING, rating_loss
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import loop_over_tasks, vmap_over_tasks
from metaloop.learners.set_attention import SetAttention
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.mlp import raw

FORMAT = InputFormat("vector", (4,), (0.0,) * 4, (1.0,) * 4)
GOLDEN = [-2.14524, 0.15442, -8.47211, -2.70124, 0.69897]


def made(targets: int = 1, **options: Any) -> tuple[SetAttention, MetaParams]:
    learner = SetAttention(FunctionalNet(FORMAT, build=raw), RATING, **options)
    spec = TaskSpec(0, 6, 5, (4,), "rating", (targets,))
    return learner, learner.init(spec, torch_stream(0, "init"))


def moved(params: MetaParams, share: float = 0.3) -> MetaParams:
    """Parameters as if something had been learned: none is zero."""
    return {
        n: t + share * torch.randn(t.shape, generator=torch_stream(1, n)) for n, t in params.items()
    }


def task(seed: int = 0, number: int = 6, targets: int = 1) -> tuple[Examples, Tensor]:
    rng = torch_stream(seed, "task")
    inputs = torch.randn(number, 4, generator=rng)
    values = torch.randn(number, targets, generator=rng)
    mask = torch.ones(number, dtype=torch.bool)
    return Examples(inputs, values, mask, 0), torch.randn(5, 4, generator=rng)


def predicted(learner: SetAttention, params: MetaParams, support: Examples, x: Tensor) -> Tensor:
    return learner.predict(params, learner.adapt(params, support), x)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), number=st.integers(1, 9), targets=st.integers(1, 2))
def test_untrained_it_is_the_prior_and_the_mean_of_what_is_left_shrunk(
    seed: int, number: int, targets: int
) -> None:
    learner, params = made(targets, prior=2)
    support, queries = task(seed, number, targets)
    left = support.targets - support.features[:, 2:3]
    expected = queries[:, 2:3] + left.sum(0) / (number + 3)
    torch.testing.assert_close(predicted(learner, params, support, queries), expected)


def test_with_nothing_known_it_is_the_mean() -> None:
    learner, params = made()
    params = moved(params)
    support, queries = task()
    none = Examples(support.inputs, support.targets, torch.zeros(6, dtype=torch.bool), 0, True)
    found = predicted(learner, params, none, queries)
    params["head.out"] = torch.zeros_like(params["head.out"])
    mean = queries @ params["head.mean.weight"].T + params["head.mean.bias"]
    torch.testing.assert_close(predicted(learner, params, none, queries), mean)
    assert found.isfinite().all()


def test_padding_and_the_order_of_the_support_change_nothing() -> None:
    learner, params = made(layers=2)
    params = moved(params)
    support, queries = task()
    padded = Examples(
        torch.cat([support.features, torch.full((3, 4), 1e3)]),
        torch.cat([support.targets, torch.full((3, 1), 1e3)]),
        torch.arange(9) < 6, 0, True,
    )  # fmt: skip
    turned = Examples(support.features.flip(0), support.targets.flip(0), support.mask, 0)
    expected = predicted(learner, params, support, queries)
    for other in (padded, turned):
        found = predicted(learner, params, other, queries)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    alone = torch.cat([predicted(learner, params, support, one[None]) for one in queries])
    torch.testing.assert_close(alone, expected, atol=1e-5, rtol=1e-5)


def test_learned_it_hangs_on_which_rating_is_of_what() -> None:
    learner, params = made()
    params = moved(params)
    support, queries = task()
    swapped = Examples(support.inputs, support.targets.flip(0), support.mask, 0)
    found = predicted(learner, params, support, queries)
    assert not torch.allclose(predicted(learner, params, swapped, queries), found, atol=1e-2)


def test_contributions_add_up_to_what_the_support_moves() -> None:
    learner, params = made()
    params = moved(params)
    params["head.out"] = torch.zeros_like(params["head.out"])
    support, queries = task()
    state = learner.adapt(params, support)
    mean = queries @ params["head.mean.weight"].T + params["head.mean.bias"]
    found = mean + learner.contributions(params, state, queries).sum(1)
    torch.testing.assert_close(learner.predict(params, state, queries), found)
    assert learner.support_size(state) == 6


def stacked(number: int, tasks: int = 3, name: str = "batch") -> Examples:
    rng = torch_stream(number, name)
    inputs = torch.randn(tasks, number, 4, generator=rng, dtype=torch.float64)
    targets = torch.randn(tasks, number, 1, generator=rng, dtype=torch.float64)
    return Examples(inputs, targets, torch.ones(tasks, number, dtype=torch.bool))


def test_tasks_together_are_as_one_by_one() -> None:
    learner, params = made()
    params = {n: t.double() for n, t in moved(params).items()}
    support, query = stacked(4), stacked(5)

    def one(x: Tensor, y: Tensor, mask: Tensor, asked: Tensor) -> Tensor:
        return learner.score(params, learner.fit_head(params, Examples(x, y, mask)), asked)

    given = (support.inputs, support.targets, support.mask, query.inputs)
    torch.testing.assert_close(vmap_over_tasks(one, *given), loop_over_tasks(one, *given))


def test_the_gradient_equals_finite_differences_in_every_direction_tried() -> None:
    learner, params = made(prior=0, width=4, heads=2)
    params = {n: t.double() for n, t in moved(params, 0.1).items()}
    support, query = stacked(4), stacked(5)

    def loss(params: MetaParams) -> Tensor:
        def one(x: Tensor, y: Tensor, mask: Tensor, asked: Tensor) -> Tensor:
            return learner.score(params, learner.fit_head(params, Examples(x, y, mask)), asked)

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


def test_it_learns_what_targets_are_a_function_of() -> None:
    """Targets are a taste times the first number of an input, and each task has a taste."""
    learner, params = made(layers=1, fewest=0)
    leaves = {n: t.clone().requires_grad_() for n, t in params.items()}
    optimiser = torch.optim.Adam(leaves.values(), lr=5e-3)
    rng = torch_stream(0, "tastes")

    def drawn(tasks: int) -> EpisodeBatch:
        inputs = torch.randn(tasks, 16, 4, generator=rng)
        tastes = torch.randn(tasks, 1, generator=rng)
        targets = (tastes * inputs[:, :, 0]).unsqueeze(-1)
        mask = torch.ones(tasks, 16, dtype=torch.bool)
        sides = [
            Examples(inputs[:, part], targets[:, part], mask[:, part])
            for part in (slice(0, 8), slice(8, 16))
        ]
        return EpisodeBatch(*sides)

    for _ in range(150):
        optimiser.zero_grad()
        learner.meta_loss(leaves, drawn(32), None, vmap_over_tasks).loss.backward()
        optimiser.step()
    asked = drawn(200)
    with torch.no_grad():
        found, before = (
            float(learner.meta_loss(each, asked, None, vmap_over_tasks).loss)
            for each in (leaves, params)
        )
    assert found < 0.5 * before


def test_training_keeps_part_of_each_support_and_refuses_labelled_examples() -> None:
    learner, params = made(fewest=2)
    params = moved(params)
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


def test_options_that_do_not_fit_are_refused() -> None:
    with pytest.raises(MetaloopError, match="one of the net's 4 features, got 4"):
        made(prior=4)
    with pytest.raises(MetaloopError, match="each of 3 heads needs as many of the 32 numbers"):
        made(heads=3)


def test_golden_numbers() -> None:
    learner, params = made(layers=1)
    params = moved(params)
    found = predicted(learner, params, *task())[:, 0].tolist()
    assert found == pytest.approx(GOLDEN, abs=1e-4, rel=1e-4)
