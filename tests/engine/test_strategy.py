"""All ways to compute a training step give equal losses and gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from metaloop.core.learner import trained
from metaloop.core.randomness import torch_stream
from metaloop.core.task_map import in_chunks, loop_over_tasks, vmap_over_tasks
from metaloop.engine.batches import BatchSource
from metaloop.engine.strategy import Strategy, fastest_strategy, fixed_strategy, parse_strategy
from metaloop.engine.training import initial_state


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


def test_the_measured_strategy_is_one_of_those_that_fit(new_job: Any) -> None:
    for name, tasks in (("protonet", {"vmap"}), ("maml", {"loop", "vmap"})):
        job = new_job(name, precision="float32")
        meta_params = initial_state(job.learner, job.family, job.spec, 0).meta_params
        before = {key: tensor.clone() for key, tensor in meta_params.items()}
        ((_, batch),) = BatchSource(job.family, job.plan, 0).batches(0)
        chosen = fastest_strategy(
            job.learner,
            meta_params,
            [batch],
            job.plan,
            budget_seconds=1e3,
            seconds_per_step=1e-2,
        )
        assert chosen.tasks in tasks
        assert chosen.precision == "float32"
        assert all(torch.equal(meta_params[key], before[key]) for key in before)
        assert not any(tensor.requires_grad for tensor in meta_params.values())


def test_what_cannot_be_measured_in_time_is_not(new_job: Any) -> None:
    job = new_job("maml", precision="fastest")
    meta_params = initial_state(job.learner, job.family, job.spec, 0).meta_params
    ((_, batch),) = BatchSource(job.family, job.plan, 0).batches(0)
    chosen = fastest_strategy(
        job.learner, meta_params, [batch], job.plan, budget_seconds=0.1, seconds_per_step=1e-2
    )
    assert chosen == fixed_strategy(job.learner, meta_params)


@pytest.mark.parametrize(
    ("name", "side", "tasks"), [("maml", 0, "vmap"), ("maml", 16, "loop"), ("protonet", 16, "vmap")]
)
def test_under_steps_the_strategy_is_fixed(new_job: Any, name: str, side: int, tasks: str) -> None:
    job = new_job(name, side=side)
    meta_params = initial_state(job.learner, job.family, job.spec, 0).meta_params
    assert fixed_strategy(job.learner, meta_params) == Strategy(tasks, "float32")


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
