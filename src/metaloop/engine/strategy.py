"""How a training step is computed: all ways give equal results, the fastest is measured.

Tasks run in a loop or under `vmap`, and the net embeds in float32 or bfloat16 (equal up to that
format's rounding). Which is faster depends on net and machine, so each is timed on the first batch;
the choice is kept in the checkpoint.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from metaloop.core.examples import Batch, EpisodeBatch
from metaloop.core.learner import EmbeddingLearner, Learner, MetaLoss, MetaParams, trained
from metaloop.core.records import Plan
from metaloop.core.task_map import loop_over_tasks, vmap_over_tasks
from metaloop.nets.precision import embedding_in

_TASK_MAPS = {"loop": loop_over_tasks, "vmap": vmap_over_tasks}
_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_AFFORDABLE = 0.06  # of the budget may go into measuring
_MOST_ROUNDS = 5  # the first warms up allocators and kernels


@dataclass(frozen=True)
class Strategy:
    """How tasks are mapped and in which precision nets embed."""

    tasks: str = "loop"
    precision: str = "float32"

    def meta_loss(
        self, learner: Learner, meta_params: MetaParams, batch: Batch, rng: torch.Generator | None
    ) -> MetaLoss:
        """Returns the learner's loss, computed this way."""
        with embedding_in(_PRECISIONS[self.precision]):
            return learner.meta_loss(meta_params, batch, rng, _TASK_MAPS[self.tasks])

    def __str__(self) -> str:
        return f"{self.tasks}/{self.precision}"


def parse_strategy(text: str) -> Strategy:
    """Returns the strategy that `str` wrote."""
    tasks, _, precision = text.partition("/")
    if tasks not in _TASK_MAPS or precision not in _PRECISIONS:
        raise ValueError(f"not a strategy: {text!r}")
    return Strategy(tasks, precision)


def fastest_strategy(
    learner: Learner,
    meta_params: MetaParams,
    batches: Iterable[Batch],
    plan: Plan,
    budget_seconds: float,
    seconds_per_step: float,
) -> Strategy:
    """Returns the strategy with the quickest training step on these batches.

    Where measuring all of them would take too much of the budget, it is the one of
    `fixed_strategy`; `seconds_per_step` is about what a step takes.
    """
    batches = list(batches)
    choices = _choices(learner, batches, plan)
    if len(choices) == 1:
        return choices[0]
    affordable = int(_AFFORDABLE * budget_seconds / (len(choices) * seconds_per_step))
    if affordable < 1:
        return fixed_strategy(learner, meta_params)
    seconds = dict.fromkeys(choices, math.inf)
    for _ in range(min(affordable, _MOST_ROUNDS)):  # in turns, for other work comes and goes
        for choice in choices:
            spent = _time_step(choice, learner, meta_params, batches)
            seconds[choice] = min(seconds[choice], spent)
    return min(seconds, key=lambda choice: seconds[choice])


def fixed_strategy(learner: Learner, meta_params: MetaParams) -> Strategy:
    """Returns the strategy that is taken without measuring, where one seed must give one result.

    A loop where convolutions have weights of their own per task, else `vmap`; float32.
    """
    if not learner.vmappable:
        return Strategy("loop")
    convolves = any(tensor.dim() == 4 for tensor in meta_params.values())
    return Strategy("loop" if convolves and not isinstance(learner, EmbeddingLearner) else "vmap")


def _choices(learner: Learner, batches: list[Batch], plan: Plan) -> list[Strategy]:
    episodes = [batch for batch in batches if isinstance(batch, EpisodeBatch)]
    if isinstance(learner, EmbeddingLearner) or not episodes:  # these flatten tasks by themselves
        maps = ["vmap"]
    elif not learner.vmappable or episodes[0].num_tasks == 1:
        maps = ["loop"]
    else:
        maps = ["loop", "vmap"]
    precisions = list(_PRECISIONS) if plan.precision == "fastest" else [plan.precision]
    return [Strategy(tasks, precision) for tasks in maps for precision in precisions]


def _time_step(
    strategy: Strategy, learner: Learner, meta_params: MetaParams, batches: list[Batch]
) -> float:
    leaves = {key: tensor.detach().clone() for key, tensor in meta_params.items()}
    moving = [tensor.requires_grad_() for tensor in trained(leaves).values()]
    start = time.perf_counter()
    for batch in batches:
        loss = strategy.meta_loss(learner, leaves, batch, None).loss
        torch.autograd.grad(loss, moving, allow_unused=True)
    if moving[0].device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start
