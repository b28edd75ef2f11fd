"""How a training step is computed: all ways give equal results, the fastest is measured.

Tasks run in a loop or under `vmap`, and the net embeds in float32 or bfloat16 (equal up to that
format's rounding). Which is faster depends on net and machine, so they take turns in the first
steps of training and are timed; the choice is kept in the checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from metaloop.core.examples import Batch, EpisodeBatch
from metaloop.core.learner import EmbeddingLearner, Learner, MetaLoss, MetaParams
from metaloop.core.records import Plan
from metaloop.core.task_map import loop_over_tasks, vmap_over_tasks
from metaloop.nets.functional import vmaps
from metaloop.nets.precision import embedding_in

_TASK_MAPS = {"loop": loop_over_tasks, "vmap": vmap_over_tasks}
_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_TURNS = 5  # of a strategy; the first warms up allocators and kernels
_FAR, _WARM_TURNS = 1.5, 2  # times the quickest, after so many turns: one may have been disturbed
_HOPELESS = 5.0  # times the quickest, after one turn


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


class Timing:
    """Finds the quickest of several strategies on training steps that are taken anyhow.

    They have turns, for other work on the machine comes and goes; the first turn of each is to get
    warm, and one that turns out far behind twice, or hopelessly once, has no more.
    """

    def __init__(self, strategies: Sequence[Strategy]) -> None:
        self._seconds: dict[Strategy, list[float]] = {strategy: [] for strategy in strategies}

    @property
    def next(self) -> Strategy:
        """Whose turn it is."""
        return min(self._left, key=lambda strategy: len(self._seconds[strategy]))

    def took(self, strategy: Strategy, seconds: float) -> None:
        """Notes what a step took."""
        self._seconds[strategy].append(seconds)

    @property
    def quickest(self) -> Strategy | None:
        """The quickest one; None before all that are left have had their turns."""
        left = self._left
        if len(left) > 1 and any(len(self._seconds[strategy]) < _TURNS for strategy in left):
            return None
        return min(left, key=self._best)

    @property
    def _left(self) -> list[Strategy]:
        best = min(map(self._best, self._seconds))
        return [strategy for strategy in self._seconds if not self._is_out(strategy, best)]

    def _best(self, strategy: Strategy) -> float:
        return min(self._seconds[strategy][1:], default=math.inf)

    def _is_out(self, strategy: Strategy, best: float) -> bool:
        seconds = self._seconds[strategy]
        least = _FAR if len(seconds) > _WARM_TURNS else _HOPELESS
        return len(seconds) > 1 and min(seconds) > least * best


def fixed_strategy(learner: Learner, meta_params: MetaParams) -> Strategy:
    """Returns the strategy that is taken without measuring, where one seed must give one result.

    A loop where convolutions have weights of their own per task, else `vmap`; float32.
    """
    if not vmaps(learner):
        return Strategy("loop")
    convolves = any(tensor.dim() == 4 for tensor in meta_params.values())
    return Strategy("loop" if convolves and not isinstance(learner, EmbeddingLearner) else "vmap")


def possible_strategies(learner: Learner, batches: Sequence[Batch], plan: Plan) -> list[Strategy]:
    """Returns the strategies that make a difference for these batches."""
    episodes = [batch for batch in batches if isinstance(batch, EpisodeBatch)]
    if isinstance(learner, EmbeddingLearner) or not episodes:  # these flatten tasks by themselves
        maps = ["vmap"]
    elif not vmaps(learner) or episodes[0].num_tasks == 1:
        maps = ["loop"]
    else:
        maps = ["loop", "vmap"]
    precisions = list(_PRECISIONS) if plan.precision == "fastest" else [plan.precision]
    return [Strategy(tasks, precision) for tasks in maps for precision in precisions]
