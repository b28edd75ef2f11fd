"""Learners that are a generative net: how likely examples are given a support, and new ones.

A generative net is a module with three methods, over stacked tasks:

    encode(support [T, S, *input]) -> dictionary of tensors
    log_prob(known, inputs [T, Q, *input]) -> [T, Q] nats
    draw(known, count, rng, temperature) -> [count, *input], of one task

and, where what is descended is not minus `log_prob`, `loss(known, inputs) -> [T, Q]`.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, cast, final

import torch
from torch import Tensor

from metaloop.core.examples import Batch, EpisodeBatch, Examples
from metaloop.core.generation import GENERATION
from metaloop.core.inputs import InputFormat
from metaloop.core.learner import MetaLoss, MetaParams
from metaloop.core.sampler import GenerativeLearner, per_dimension
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import TaskMap
from metaloop.nets.functional import FunctionalNet


class GenerativeNetLearner(GenerativeLearner):
    """A learner that is a generative net, trained on episodes with supports of any size.

    `looks`: whether it is shown the support at all. `unshown`: in which share of the steps of
    training there is none, so that it also knows what images of any class are like.
    """

    net: FunctionalNet
    looks: bool = True
    unshown: ClassVar[float] = 0.0

    @property
    @final
    def seen_format(self) -> InputFormat:
        """The format of the net's inputs."""
        return self.net.input_format

    @final
    def init(self, spec: TaskSpec, rng: torch.Generator) -> MetaParams:
        """Returns the net's tensors."""
        return self.net.init(rng)

    @final
    def adapt(
        self, meta_params: MetaParams, support: Examples, rng: torch.Generator | None = None
    ) -> MetaParams:
        """Returns what the net knows of the support: tensors with a first axis of one task."""
        return self.known_of(meta_params, support.present.unsqueeze(0))

    @final
    def log_prob(self, meta_params: MetaParams, task_state: MetaParams, inputs: Tensor) -> Tensor:
        """Returns `[N]` nats."""
        images = self.seen_format.quantise(inputs).unsqueeze(0)
        return cast(Tensor, self.net.call(meta_params, "log_prob", task_state, images))[0]

    @final
    @torch.no_grad()
    def told_by_support(
        self, meta_params: MetaParams, task_state: MetaParams, inputs: Tensor
    ) -> Tensor:
        """Returns `[N]` nats: log p(x | S) - log p(x), the latter where training has shown none."""
        told = self.log_prob(meta_params, task_state, inputs)
        if not (self.looks and self.unshown):
            return told
        nothing = self.known_of(meta_params, inputs[:0].unsqueeze(0))
        return told - self.log_prob(meta_params, nothing, inputs)

    @final
    @torch.no_grad()
    def sample(
        self,
        meta_params: MetaParams,
        task_state: MetaParams,
        count: int,
        rng: torch.Generator,
        temperature: float = 1.0,
    ) -> Tensor:
        """Returns `[count, *input]` new examples."""
        return cast(Tensor, self.net.call(meta_params, "draw", task_state, count, rng, temperature))

    @final
    def meta_loss(
        self,
        meta_params: MetaParams,
        batch: Batch,
        rng: torch.Generator | None,
        over_tasks: TaskMap,
    ) -> MetaLoss:
        """Returns the mean over queries, in nats per dimension; `TypeError` on labelled examples.

        Supports are cut to a number drawn for the step: small ones are drawn more often.
        """
        if not isinstance(batch, EpisodeBatch):
            raise TypeError(f"{type(self).__name__} is trained on episodes, got labelled examples")
        support = batch.support.features
        if rng is not None and self.looks:
            support = support[:, : _fewer(support.shape[1], rng, self.unshown)]
        known = self.known_of(meta_params, support)
        images = self.seen_format.quantise(batch.query.features)
        costs = cast(Tensor, self.net.call(meta_params, "loss", known, images))
        outputs = per_dimension(-costs, images)
        loss = GENERATION.loss(outputs, batch.query.targets, batch.query.mask)
        shown = GENERATION.shown(outputs.detach(), batch.query.targets, batch.query.mask)
        return MetaLoss(loss, shown)

    @final
    def known_of(self, meta_params: MetaParams, support: Tensor) -> MetaParams:
        """Returns what is known of supports `[T, S, *input]`."""
        support = support if self.looks else support[:, :0]
        images = self.seen_format.quantise(support)
        return cast(dict[str, Any], self.net.call(meta_params, "encode", images))


class PixelNetLearner(GenerativeNetLearner):
    """A generative net that draws one pixel after the other, and single ones when asked."""

    @final
    @torch.no_grad()
    def draw_pixel(
        self,
        meta_params: MetaParams,
        task_state: MetaParams,
        images: Tensor,
        place: Tensor,
        rng: torch.Generator,
    ) -> Tensor:
        """Returns images `[N, *input]` with the pixel at `place` `[1]`, those before it given."""
        found = self.net.call(meta_params, "draw_pixel", task_state, images, place, rng)
        return cast(Tensor, found)


def _fewer(most: int, rng: torch.Generator, none: float) -> int:
    """A number from 1 to `most`, its logarithm uniform; 0 in a share `none` of all cases."""
    drawn = float(torch.rand((), generator=rng, device=rng.device))
    if drawn < none:
        return 0
    share = (drawn - none) / (1 - none)
    return min(most, int(math.exp(share * math.log(most + 1))))
