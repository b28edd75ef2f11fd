"""Nearest centroid: the plain baseline. Nothing is meta-learned.

    logits[q, k] = -sharpness * |f(x_q) - c_k|^2 / D,   c_k = mean of f(x), support of class k,

with f the net as given, by default `raw`: the inputs themselves, standardised or in another view.
Of inputs that are brought to one length, sharpness is 10 n / (n + 1), n the examples of a class: a
mean of n examples is off by 1/n of what an example is. That decides nothing, and says how sure
answers are: with features of words, texts and photographs, log loss is within a tenth of the least
that any factor would have (LOG.md). Elsewhere it is 1.
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

_SHARPNESS = 10.0  # of squared distances between directions, where means are certain


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
        """Returns the centroids `[classes, D]`, which classes have any support, `sharpness [1]`."""
        means, present = class_means(features)
        sharpness = torch.ones_like(means[:1, 0])
        if self.net.directions:
            number = features.one_hot().sum() / present.sum().clamp(min=1)
            sharpness = sharpness * _SHARPNESS * number / (number + 1)
        return {"centroids": means, "present": present, "sharpness": sharpness}

    def score(self, meta_params: MetaParams, task_state: MetaParams, features: Tensor) -> Tensor:
        """Returns minus the mean squared difference; a class without support is impossible."""
        distances = squared_distances(features, task_state["centroids"])
        sharpness = task_state.get("sharpness", 1.0)  # older adapted files have none
        logits = -sharpness * distances / features.shape[-1]
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
