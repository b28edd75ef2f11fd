"""Random numbers that are given: what a learner draws, drawn by whoever runs its graphs.

While a `Given` is in force, functions of torch that draw take their numbers from two tensors, a row
for each example and from left to right: normal `[N, a]` and uniform `[N, b]`, from 0 to below 1. So
a learner's own code is what is recorded, and what a graph is compared with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

NORMAL, UNIFORM = "normal", "uniform"
Noise = Mapping[str, Tensor]
Widths = Mapping[str, int]


class Given(TorchFunctionMode):
    """While inside, random numbers of examples are the columns of `noise`; `used` counts them.

    Every draw is of a number of values for each of the examples, in their order.
    """

    def __init__(self, noise: Noise) -> None:
        super().__init__()
        self._noise = noise
        self.used = dict.fromkeys((NORMAL, UNIFORM), 0)

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Calls the function, or returns numbers that are given in its place."""
        if func is torch.rand:
            return self._next(UNIFORM, args[0] if isinstance(args[0], Sequence) else args)
        if func is Tensor.normal_:
            return self._next(NORMAL, args[0].shape)
        if func is torch.randint:
            limit, shape = args
            return (self._next(UNIFORM, shape) * limit).to(torch.int64).clamp(max=limit - 1)
        if func is torch.multinomial:
            weights, count = args
            bounds = weights.cumsum(0)[:-1] / weights.sum()
            return (self._next(UNIFORM, (count, 1)) >= bounds).sum(1)
        return func(*args, **(kwargs or {}))

    def _next(self, kind: str, shape: Sequence[Any]) -> Tensor:
        rows, begin = self._noise[kind], self.used[kind]
        self.used[kind] += int(math.prod(shape) // rows.shape[0])
        return rows[:, begin : self.used[kind]].reshape(tuple(shape))


def widths_of(draws: Callable[[], Any]) -> Widths:
    """Returns how many numbers of each kind a function draws for a single example."""
    endless = torch.full((1, 1), 0.5).expand(1, 1 << 40)  # one number in memory
    given = Given({NORMAL: endless, UNIFORM: endless})
    with given:
        draws()
    return given.used


def drawn_noise(widths: Widths, number: int, rng: torch.Generator) -> dict[str, Tensor]:
    """Returns numbers for `number` examples, of the kinds of which any are wanted."""
    drawn = {NORMAL: torch.randn, UNIFORM: torch.rand}
    return {
        kind: drawn[kind](number, width, generator=rng) for kind, width in widths.items() if width
    }
