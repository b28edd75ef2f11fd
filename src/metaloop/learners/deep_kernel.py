"""Deep kernel: Gaussian process regression on learned features, in closed form and trained through.

    m(x) = w.f(x) + b,   n(x) = exp(u.f(x) + c) + floor,   p(x) = P f(x) / sqrt(D)
    k(x, x') = offset + p(x).p(x')
    d(x) = k(x, X) (k(X, X) + diag n(X))^-1 (y - m(X)),   v(x) = the posterior variance
    y(x) = m(x) + d(x) + g + d(x) h,   (g, h) = a small net of d, m, n, v and of the support

f is the net, X, y the support, D the width of p. The mean, the noise of every input and the kernel
are learned over tasks: with nothing known a task is m, each example moves what is like it. The
last step corrects what a Gaussian has wrong (errors that are no Gaussian's, tasks of another
spread): it sees the prediction, how certain it is and how many, how high, low and uneven the
support's targets are, and is nothing at first. It trains with supports of any size from `fewest`
up to what episodes have.
Patacchiola et al. 2020, arXiv:1911.05118; Rasmussen & Williams 2006, section 2.2. Differs from the
paper: what is descended is the objective's loss on queries, not the marginal likelihood; and the
noise, the mean and the correction are learned, too.

Shapes: N support, Q queries, F features of the net, D width of p, K targets.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor
from torch.nn import functional

from metaloop.core.examples import Batch, Examples
from metaloop.core.learner import MetaLoss, MetaParams
from metaloop.core.objective import REGRESSION, Objective
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import TaskMap
from metaloop.nets.embedding import NetLearner
from metaloop.nets.episodic import loss_with_fewer
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.prior import mean_of_prior

_MEAN, _NOISE, _KERNEL, _OFFSET = "head.mean", "head.noise", "head.kernel", "head.log_offset"
_HIDDEN, _SEEN = 32, 11  # units of a layer of the correction, numbers that it sees
_NOISE_FLOOR = 0.02  # of standardised targets
_SPREAD_FLOOR = 0.1
_SHRINKING = 3.0  # examples that a task's mean is as good as without any


@final
@dataclass(frozen=True)
class DeepKernel(NetLearner):
    """A Gaussian process whose mean, noise and kernel are learned over tasks, with a correction.

    `width` is that of p. `prior`: the place among the net's features that the mean begins with
    (where inputs bring a guess), -1 for none. `fewest`: examples that training keeps of a support;
    0 keeps all.
    """

    net: FunctionalNet
    objective: Objective = REGRESSION
    width: int = 32
    prior: int = -1
    fewest: int = 3

    target_kinds: ClassVar[frozenset[str]] = frozenset({"real"})
    citation: ClassVar[str] = """@inproceedings{patacchiola2020bayesian,
  title = {Bayesian Meta-Learning for the Few-Shot Setting via Deep Kernels},
  author = {Patacchiola, Massimiliano and Turner, Jack and Crowley, Elliot J. and
            O'Boyle, Michael and Storkey, Amos},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2020},
  eprint = {1911.05118},
}"""

    def init(self, spec: TaskSpec, rng: torch.Generator) -> MetaParams:
        """Returns the net, a mean that is the prior, an even noise, a weak kernel, no correction.

        Raises `MetaloopError` if the net has no feature for the prior.
        """
        features, targets = self.net.num_features, spec.target_shape[0]

        def drawn(rows: int, columns: int, share: float = 1.0) -> Tensor:
            uniform = 2 * torch.rand(rows, columns, generator=rng) - 1
            return uniform * (share / math.sqrt(columns))

        meta_params = self.net.init(rng)
        meta_params |= {
            f"{_MEAN}.weight": mean_of_prior(features, targets, self.prior),
            f"{_MEAN}.bias": torch.zeros(targets),
            f"{_NOISE}.weight": torch.zeros(1, features),
            f"{_NOISE}.bias": torch.full((1,), math.log(0.4)),
            f"{_KERNEL}.weight": drawn(self.width, features, 0.5),
            f"{_KERNEL}.bias": torch.zeros(self.width),
            _OFFSET: torch.tensor(math.log(0.25)),
        }
        sizes = (_SEEN, _HIDDEN, _HIDDEN, 2)
        for layer, (before, after) in enumerate(itertools.pairwise(sizes)):
            last = layer == len(sizes) - 2
            weight = torch.zeros(after, before) if last else drawn(after, before)
            meta_params[_correction(layer, "weight")] = weight
            meta_params[_correction(layer, "bias")] = torch.zeros(after)
        return meta_params

    def fit_head(self, meta_params: MetaParams, features: Examples) -> MetaParams:
        """Returns what a task is known by: `points [N, D]`, the system's `inverse [N, N]`.

        Besides, `weights [N, K]` of the residuals and `facts [K, 7]` of the support.
        """
        there = features.mask.to(features.features.dtype)
        mean_NK, noise_N, point_ND = self._seen(meta_params, features.features)
        point_ND = point_ND * there.unsqueeze(-1)
        offset = meta_params[_OFFSET].exp()
        pairs = there.unsqueeze(0) * there.unsqueeze(1)
        gram = offset * pairs + point_ND @ point_ND.mT
        gram = gram + torch.diag_embed(torch.where(features.mask, noise_N, 1.0))
        identity = torch.eye(there.shape[0], dtype=gram.dtype, device=gram.device)
        inverse, _ = torch.linalg.solve_ex(gram, identity)
        residual_NK = torch.where(features.mask.unsqueeze(-1), features.targets - mean_NK, 0.0)
        return {
            "points": point_ND,
            "there": there,
            "inverse": inverse,
            "weights": inverse @ residual_NK,
            "facts": _facts(features, residual_NK, mean_NK, noise_N),
        }

    def score(self, meta_params: MetaParams, task_state: MetaParams, features: Tensor) -> Tensor:
        """Returns the corrected posterior mean `[Q, K]`."""
        mean_QK, noise_Q, point_QD = self._seen(meta_params, features)
        offset = meta_params[_OFFSET].exp()
        across = offset * task_state["there"] + point_QD @ task_state["points"].mT
        moved_QK = across @ task_state["weights"]
        variance_Q = offset + point_QD.square().sum(-1)
        variance_Q = variance_Q - ((across @ task_state["inverse"]) * across).sum(-1)
        of_query = (
            torch.stack([noise_Q, variance_Q], -1).unsqueeze(1).expand(-1, mean_QK.shape[1], 2)
        )
        facts = task_state["facts"].expand(features.shape[0], -1, -1)
        told = torch.cat([moved_QK.unsqueeze(-1), mean_QK.unsqueeze(-1), of_query, facts], -1)
        added, scaled = _corrected(meta_params, told).unbind(-1)
        return mean_QK + moved_QK + added + moved_QK * scaled

    def contributions(
        self, meta_params: MetaParams, task_state: MetaParams, features: Tensor
    ) -> Tensor:
        """Returns `[Q, N, K]`: what each example of the support moves each prediction by.

        Before the correction; they add up to d.
        """
        point_QD = self._seen(meta_params, features)[2]
        offset = meta_params[_OFFSET].exp()
        across = offset * task_state["there"] + point_QD @ task_state["points"].mT
        return across.unsqueeze(-1) * task_state["weights"]

    def support_size(self, task_state: Mapping[str, Tensor]) -> int:
        """Returns N, the number of examples that a state was made of."""
        there = task_state.get("there")
        return 0 if there is None or there.dim() != 1 else len(there)

    def meta_loss(
        self,
        meta_params: MetaParams,
        batch: Batch,
        rng: torch.Generator | None,
        over_tasks: TaskMap,
    ) -> MetaLoss:
        """Returns the episodic loss with part of each support; `TypeError` on labelled examples."""
        return loss_with_fewer(self, self.net, meta_params, batch, self.objective, self.fewest, rng)

    def _seen(self, meta_params: MetaParams, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the mean `[N, K]`, the noise `[N]` and the points `[N, D]` of features."""

        def mapped(name: str) -> Tensor:
            return functional.linear(
                features, meta_params[f"{name}.weight"], meta_params[f"{name}.bias"]
            )

        noise = mapped(_NOISE).squeeze(-1).clamp(max=10).exp() + _NOISE_FLOOR
        return mapped(_MEAN), noise, mapped(_KERNEL) / math.sqrt(self.width)


def _facts(features: Examples, residual_NK: Tensor, mean_NK: Tensor, noise_N: Tensor) -> Tensor:
    """What the correction is told of a support, for each target: `[K, 7]`."""
    there = features.mask.to(features.features.dtype).unsqueeze(-1)
    count = there.sum().clamp(min=1)
    summed = residual_NK.sum(0)
    apart = (residual_NK - summed / count) * there
    targets = features.targets
    alike = torch.ones_like(summed)
    return torch.stack(
        [
            summed / (count + _SHRINKING),
            (apart.square().sum(0) / count + _SPREAD_FLOOR).sqrt() - 0.8,
            alike * (count / 10 - 0.7).clamp(max=3.0),
            torch.where(there > 0, targets, -9.0).amax(0).clamp(-4, 4) - 0.5,
            torch.where(there > 0, targets, 9.0).amin(0).clamp(-4, 4) + 1,
            alike * ((noise_N.unsqueeze(-1) * there).sum() / count - 0.5),
            (mean_NK * there).sum(0) / count,
        ],
        -1,
    )


def _corrected(meta_params: MetaParams, told: Tensor) -> Tensor:
    for layer in range(3):
        weight, bias = (meta_params[_correction(layer, kind)] for kind in ("weight", "bias"))
        told = functional.linear(told, weight, bias)
        told = told if layer == 2 else functional.silu(told)
    return told


def _correction(layer: int, kind: str) -> str:
    return f"head.correction.{layer}.{kind}"
