"""SimpleShot: nearest centroid on features that are centred and L2-normalised.

    g(x) = (f(x) - m) / |f(x) - m|,   logits[q, k] = -scale * |g(x_q) - c_k|^2,

with m the mean feature of the training classes and c_k the mean of g over the support of class k.
f is the net of a whole-class classifier. Differs from the paper: that classifier has a cosine head.
Wang et al. 2019, arXiv:1911.04623 (the variant CL2N).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from metaloop.core.examples import Examples
from metaloop.core.learner import CENTER, MetaParams
from metaloop.core.spec import TaskSpec
from metaloop.nets.classifier import init_classifier
from metaloop.nets.embedding import WholeClassLearner
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.prototypes import centred_and_normalised, class_means, squared_distances


@final
@dataclass(frozen=True)
class SimpleShot(WholeClassLearner):
    """Nearest centroid after centring and normalising; `scale` only sharpens probabilities."""

    net: FunctionalNet
    scale: float = 10.0

    target_kinds: ClassVar[frozenset[str]] = frozenset({"classes"})
    citation: ClassVar[str] = """@article{wang2019simpleshot,
  title = {SimpleShot: Revisiting Nearest-Neighbor Classification for Few-Shot Learning},
  author = {Wang, Yan and Chao, Wei-Lun and Weinberger, Kilian Q. and van der Maaten, Laurens},
  journal = {arXiv:1911.04623},
  year = {2019},
}"""

    def init(self, spec: TaskSpec, rng: torch.Generator) -> MetaParams:
        """Returns the net, the whole-class classifier and a centre of zero."""
        meta_params = self.net.init(rng)
        meta_params |= init_classifier(self.net.num_features, spec.num_training_classes, rng)
        meta_params[CENTER] = torch.zeros(self.net.num_features)
        return meta_params

    def finish(self, meta_params: MetaParams, mean_feature: Tensor) -> MetaParams:
        """Returns the meta-parameters with the mean training feature as the centre."""
        return {**meta_params, CENTER: mean_feature}

    def fit_head(self, meta_params: MetaParams, features: Examples) -> MetaParams:
        """Returns the centroids `[classes, D]` and which classes have any support."""
        directions = centred_and_normalised(features.features, meta_params[CENTER])
        means, present = class_means(features.with_inputs(directions))
        return {"centroids": means, "present": present}

    def score(self, meta_params: MetaParams, task_state: MetaParams, features: Tensor) -> Tensor:
        """Returns `-scale * squared distance`; a class without support is impossible."""
        directions = centred_and_normalised(features, meta_params[CENTER])
        logits = -self.scale * squared_distances(directions, task_state["centroids"])
        return logits.masked_fill(~task_state["present"], -torch.inf)
