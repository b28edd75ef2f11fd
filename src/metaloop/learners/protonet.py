"""Prototypical networks: classify by the nearest class mean of the support set.

    logits[q, k] = -scale * |f(x_q) - c_k|^2,   c_k = mean of f(x) over the support of class k.

Differs from the paper: the scale is learned; and with `all_pairs`, each example of a training
episode is the one-shot support of its class in turn, with all the others as queries, so that one
forward pass serves many episodes (its effect: LOG.md).
Snell et al. 2017, arXiv:1703.05175, eq. 1-2; pairs instead of episodes: Laenen & Bertinetto 2021,
arXiv:2012.09831.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from metaloop.core.examples import Batch, EpisodeBatch, Examples
from metaloop.core.learner import MetaLoss, MetaParams
from metaloop.core.objective import CLASSIFICATION
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import TaskMap
from metaloop.nets.classifier import init_classifier, whole_class_loss
from metaloop.nets.embedding import NetLearner
from metaloop.nets.episodic import embed_episodes, episode_loss
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.prototypes import class_means, squared_distances

_LOG_SCALE = "head.log_scale"
_INITIAL_SCALE = 10.0  # times 1 / D where distances grow with the number of features D


@final
@dataclass(frozen=True)
class ProtoNet(NetLearner):
    """Nearest prototype under squared Euclidean distance; trained by episodes or whole classes."""

    net: FunctionalNet
    all_pairs: bool = True

    target_kinds: ClassVar[frozenset[str]] = frozenset({"classes"})
    citation: ClassVar[str] = """@inproceedings{snell2017prototypical,
  title = {Prototypical Networks for Few-shot Learning},
  author = {Snell, Jake and Swersky, Kevin and Zemel, Richard},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2017},
  eprint = {1703.05175},
}"""

    def init(self, spec: TaskSpec, rng: torch.Generator) -> MetaParams:
        """Returns the net, the logarithm of the scale, and a classifier if there are classes."""
        meta_params = self.net.init(rng)
        length = 1 if self.net.unit_length else self.net.num_features
        meta_params[_LOG_SCALE] = torch.tensor(math.log(_INITIAL_SCALE / length))
        if spec.num_training_classes:
            meta_params |= init_classifier(self.net.num_features, spec.num_training_classes, rng)
        return meta_params

    def fit_head(self, meta_params: MetaParams, features: Examples) -> MetaParams:
        """Returns the prototypes `[classes, D]` and which classes have any support."""
        means, present = class_means(features)
        return {"prototypes": means, "present": present}

    def score(self, meta_params: MetaParams, task_state: MetaParams, features: Tensor) -> Tensor:
        """Returns `-scale * squared distance`; a class without support is impossible."""
        distances = squared_distances(features, task_state["prototypes"])
        logits = -meta_params[_LOG_SCALE].exp() * distances
        return logits.masked_fill(~task_state["present"], -torch.inf)

    def meta_loss(
        self,
        meta_params: MetaParams,
        batch: Batch,
        rng: torch.Generator | None,
        over_tasks: TaskMap,
    ) -> MetaLoss:
        """Returns the episodic loss, or on labelled examples that of the whole-class classifier."""
        if isinstance(batch, Examples):
            return whole_class_loss(self.net, meta_params, batch)
        if self.all_pairs and not (batch.support.padded or batch.query.padded):
            return self._all_pairs_loss(meta_params, batch)
        return episode_loss(self, self.net, meta_params, batch, CLASSIFICATION)

    def _all_pairs_loss(self, meta_params: MetaParams, batch: EpisodeBatch) -> MetaLoss:
        """P classes of K examples hold K one-shot episodes, the j-th with every class's example j.

        All of them need the same distances: logits[p, i, c, j] of example i of class p, when
        example j of each class c is its prototype; pairs with i = j are left out.
        """
        support, query, buffers = embed_episodes(self.net, meta_params, batch)
        ways = support.num_classes
        sides = [
            side.features.view(batch.num_tasks, ways, -1, self.net.num_features)
            for side in (support, query)
        ]
        features_TPKD = torch.cat(sides, dim=2)
        tasks, _, number, _ = features_TPKD.shape
        flat = features_TPKD.flatten(1, 2)
        distances = squared_distances(flat, flat).view(tasks, ways, number, ways, number)
        logits = -meta_params[_LOG_SCALE].exp() * distances
        logits_NC = logits.movedim(3, 4).reshape(tasks, ways, -1, ways)  # [T, P, K * K, classes]
        targets = torch.arange(ways, device=flat.device).view(1, ways, 1)
        targets = targets.expand(logits_NC.shape[:3])
        others = ~torch.eye(number, dtype=torch.bool, device=flat.device).flatten()
        mask = others.expand(logits_NC.shape[:3])
        loss = CLASSIFICATION.loss(logits_NC, targets, mask)
        return MetaLoss(loss, CLASSIFICATION.shown(logits_NC.detach(), targets, mask), buffers)
