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

from metaloop.core.learner import CENTER, MetaParams
from metaloop.nets.embedding import CentredMeans
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.prototypes import centred_and_normalised, squared_distances


@final
@dataclass(frozen=True)
class SimpleShot(CentredMeans):
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

    def score(self, meta_params: MetaParams, task_state: MetaParams, features: Tensor) -> Tensor:
        """Returns `-scale * squared distance`; a class without support is impossible."""
        directions = centred_and_normalised(features, meta_params[CENTER])
        logits = -self.scale * squared_distances(directions, task_state["centroids"])
        return logits.masked_fill(~task_state["present"], -torch.inf)
