"""Nearest centroid: the plain baseline. Nothing is meta-learned.

    logits[q, k] = -|f(x_q) - c_k|^2 / D,   c_k = mean of f(x) over the support of class k,

with f the net as given, by default `raw`: the inputs themselves, standardised or in another view.
Also known as Rocchio's rule; as a few-shot baseline on pixels: Vinyals et al. 2016,
arXiv:1606.04080, table 1 (there with the nearest neighbour).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from metaloop.core.examples import Batch, Examples
from metaloop.core.learner import MetaLoss, MetaParams
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import TaskMap
from metaloop.nets.embedding import NetLearner
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.prototypes import class_means, squared_distances


@final
@dataclass(frozen=True)
class NearestCentroid(NetLearner):
    """Nearest class mean on the features of an untrained (or already trained) net."""

    net: FunctionalNet

    target_kinds: ClassVar[frozenset[str]] = frozenset({"classes"})
    citation: ClassVar[str] = """@inproceedings{vinyals2016matching,
  title = {Matching Networks for One Shot Learning},
  author = {Vinyals, Oriol and Blundell, Charles and Lillicrap, Timothy and Kavukcuoglu, Koray and
            Wierstra, Daan},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2016},
  eprint = {1606.04080},
}"""

    def init(self, spec: TaskSpec, rng: torch.Generator) -> MetaParams:
        """Returns the net's tensors: none for `raw`."""
        return self.net.init(rng)

    def fit_head(self, meta_params: MetaParams, features: Examples) -> MetaParams:
        """Returns the centroids `[classes, D]` and which classes have any support."""
        means, present = class_means(features)
        return {"centroids": means, "present": present}

    def score(self, meta_params: MetaParams, task_state: MetaParams, features: Tensor) -> Tensor:
        """Returns minus the mean squared difference; a class without support is impossible."""
        distances = squared_distances(features, task_state["centroids"])
        logits = -distances / features.shape[-1]
        return logits.masked_fill(~task_state["present"], -torch.inf)

    def meta_loss(
        self,
        meta_params: MetaParams,
        batch: Batch,
        rng: torch.Generator | None,
        over_tasks: TaskMap,
    ) -> MetaLoss:
        """Raises `TypeError`: there is nothing to train."""
        raise TypeError("nearest_centroid has nothing to train")
