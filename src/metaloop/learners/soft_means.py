"""Soft k-means: class means that queries move, too. Transductive: for queries that come together.

    p[q, k] = softmax_k(-scale * |g(x_q) - c_k|^2)
    c_k     = (sum of g over the support of k + sum_q p[q, k] g(x_q)) / (n_k + sum_q p[q, k])

with g the centred, normalised features of SimpleShot, repeated `steps` times from the means of the
support, n_k examples each. Nothing is supposed of how many queries a class has: rules that spread
them evenly gain where tests are made so, and lose elsewhere (Veilleux et al. 2021,
arXiv:2204.11181).
Differs from the paper: features of a whole-class net, several steps, no class of distractors.
Ren et al. 2018, arXiv:1803.00676.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from metaloop.core.examples import Examples
from metaloop.core.learner import CENTER, MetaParams
from metaloop.nets.embedding import CentredMeans
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.prototypes import centred_and_normalised, squared_distances

BY_QUERIES = "query means"  # what protocols call it


@final
@dataclass(frozen=True)
class SoftMeans(CentredMeans):
    """Nearest centroid after `steps` of soft k-means on support and queries."""

    net: FunctionalNet
    scale: float = 10.0
    steps: int = 5

    target_kinds: ClassVar[frozenset[str]] = frozenset({"classes"})
    citation: ClassVar[str] = """@inproceedings{ren2018meta,
  title = {Meta-Learning for Semi-Supervised Few-Shot Classification},
  author = {Ren, Mengye and Triantafillou, Eleni and Ravi, Sachin and Snell, Jake and
            Swersky, Kevin and Tenenbaum, Joshua B. and Larochelle, Hugo and Zemel, Richard S.},
  booktitle = {International Conference on Learning Representations},
  year = {2018},
  eprint = {1803.00676},
}"""

    @property
    def norm_policy(self) -> str:
        """Always `query means`: protocols say so that figures are transductive."""
        return BY_QUERIES

    @property
    def uses_query_batch(self) -> bool:
        """Always: what a query is taken for depends on those beside it."""
        return True

    def fit_head(self, meta_params: MetaParams, features: Examples) -> MetaParams:
        """Returns the centroids `[classes, D]`, the examples of each, and which have any."""
        counts = features.one_hot().sum(0)
        return {**super().fit_head(meta_params, features), "counts": counts}

    def score(self, meta_params: MetaParams, task_state: MetaParams, features: Tensor) -> Tensor:
        """Returns `-scale * squared distance` from the moved means, `[N, classes]`."""
        directions = centred_and_normalised(features, meta_params[CENTER])
        known = task_state["centroids"] * task_state["counts"].unsqueeze(-1)
        logits = self._logits(directions, task_state["centroids"], task_state["present"])
        for _ in range(self.steps):
            shares = torch.softmax(logits, -1)
            sizes = (task_state["counts"] + shares.sum(0)).clamp(min=1)
            means = (known + shares.mT @ directions) / sizes.unsqueeze(-1)
            logits = self._logits(directions, means, task_state["present"])
        return logits

    def _logits(self, directions: Tensor, means: Tensor, present: Tensor) -> Tensor:
        return (-self.scale * squared_distances(directions, means)).masked_fill(
            ~present, -torch.inf
        )
