"""Batch norm whose statistics are values, not side effects.

`torch.nn.BatchNorm2d` updates its running statistics in place, which neither `vmap` nor a pure
function allows. Here a forward pass *assigns* new buffers instead, and `torch.func.functional_call`
hands them back to its caller. Four ways to normalise, chosen by whoever calls the net:

- `running`: by the buffers (inference; every input is treated alone);
- `batch`: by the batch, buffers become the blended running statistics (ordinary training);
- `adapted`: by buffers that a task's adaptation computed (differentiable and `vmap`-able);
- `task`: by the batch, buffers become that batch's own statistics, differentiable and `vmap`-able
  (per-task adaptation: the query is then normalised by its support's statistics).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Statistics = Literal["running", "batch", "task", "adapted"]
Total = Callable[[Tensor], Tensor]

_total: ContextVar[Total | None] = ContextVar("total", default=None)


@contextmanager
def batch_parted(total: Total | None) -> Iterator[None]:
    """Inside, the `batch` is what several processes have; `total` adds up what each has of it."""
    token = _total.set(total)
    try:
        yield
    finally:
        _total.reset(token)


class BatchNorm(nn.Module):
    """Batch norm over dimension 1 of `[N, channels, ...]` with explicit statistics."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_channels: int, epsilon: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.momentum = momentum
        self.statistics: Statistics = "batch"
        self.mask: Tensor | None = None  # bool [N]: rows that count in `task` statistics
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))
        self.register_buffer("running_mean", torch.zeros(num_channels))
        self.register_buffer("running_var", torch.ones(num_channels))

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns the normalised inputs; assigns buffers unless statistics are `running`."""
        statistics = self.statistics if self.training else "running"
        if statistics == "task":
            return self._by_task(inputs)
        if statistics == "adapted":
            return self._rescaled(inputs, self.running_mean, self.running_var)
        if statistics == "running":
            return self._native(inputs, self.running_mean, self.running_var, training=False)
        total = _total.get()
        if total is not None:
            return self._by_parts(inputs, total)
        mean, variance = self.running_mean.clone(), self.running_var.clone()
        outputs = self._native(inputs, mean, variance, training=True)
        self.running_mean, self.running_var = mean, variance
        return outputs

    def _native(self, inputs: Tensor, mean: Tensor, variance: Tensor, training: bool) -> Tensor:
        return functional.batch_norm(
            inputs, mean, variance, self.weight, self.bias, training, self.momentum, self.epsilon
        )

    def _by_parts(self, inputs: Tensor, total: Total) -> Tensor:
        """By the statistics of all parts of the batch; as `batch` on the whole of it."""
        others = [dimension for dimension in range(inputs.dim()) if dimension != 1]
        shape = (1, -1, *(1,) * (inputs.dim() - 2))
        number = total(inputs.new_tensor(float(inputs.numel() // inputs.shape[1])))
        mean = total(inputs.sum(others)) / number
        variance = total(((inputs - mean.view(shape)) ** 2).sum(others)) / number
        unbiased = variance.detach() * number / (number - 1).clamp(min=1)
        self.running_mean = self.running_mean.lerp(mean.detach(), self.momentum)
        self.running_var = self.running_var.lerp(unbiased, self.momentum)
        return self._rescaled(inputs, mean, variance)

    def _by_task(self, inputs: Tensor) -> Tensor:
        others = [dimension for dimension in range(inputs.dim()) if dimension != 1]
        shape = (1, -1, *(1,) * (inputs.dim() - 2))
        if self.mask is None:
            variance, mean = torch.var_mean(inputs, others, correction=0)
        else:
            rows = self.mask.to(inputs.dtype)
            weights = (rows / rows.sum()).view(-1, *(1,) * (inputs.dim() - 1))
            weights = weights / math.prod(inputs.shape[2:])
            mean = (inputs * weights).sum(others)
            variance = ((inputs - mean.view(shape)) ** 2 * weights).sum(others)
        self.running_mean, self.running_var = mean, variance
        return self._rescaled(inputs, mean, variance)

    def _rescaled(self, inputs: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        shape = (1, -1, *(1,) * (inputs.dim() - 2))
        scale = self.weight * torch.rsqrt(variance + self.epsilon)
        return inputs * scale.view(shape) + (self.bias - mean * scale).view(shape)


def with_explicit_norms(module: nn.Module) -> nn.Module:
    """Returns the module with torch's batch norms replaced (in place) by `BatchNorm`.

    Refuses, with `ValueError`, batch norms without running statistics or without affine weights.
    """
    for name, child in module.named_children():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            setattr(module, name, _converted(child))
        else:
            with_explicit_norms(child)
    return module


def _converted(theirs: nn.modules.batchnorm._BatchNorm) -> BatchNorm:
    if not theirs.affine or theirs.running_mean is None or theirs.running_var is None:
        raise ValueError("batch norm must have affine weights and running statistics")
    momentum = 0.1 if theirs.momentum is None else theirs.momentum
    ours = BatchNorm(theirs.num_features, theirs.eps, momentum)
    with torch.no_grad():
        ours.weight.copy_(theirs.weight)
        ours.bias.copy_(theirs.bias)
        ours.running_mean.copy_(theirs.running_mean)
        ours.running_var.copy_(theirs.running_var)
    return ours
