"""Nearest class median on a learned embedding: a learner to be added by a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from metaloop.core.examples import Batch, EpisodeBatch, Examples
from metaloop.core.learner import MetaLoss, MetaParams
from metaloop.core.objective import CLASSIFICATION
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import TaskMap
from metaloop.nets.embedding import NetLearner
from metaloop.nets.episodic import episode_loss
from metaloop.nets.functional import FunctionalNet


@final
@dataclass(frozen=True)
class Medians(NetLearner):
    """`logits[q, k] = -|f(x_q) - m_k|`, m_k the median of f over the support of class k."""

    net: FunctionalNet

    target_kinds: ClassVar[frozenset[str]] = frozenset({"classes"})
    citation: ClassVar[str] = "@misc{nobody, title = {Medians}}"

    def init(self, spec: TaskSpec, rng: torch.Generator) -> MetaParams:
        return self.net.init(rng)

    def fit_head(self, meta_params: MetaParams, features: Examples) -> MetaParams:
        members = (features.one_hot() > 0) & features.mask[:, None]  # [N, classes]
        shown = features.features[:, None].masked_fill(~members[..., None], torch.nan)
        return {"medians": shown.nanmedian(0).values.nan_to_num()}

    def score(self, meta_params: MetaParams, task_state: MetaParams, features: Tensor) -> Tensor:
        return -(features[:, None] - task_state["medians"]).abs().sum(-1)

    def meta_loss(
        self,
        meta_params: MetaParams,
        batch: Batch,
        rng: torch.Generator | None,
        over_tasks: TaskMap,
    ) -> MetaLoss:
        if not isinstance(batch, EpisodeBatch):
            raise TypeError("medians are learned from episodes")
        return episode_loss(self, self.net, meta_params, batch, CLASSIFICATION)
