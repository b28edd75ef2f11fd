"""`Team`: the processes that `torchrun` has started, which train one learner together.

Every process draws the same tasks and has the same parameters. Of each step it computes a share of
the tasks; gradients are added up before anybody descends. The first process alone tells and writes.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, distributed

from metaloop.core.errors import MetaloopError
from metaloop.core.examples import Batch, EpisodeBatch, Examples, map_inputs
from metaloop.core.learner import MetaParams, trained

_PATIENCE = datetime.timedelta(hours=2)  # the first process evaluates meanwhile
_OF_TASKS = ("rating", "ranking")  # losses that are means over tasks, not over queries


class LostProcessError(MetaloopError):
    """Another process of the team is gone; what was reached is in the checkpoint."""


@dataclass(frozen=True)
class Team:
    """Which process this is, 0 to `size` - 1."""

    rank: int
    size: int

    @property
    def leads(self) -> bool:
        """Whether this process tells, evaluates and writes."""
        return self.rank == 0

    def share(self, batch: Batch, objective: str = "classification") -> tuple[Batch, float, bool]:
        """Returns this process's part of a batch, its weight, and whether others have other parts.

        The weighted losses of all processes add up to the loss of the whole batch, for it is a mean
        over tasks or over queries. A batch of fewer tasks than there are processes is not parted:
        all of them compute it.
        """
        number = batch.num_tasks if isinstance(batch, EpisodeBatch) else len(batch.targets)
        if number < self.size:
            return batch, 1 / self.size, False
        rows = slice(number * self.rank // self.size, number * (self.rank + 1) // self.size)
        if isinstance(batch, Examples):
            return _sliced(batch, rows), (rows.stop - rows.start) / number, True
        mine = EpisodeBatch(_sliced(batch.support, rows), _sliced(batch.query, rows))
        if objective in _OF_TASKS or not batch.query.padded:
            return mine, (rows.stop - rows.start) / number, True
        return mine, float(mine.query.mask.sum() / batch.query.mask.sum().clamp(min=1)), True

    def total(self, tensor: Tensor) -> Tensor:
        """Returns the sum over all processes; gradients flow to each of them."""
        return cast(Tensor, _Total.apply(tensor))  # type: ignore[no-untyped-call]

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Puts into each tensor the sum over all processes, in one go for each type of numbers."""
        for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
            some = [tensor for tensor in tensors if tensor.dtype == dtype]
            flat = torch.cat([tensor.reshape(-1) for tensor in some])
            _reduced(flat, distributed.ReduceOp.SUM)
            for tensor, sums in zip(
                some, torch.split(flat, [t.numel() for t in some]), strict=True
            ):
                tensor.copy_(sums.view_as(tensor))

    def put_together(self, leaves: MetaParams, buffers: MetaParams, loss: Tensor) -> None:
        """Puts what all processes have found of a step into the gradients and buffers of `leaves`.

        `buffers` and `loss` are weighted by each one's share, and `loss` becomes the sum.
        """
        known = [tensor.grad for tensor in trained(leaves).values() if tensor.grad is not None]
        floats = {name: each for name, each in buffers.items() if each.is_floating_point()}
        self.add_up([*known, *floats.values(), loss])
        leaves.update(floats)

    def agreed(self, spent: float, stop: bool, device: torch.device) -> tuple[float, bool]:
        """Returns what the first process has spent, and whether anyone was asked to stop."""
        said = torch.tensor([spent if self.leads else -1.0, float(stop)], device=device)
        _reduced(said, distributed.ReduceOp.MAX)
        return float(said[0]), bool(said[1])


def joined_team() -> Team | None:
    """Returns the team of this process, which has joined it; None where `torchrun` started none."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size < 2 or "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    if not distributed.is_initialized():
        on_gpus = torch.cuda.is_available()
        if on_gpus:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        distributed.init_process_group("nccl" if on_gpus else "gloo", timeout=_PATIENCE)
    return Team(distributed.get_rank(), distributed.get_world_size())


def leave_team() -> None:
    """Ends what `joined_team` began; others may go on or not."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


class _Total(torch.autograd.Function):
    """The sum over processes. Each one's loss hangs on it, so that their gradients are added."""

    @staticmethod
    def forward(context: Any, tensor: Tensor) -> Tensor:
        return _reduced(tensor.clone(), distributed.ReduceOp.SUM)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return _reduced(gradient.clone(), distributed.ReduceOp.SUM)


def _reduced(tensor: Tensor, how: Any) -> Tensor:
    try:
        distributed.all_reduce(tensor, how)
    except RuntimeError as error:  # what all backends raise where a connection is gone
        raise LostProcessError("a process of the training was lost") from error
    return tensor


def _sliced(examples: Examples, rows: slice) -> Examples:
    return replace(
        examples,
        inputs=map_inputs(lambda each: each[rows], examples.inputs),
        targets=examples.targets[rows],
        mask=examples.mask[rows],
    )
