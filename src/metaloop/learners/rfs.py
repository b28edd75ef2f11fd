"""RFS: logistic regression on the L2-normalised features of a whole-class classifier.

    min over W of  C * sum_n m_n * CE(W g_n, y_n) + 0.5 * |W|^2,   g = [f / |f|, 1].

Solved in the span of the support (W = A^T G), where the problem is as small as the support, by
gradient descent with Nesterov momentum for a strongly convex function. Differs from the paper: the
intercept is regularised too, the net's classifier has a cosine head, and there is no
self-distillation. On the net `raw` this is plain logistic regression.
Tian et al. 2020, arXiv:2003.11539; the accelerated scheme: Nesterov 2004, section 2.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from metaloop.core.examples import Examples
from metaloop.core.learner import MetaParams
from metaloop.core.spec import TaskSpec
from metaloop.nets.classifier import init_classifier
from metaloop.nets.embedding import WholeClassLearner
from metaloop.nets.functional import FunctionalNet


@final
@dataclass(frozen=True)
class Rfs(WholeClassLearner):
    """Multinomial logistic regression with inverse regularisation `inverse_strength` (C)."""

    net: FunctionalNet
    inverse_strength: float = 10.0
    num_iterations: int = 100

    target_kinds: ClassVar[frozenset[str]] = frozenset({"classes"})
    citation: ClassVar[str] = """@inproceedings{tian2020rethinking,
  title = {Rethinking Few-Shot Image Classification: a Good Embedding Is All You Need?},
  author = {Tian, Yonglong and Wang, Yue and Krishnan, Dilip and Tenenbaum, Joshua B. and
            Isola, Phillip},
  booktitle = {European Conference on Computer Vision},
  year = {2020},
  eprint = {2003.11539},
}"""

    def init(self, spec: TaskSpec, rng: torch.Generator) -> MetaParams:
        """Returns the net and the whole-class classifier."""
        meta_params = self.net.init(rng)
        return meta_params | init_classifier(self.net.num_features, spec.num_training_classes, rng)

    def fit_head(self, meta_params: MetaParams, features: Examples) -> MetaParams:
        """Returns the weights `[classes, D + 1]` and which classes have any support."""
        mask_N1 = features.mask.to(torch.float32).unsqueeze(-1)
        g_ND = _with_intercept(features.features) * mask_N1
        y_NK = features.one_hot()
        present = y_NK.sum(0) > 0
        absent = torch.where(present, 0.0, -torch.inf)
        kernel_NN = g_ND @ g_ND.T
        # Cross-entropy has curvature at most 1/2 in its logits; the regulariser has 1.
        largest = 0.5 * self.inverse_strength * kernel_NN.abs().sum(-1).max() + 1.0
        momentum = (largest.sqrt() - 1) / (largest.sqrt() + 1)
        current = previous = torch.zeros_like(y_NK)
        for _ in range(self.num_iterations):
            ahead = current + momentum * (current - previous)
            errors = (torch.softmax(kernel_NN @ ahead + absent, dim=-1) - y_NK) * mask_N1
            previous, current = current, ahead - (self.inverse_strength * errors + ahead) / largest
        return {"weights": current.T @ g_ND, "present": present}

    def score(self, meta_params: MetaParams, task_state: MetaParams, features: Tensor) -> Tensor:
        """Returns logits `[N, classes]`; a class without support is impossible."""
        logits = _with_intercept(features) @ task_state["weights"].T
        return logits.masked_fill(~task_state["present"], -torch.inf)


def _with_intercept(features: Tensor) -> Tensor:
    directions = torch.nn.functional.normalize(features, dim=-1)
    return torch.cat([directions, torch.ones_like(directions[:, :1])], dim=-1)
