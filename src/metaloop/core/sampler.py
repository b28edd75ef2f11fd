"""The contract of a generative learner: how likely an example is, and new examples.

What `adapt` has learned from a few examples of a class is a distribution over examples of that
class. `predict` tells its logarithm, per dimension, so that such learners are trained, raced,
judged and evaluated as all others are.

Shapes: N examples, D numbers in one.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar, Protocol, final, runtime_checkable

import torch
from torch import Tensor

from metaloop.core.examples import Inputs
from metaloop.core.inputs import InputFormat
from metaloop.core.learner import Learner, MetaParams, TaskState


@runtime_checkable
class Sampler(Protocol):
    """What a generative model offers: to a user, to a metric, to a generator of data."""

    exact: ClassVar[bool]
    """Whether `log_prob` is the logarithm itself, or a lower bound of it."""

    @property
    def usual_temperature(self) -> float:
        """The temperature at which examples are drawn where none is asked for."""

    def log_prob(self, meta_params: MetaParams, task_state: TaskState, inputs: Tensor) -> Tensor:
        """Returns `[N]` nats: the log probability of each example, 0 to 1 in all its numbers."""

    def sample(
        self,
        meta_params: MetaParams,
        task_state: TaskState,
        count: int,
        rng: torch.Generator,
        temperature: float = 1.0,
    ) -> Tensor:
        """Returns `[count, *input]` new examples, 0 to 1 in all their numbers.

        Below a temperature of 1 they are more likely ones, and differ less from each other.
        """

    def told_by_support(
        self, meta_params: MetaParams, task_state: TaskState, inputs: Tensor
    ) -> Tensor:
        """Returns `[N]` nats: how much more likely examples are for the support than without it.

        Of a learner that does not know what it would say without one, how likely they are.
        """


@runtime_checkable
class SideBySide(Sampler, Protocol):
    """A sampler that draws examples of several tasks at once, which is quicker than in turn."""

    def sample_each(
        self,
        meta_params: MetaParams,
        supports: Tensor,
        count: int,
        rng: torch.Generator,
        temperature: float = 1.0,
    ) -> Tensor:
        """Returns `[T, count, *input]` new examples of each support `[T, S, *input]`."""


@runtime_checkable
class PixelByPixel(Sampler, Protocol):
    """A sampler that draws one pixel of an image after the other."""

    def draw_pixel(
        self,
        meta_params: MetaParams,
        task_state: TaskState,
        images: Tensor,
        place: Tensor,
        rng: torch.Generator,
    ) -> Tensor:
        """Returns images `[N, *input]` with one more pixel, as `sample` draws it.

        `place` `[1]` is which, counted row by row; all before it are there.
        """


class GenerativeLearner(Learner):
    """A learner of distributions over inputs of one format, whose values have few levels."""

    target_kinds: ClassVar[frozenset[str]] = frozenset({"inputs"})
    vmappable: ClassVar[bool] = False
    exact: ClassVar[bool] = True

    @property
    def usual_temperature(self) -> float:
        """The temperature at which examples are drawn where none is asked for: as they are."""
        return 1.0

    @property
    @abstractmethod
    def seen_format(self) -> InputFormat:
        """The format of inputs, with the number of their levels."""

    @abstractmethod
    def log_prob(self, meta_params: MetaParams, task_state: TaskState, inputs: Tensor) -> Tensor:
        """Returns `[N]` nats: the log probability of each example."""

    @abstractmethod
    def sample(
        self,
        meta_params: MetaParams,
        task_state: TaskState,
        count: int,
        rng: torch.Generator,
        temperature: float = 1.0,
    ) -> Tensor:
        """Returns `[count, *input]` new examples."""

    def told_by_support(
        self, meta_params: MetaParams, task_state: TaskState, inputs: Tensor
    ) -> Tensor:
        """Returns `[N]` nats; here the log probability, for nothing is known without a support."""
        return self.log_prob(meta_params, task_state, inputs)

    @final
    def predict(self, meta_params: MetaParams, task_state: TaskState, inputs: Inputs) -> Tensor:
        """Returns `[N, 1]`: log probabilities in nats per dimension."""
        if not isinstance(inputs, Tensor):
            raise TypeError("a generative learner takes a tensor of inputs, got a dictionary")
        return per_dimension(self.log_prob(meta_params, task_state, inputs), inputs)

    @property
    @final
    def norm_policy(self) -> str:
        """None: no batch norm."""
        return "none"

    @property
    @final
    def uses_query_batch(self) -> bool:
        """Never: an example's probability is its own."""
        return False


def per_dimension(log_prob: Tensor, inputs: Tensor) -> Tensor:
    """Returns `[..., 1]`: log probabilities `[...]` of inputs `[..., *input]` by dimension."""
    return (log_prob / math.prod(inputs.shape[log_prob.dim() :])).unsqueeze(-1)
