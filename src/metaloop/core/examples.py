"""What a learner sees: labelled examples, alone (`Examples`) or as a stack of episodes.

Shapes: T tasks, N examples of one task (support or query), padded where tasks are uneven.
Queries travel in `EpisodeBatch.query`; a learner's `adapt` is given the support alone and its
`predict` the query inputs alone, so query labels are out of reach while it adapts or predicts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

Inputs = Tensor | dict[str, Tensor]


@dataclass(frozen=True)
class Examples:
    """Labelled examples, of one task `[N, ...]` or of stacked tasks `[T, N, ...]`.

    `inputs`: a tensor `[(T,) N, *input]` or a dictionary of them (elements with masks).
    `targets`: int64 class indices `[(T,) N]`, or real values `[(T,) N, *target]`.
    `mask`: bool `[(T,) N]`, False where an example is padding.
    `num_classes`: how many classes the indices run over; 0 where targets are not classes.
    `padded`: whether any example may be padding; False lets code skip the mask.
    `smoothing`: how far from certain a classifier is to be of these labels, 0 to below 1.
    """

    inputs: Inputs
    targets: Tensor
    mask: Tensor
    num_classes: int = 0
    padded: bool = False
    smoothing: float = 0.0

    @property
    def features(self) -> Tensor:
        """The inputs where they are one tensor; raises `TypeError` where they are a dictionary."""
        if not isinstance(self.inputs, Tensor):
            raise TypeError(f"expected one tensor, got a dictionary of {sorted(self.inputs)}")
        return self.inputs

    @property
    def present(self) -> Tensor:
        """The features `[N, *input]` of the examples of one task that are no padding."""
        return self.features[self.mask] if self.padded else self.features

    def with_inputs(self, inputs: Inputs) -> Examples:
        """Returns the same labels on other inputs (features, augmented copies)."""
        return replace(self, inputs=inputs)

    def one_hot(self) -> Tensor:
        """Returns `[(T,) N, num_classes]` floats; rows of padding are all zero."""
        one_hot = torch.nn.functional.one_hot(self.targets, self.num_classes)
        return one_hot.to(torch.float32) * self.mask.unsqueeze(-1)


@dataclass(frozen=True)
class EpisodeBatch:
    """Stacked episodes: what each of T tasks may learn from, and what it is judged on."""

    support: Examples
    query: Examples

    @property
    def num_tasks(self) -> int:
        """T, the number of stacked tasks."""
        return len(self.support.targets)


Batch = EpisodeBatch | Examples


def map_inputs(function: Callable[[Tensor], Tensor], inputs: Inputs) -> Inputs:
    """Returns `function` applied to the tensor, or to every tensor of the dictionary."""
    if isinstance(inputs, dict):
        return {name: function(tensor) for name, tensor in inputs.items()}
    return function(inputs)
