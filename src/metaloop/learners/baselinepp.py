"""Baseline++: fine-tune a cosine classifier on the support, on top of a whole-class net.

    logits[n, k] = scale * cos(f(x_n), w_k);   w starts at the class means and takes `num_steps`
    full-batch steps of SGD with momentum on the cross-entropy.

Differs from the paper: w starts at the class means instead of at random and steps use the whole
support, so the result is deterministic.
Chen et al. 2019, arXiv:1904.04232, section 3.2.
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
from metaloop.nets.prototypes import class_means


@final
@dataclass(frozen=True)
class BaselinePlusPlus(WholeClassLearner):
    """A cosine head fine-tuned on each support; the net stays as it was trained."""

    net: FunctionalNet
    num_steps: int = 100  # paper: 100 iterations
    learning_rate: float = 0.01  # paper
    momentum: float = 0.9  # paper
    weight_decay: float = 0.001  # paper
    scale: float = 10.0

    target_kinds: ClassVar[frozenset[str]] = frozenset({"classes"})
    citation: ClassVar[str] = """@inproceedings{chen2019closer,
  title = {A Closer Look at Few-shot Classification},
  author = {Chen, Wei-Yu and Liu, Yen-Cheng and Kira, Zsolt and Wang, Yu-Chiang Frank and
            Huang, Jia-Bin},
  booktitle = {International Conference on Learning Representations},
  year = {2019},
  eprint = {1904.04232},
}"""

    def init(self, spec: TaskSpec, rng: torch.Generator) -> MetaParams:
        """Returns the net and the whole-class classifier."""
        meta_params = self.net.init(rng)
        return meta_params | init_classifier(self.net.num_features, spec.num_training_classes, rng)

    def fit_head(self, meta_params: MetaParams, features: Examples) -> MetaParams:
        """Returns the fine-tuned weights `[classes, D]` and which classes have any support."""
        f_ND = torch.nn.functional.normalize(features.features, dim=-1)
        y_NK = features.one_hot()
        weights_KD, present = class_means(features.with_inputs(f_ND))
        absent = torch.where(present, 0.0, -torch.inf)
        rows = features.mask.sum().clamp(min=1)
        velocity = torch.zeros_like(weights_KD)
        for _ in range(self.num_steps):
            norms = weights_KD.norm(dim=-1, keepdim=True).clamp(min=1e-12)
            directions = weights_KD / norms
            logits = self.scale * f_ND @ directions.T + absent
            errors = (torch.softmax(logits, dim=-1) - y_NK) * features.mask.unsqueeze(-1) / rows
            slope = self.scale * errors.T @ f_ND  # gradient with respect to the directions
            along = (slope * directions).sum(-1, keepdim=True)
            gradient = (slope - along * directions) / norms + self.weight_decay * weights_KD
            velocity = self.momentum * velocity + gradient
            weights_KD = weights_KD - self.learning_rate * velocity
        return {"weights": weights_KD, "present": present}

    def score(self, meta_params: MetaParams, task_state: MetaParams, features: Tensor) -> Tensor:
        """Returns `scale * cosine`; a class without support is impossible."""
        f_ND = torch.nn.functional.normalize(features, dim=-1)
        directions = torch.nn.functional.normalize(task_state["weights"], dim=-1)
        logits = self.scale * f_ND @ directions.T
        return logits.masked_fill(~task_state["present"], -torch.inf)
