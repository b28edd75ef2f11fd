"""All ways to compute a training step give equal losses and gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metaloop.core.budget import Budget
from metaloop.core.learner import trained
from metaloop.core.randomness import torch_stream
from metaloop.core.task_map import in_chunks, loop_over_tasks, vmap_over_tasks
from metaloop.engine.batches import BatchSource
from metaloop.engine.beginning import initial_state
from metaloop.engine.strategy import (
    Strategy,
    Timing,
    fixed_strategy,
    parse_strategy,
    possible_strategies,
)
from metaloop.engine.training import train


def _step(job: Any, strategy: Strategy) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    leaves = dict(initial_state(job.learner, job.family, job.spec, 0).meta_params)
    ((_, batch),) = BatchSource(job.family, job.plan, 0).batches(0)
    moving = {name: tensor.requires_grad_() for name, tensor in trained(leaves).items()}
    loss = strategy.meta_loss(job.learner, leaves, batch, torch_stream(0, "loss")).loss
    slopes = torch.autograd.grad(loss, list(moving.values()), allow_unused=True)
    return loss.detach(), {n: g for n, g in zip(moving, slopes, strict=True) if g is not None}


@pytest.mark.parametrize("side", [0, 16])
@pytest.mark.parametrize("name", ["maml", "fomaml", "anil", "protonet", "ridge"])
def test_a_loop_and_vmap_give_equal_losses_and_gradients(
    new_job: Any, name: str, side: int
) -> None:
    job = new_job(name, side=side)
    (loss, slopes), (other, others) = (_step(job, Strategy(tasks)) for tasks in ("loop", "vmap"))
    torch.testing.assert_close(loss, other, atol=1e-5, rtol=1e-5)
    assert set(slopes) == set(others)
    for key, slope in slopes.items():
        torch.testing.assert_close(slope, others[key], atol=2e-5, rtol=1e-3, msg=key)


@pytest.mark.parametrize("name", ["protonet", "ridge", "simpleshot"])
def test_bfloat16_is_close_to_float32(new_job: Any, name: str) -> None:
    job = new_job(name, side=16)
    (loss, slopes), (other, others) = (
        _step(job, Strategy("vmap", precision)) for precision in ("float32", "bfloat16")
    )
    assert loss != other
    torch.testing.assert_close(loss, other, atol=0.05, rtol=0.05)
    mine = torch.cat([slopes[key].flatten() for key in slopes])
    theirs = torch.cat([others[key].flatten() for key in slopes])
    assert float(torch.cosine_similarity(mine, theirs, dim=0)) > 0.75  # of a tiny net


@pytest.mark.parametrize(("name", "maps"), [("protonet", {"vmap"}), ("maml", {"loop", "vmap"})])
def test_strategies_that_make_no_difference_are_not_compared(
    new_job: Any, name: str, maps: set[str]
) -> None:
    job = new_job(name, precision="float32")
    ((_, batch),) = BatchSource(job.family, job.plan, 0).batches(0)
    possible = possible_strategies(job.learner, [batch], job.plan)
    assert {strategy.tasks for strategy in possible} == maps
    assert {strategy.precision for strategy in possible} == {"float32"}
    both = possible_strategies(job.learner, [batch], replace(job.plan, precision="fastest"))
    assert {strategy.precision for strategy in both} == {"float32", "bfloat16"}


EVERY = [Strategy(tasks, precision) for tasks in ("loop", "vmap")
         for precision in ("float32", "bfloat16")]  # fmt: skip


def timed(seconds: dict[Strategy, list[float]]) -> tuple[Strategy, list[Strategy]]:
    """Returns the quickest strategy and whose turns there were, if steps take so long."""
    timing, turns = Timing(list(seconds)), list[Strategy]()
    while timing.quickest is None:
        turns.append(timing.next)
        said = seconds[turns[-1]]
        timing.took(turns[-1], said[min(turns.count(turns[-1]), len(said)) - 1])
    return timing.quickest, turns


@given(st.permutations(EVERY), st.data())
def test_the_quickest_is_found_though_it_warms_up_slowly(
    order: list[Strategy], data: st.DataObject
) -> None:
    """A step is slow at first, and now and then; at least two of a strategy's turns are not."""
    usual = {strategy: 1.0 + 0.1 * place for place, strategy in enumerate(order)}
    noise = {s: data.draw(st.lists(st.floats(0, 9), min_size=3, max_size=3)) for s in EVERY}
    seconds = {
        s: [
            4.0,
            *(usual[s] + extra / 3 for extra in noise[s][:1]),
            usual[s],
            usual[s] + noise[s][1],
        ]
        for s in EVERY
    }
    quickest, turns = timed(seconds)
    assert quickest == order[0]
    assert max(turns.count(strategy) for strategy in EVERY) <= 5


def test_one_that_is_far_behind_has_no_more_turns() -> None:
    fast, slow = EVERY[:2]
    quickest, turns = timed({fast: [9.0, 1.0], slow: [9.0, 4.0]})
    assert quickest == fast and turns == [fast, slow] * 3


def test_one_that_is_hopeless_when_it_is_warm_has_no_second_turn() -> None:
    fast, slow = EVERY[:2]
    quickest, turns = timed({fast: [2.0, 1.0], slow: [30.0, 6.0]})
    assert quickest == fast and turns == [fast, slow] * 2


def test_one_that_was_disturbed_once_has_another_turn() -> None:
    slow, fast = EVERY[:2]
    assert timed({slow: [2.0, 1.2], fast: [9.0, 3.0, 1.0]})[0] == fast


def test_a_single_strategy_needs_no_turns() -> None:
    assert timed({EVERY[0]: [1.0]}) == (EVERY[0], [])


@pytest.mark.parametrize(
    ("name", "side", "tasks"), [("maml", 0, "vmap"), ("maml", 16, "loop"), ("protonet", 16, "vmap")]
)
def test_under_steps_the_strategy_is_fixed(new_job: Any, name: str, side: int, tasks: str) -> None:
    job = new_job(name, side=side)
    meta_params = initial_state(job.learner, job.family, job.spec, 0).meta_params
    assert fixed_strategy(job.learner, meta_params) == Strategy(tasks, "float32")


def test_training_in_seconds_ends_with_the_strategy_that_it_found(new_job: Any, clock: Any) -> None:
    job = new_job("protonet", side=16)
    plan = replace(job.plan, precision="fastest")
    state = initial_state(job.learner, job.family, job.spec, 0)
    budget = Budget(wall_seconds=2.0)
    ended = list(train(job.learner, job.family, plan, budget, job.spec, state=state))[-1]
    assert ended.state.step > 12  # one is counted, and both have had their turns
    assert parse_strategy(ended.state.strategy or "") in EVERY[2:]


def test_a_strategy_is_read_as_it_was_written() -> None:
    for strategy in (Strategy(), Strategy("vmap", "bfloat16")):
        assert parse_strategy(str(strategy)) == strategy
    for text in ("", "vmap", "vmap/int8", "compiled/float32"):
        with pytest.raises(ValueError, match="not a strategy"):
            parse_strategy(text)


@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_chunks_of_tasks_give_the_same_results(chunk: int) -> None:
    def function(a: torch.Tensor, b: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"sum": (a + b).sum(), "product": a * b}

    a, b = torch.rand(5, 3), torch.rand(5, 3)
    expected = loop_over_tasks(function, a, b)
    for over_tasks in (loop_over_tasks, vmap_over_tasks):
        result = in_chunks(over_tasks, chunk)(function, a, b)
        for key in expected:
            torch.testing.assert_close(result[key], expected[key])
