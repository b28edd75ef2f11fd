"""Ridge (R2D2): ridge regression on the embedded support, in closed form and trained through.

    W = F^T (F F^T + lambda I)^-1 Y,   outputs = alpha * [f(x), 1] W + beta,

with F the support features, divided by the root of their number, and a column of ones; Y the
one-hot labels (or real targets); lambda, alpha, beta learned. The system solved is as small as the
support or the features, whichever is smaller. Regression uses alpha = 1, beta = 0.
Bertinetto et al. 2019, arXiv:1805.08136, eq. 4-6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from metaloop.core.examples import Batch, Examples
from metaloop.core.learner import MetaLoss, MetaParams
from metaloop.core.objective import CLASSIFICATION, Objective
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import TaskMap
from metaloop.nets.classifier import init_classifier, whole_class_loss
from metaloop.nets.embedding import NetLearner
from metaloop.nets.episodic import episode_loss
from metaloop.nets.functional import FunctionalNet

_LOG_LAMBDA, _LOG_ALPHA, _BETA = "head.log_lambda", "head.log_alpha", "head.beta"


@final
@dataclass(frozen=True)
class Ridge(NetLearner):
    """Closed-form ridge head; classes are regressed as one-hot vectors."""

    net: FunctionalNet
    objective: Objective = CLASSIFICATION
    initial_lambda: float = 1.0

    target_kinds: ClassVar[frozenset[str]] = frozenset({"classes", "real"})
    citation: ClassVar[str] = """@inproceedings{bertinetto2019meta,
  title = {Meta-learning with Differentiable Closed-form Solvers},
  author = {Bertinetto, Luca and Henriques, Jo{\\~a}o F. and Torr, Philip H. S. and
            Vedaldi, Andrea},
  booktitle = {International Conference on Learning Representations},
  year = {2019},
  eprint = {1805.08136},
}"""

    def init(self, spec: TaskSpec, rng: torch.Generator) -> MetaParams:
        """Returns the net, lambda, alpha and beta, and a classifier if there are classes."""
        meta_params = self.net.init(rng)
        meta_params[_LOG_LAMBDA] = torch.tensor(math.log(self.initial_lambda))
        meta_params[_LOG_ALPHA] = torch.tensor(math.log(10.0))
        meta_params[_BETA] = torch.tensor(0.0)
        if spec.num_training_classes:
            meta_params |= init_classifier(self.net.num_features, spec.num_training_classes, rng)
        return meta_params

    def fit_head(self, meta_params: MetaParams, features: Examples) -> MetaParams:
        """Returns the weights `[D + 1, outputs]` and which classes have any support."""
        rows = features.mask.to(torch.float32).unsqueeze(-1)
        f_ND = self._scaled(features.features) * rows
        if self.objective.target_kind == "classes":
            y_NK = features.one_hot()
            present = y_NK.sum(0) > 0
        else:
            y_NK = features.targets * rows
            present = torch.ones(y_NK.shape[-1], dtype=torch.bool, device=y_NK.device)
        lambda_ = meta_params[_LOG_LAMBDA].exp()
        num_rows, width = f_ND.shape
        if num_rows <= width:
            weights = f_ND.T @ _solve(f_ND @ f_ND.T, lambda_, y_NK)
        else:
            weights = _solve(f_ND.T @ f_ND, lambda_, f_ND.T @ y_NK)
        return {"weights": weights, "present": present}

    def score(self, meta_params: MetaParams, task_state: MetaParams, features: Tensor) -> Tensor:
        """Returns scaled ridge outputs; a class without support is impossible."""
        outputs = self._scaled(features) @ task_state["weights"]
        if self.objective.target_kind != "classes":
            return outputs
        logits = meta_params[_LOG_ALPHA].exp() * outputs + meta_params[_BETA]
        return logits.masked_fill(~task_state["present"], -torch.inf)

    def contributions(self, meta_params: MetaParams, support: Examples, features: Tensor) -> Tensor:
        """Returns `[Q, N, K]`: what each embedded example of real targets moves each output by.

        They add up to it.
        """
        f_ND = self._scaled(support.features)
        across = self._scaled(features) @ f_ND.T
        shares = _solve(f_ND @ f_ND.T, meta_params[_LOG_LAMBDA].exp(), across.T).T
        return shares.unsqueeze(-1) * support.targets

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
        return episode_loss(self, self.net, meta_params, batch, self.objective)

    def _scaled(self, features: Tensor) -> Tensor:
        """Returns features scaled to a length of about one, with a column of ones `[N, D + 1]`."""
        scaled = features / math.sqrt(self.net.num_features)
        return torch.cat([scaled, torch.ones_like(scaled[:, :1])], dim=-1)


def _solve(gram: Tensor, lambda_: Tensor, right: Tensor) -> Tensor:
    """Returns `(gram + lambda I)^-1 right`; a singular system gives values that are not finite."""
    identity = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    solution: Tensor
    solution, _ = torch.linalg.solve_ex(gram + lambda_ * identity, right)
    return solution
