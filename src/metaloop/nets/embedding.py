"""Learners whose embedding is a net: what all of them have in common."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from metaloop.core.examples import Batch, Inputs
from metaloop.core.learner import EmbeddingLearner, MetaLoss, MetaParams
from metaloop.core.task_map import TaskMap
from metaloop.nets.classifier import whole_class_loss
from metaloop.nets.functional import FunctionalNet


class NetLearner(EmbeddingLearner):
    """A head on the features of a net, by the net's running statistics."""

    net: FunctionalNet
    vmappable: ClassVar[bool] = True

    @property
    @final
    def norm_policy(self) -> str:
        """Running statistics, those of meta-training; none without batch norm."""
        return "running" if self.net.has_norms else "none"

    @final
    def embed(self, meta_params: MetaParams, inputs: Inputs) -> Tensor:
        """Returns the net's features `[N, D]`."""
        return self.net(meta_params, inputs)[0]


class WholeClassLearner(NetLearner):
    """A head on a net that is trained as a classifier over all training classes."""

    @final
    def meta_loss(
        self,
        meta_params: MetaParams,
        batch: Batch,
        rng: torch.Generator | None,
        over_tasks: TaskMap,
    ) -> MetaLoss:
        """Returns the loss of the whole-class classifier; raises `TypeError` on episodes."""
        return whole_class_loss(self.net, meta_params, batch)
