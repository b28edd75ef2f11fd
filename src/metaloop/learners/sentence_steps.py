"""Sentence steps: the scorer of sentences, moved to a new domain by a few gradient steps.

    w_k+1 = w_k - rate * dL(w_k) / dw,   L the objective's loss on the support,   k = 1 .. steps

w0 and a rate for every feature are learned over domains, with second derivatives: Meta-SGD on the
last layer alone. Li et al. 2017, arXiv:1707.09835; Raghu et al. 2020, arXiv:1909.09157.

Shapes: N documents, S sentences, D features of a sentence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from metaloop.core.examples import Batch, Examples
from metaloop.core.extraction import EXTRACTION
from metaloop.core.learner import MetaLoss, MetaParams
from metaloop.core.metric import Objective
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import TaskMap
from metaloop.nets.embedding import NetLearner
from metaloop.nets.episodic import episode_loss
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.sentences import sentences_in, width_of, without_repeats

_PRIOR, _RATE, _REPEAT = "head.prior", "head.log_rate", "head.log_repeat"


@final
@dataclass(frozen=True)
class SentenceSteps(NetLearner):
    """A linear score of sentences that adapts by `inner_steps` steps of learned rates."""

    net: FunctionalNet
    objective: Objective = EXTRACTION
    inner_steps: int = 3

    target_kinds: ClassVar[frozenset[str]] = frozenset({"real"})
    citation: ClassVar[str] = """@article{li2017meta,
  title = {Meta-SGD: Learning to Learn Quickly for Few-Shot Learning},
  author = {Li, Zhenguo and Zhou, Fengwei and Chen, Fei and Li, Hang},
  year = {2017},
  eprint = {1707.09835},
}"""

    def init(self, spec: TaskSpec, rng: torch.Generator) -> MetaParams:
        """Returns the net, a score of nothing, and small rates."""
        width = width_of(self.net.num_features)
        return self.net.init(rng) | {
            _PRIOR: torch.zeros(width),
            _RATE: torch.full((width,), math.log(0.03)),
            _REPEAT: torch.tensor(math.log(0.3)),
        }

    def fit_head(self, meta_params: MetaParams, features: Examples) -> MetaParams:
        """Returns the weights `[D]` of a domain."""
        seen = sentences_in(features.features)

        def loss(weights: Tensor) -> Tensor:
            scores = seen.features @ weights
            value: Tensor = self.objective.loss(scores, features.targets, features.mask)
            return value

        weights, rate = meta_params[_PRIOR], meta_params[_RATE].exp()
        for _ in range(self.inner_steps):
            weights = weights - rate * torch.func.grad(loss)(weights)
        return {"weights": weights}

    def score(self, meta_params: MetaParams, task_state: MetaParams, features: Tensor) -> Tensor:
        """Returns a score of every sentence `[N, S]`."""
        seen = sentences_in(features)
        scores = seen.features @ task_state["weights"]
        return without_repeats(scores, seen, meta_params[_REPEAT].exp())

    def meta_loss(
        self,
        meta_params: MetaParams,
        batch: Batch,
        rng: torch.Generator | None,
        over_tasks: TaskMap,
    ) -> MetaLoss:
        """Returns the episodic loss; raises `TypeError` on labelled examples."""
        if isinstance(batch, Examples):
            raise TypeError("sentence steps are trained on episodes")
        return episode_loss(self, self.net, meta_params, batch, self.objective)
