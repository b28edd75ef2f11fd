"""Set attention: the support is a set that each query attends to, an attentive neural process.

    m(x)   = w.f(x) + b,   r_i = y_i - m(x_i)
    t_i    = W [f(x_i), r_i], then L layers in which the tokens t_1 .. t_N attend to each other
    a_h(x) = softmax over i of q_h(x).k_h(t_i) / sqrt(D / H), and of s_h for no example at all
    u_h(x) = sum_i a_h(x)_i r_i
    y(x)   = m(x) + sum_h g_h u_h(x) + net(P f(x), a(x), u(x), sum_i a(x)_i v(t_i))

f is the net, m what is expected with nothing known. Each known example, a rating of an item, is a
token of what it is and of how far it is from m; what is asked about attends to these. Where there
are few, or none is alike, attention goes to no example, and little is moved. At first q is zero,
the last net is nothing and exp(s) is 3: y is m and the mean residual, as if 3 more were zero.
Garnelo et al. 2018, arXiv:1807.01613 (a task's state is made of its examples as a set, trained end
to end); Kim et al. 2019, arXiv:1901.05761 (queries attend to it). Differs from the papers: there is
the deterministic path alone, trained on the objective's loss, not on a likelihood; residuals are
averaged as well as what is made of them, and attention has a place beside the examples.

Shapes: N support, Q queries, F features of the net, D width, H heads, K targets.
"""

from __future__ import annotations

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
from metaloop.nets.attention import by_head, check_heads, normalised, of_layer
from metaloop.nets.embedding import NetLearner
from metaloop.nets.episodic import loss_with_fewer
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.prior import mean_of_prior

_MEAN, _TOKEN, _NOTHING, _GAIN = "head.mean", "head.token", "head.nothing", "head.gain"
_QUERY, _KEY, _VALUE = "head.query", "head.key", "head.value"
_ASKED, _UP, _OUT = "head.asked", "head.up", "head.out"
_SHRINKING = 3.0  # examples that attention to none is worth at first
_SMALL = 0.02  # what layers change at first, as a share of usual weights


@final
@dataclass(frozen=True)
class SetAttention(NetLearner):
    """Queries attend to the support: tokens of `width` numbers, `layers` among them, `heads`.

    `prior`: the place among the net's features that the mean begins with (where inputs bring a
    guess), -1 for none. `fewest`: examples that training keeps of a support; 0 keeps all.
    """

    net: FunctionalNet
    objective: Objective = REGRESSION
    width: int = 32
    layers: int = 1
    heads: int = 4
    prior: int = -1
    fewest: int = 3

    target_kinds: ClassVar[frozenset[str]] = frozenset({"real"})
    citation: ClassVar[str] = """@inproceedings{kim2019attentive,
  title = {Attentive Neural Processes},
  author = {Kim, Hyunjik and Mnih, Andriy and Schwarz, Jonathan and Garnelo, Marta and
            Eslami, Ali and Rosenbaum, Dan and Vinyals, Oriol and Teh, Yee Whye},
  booktitle = {International Conference on Learning Representations},
  year = {2019},
  eprint = {1901.05761},
}"""

    def __post_init__(self) -> None:
        check_heads(self.width, self.heads)

    def init(self, spec: TaskSpec, rng: torch.Generator) -> MetaParams:
        """Returns the net, a mean that is the prior, and attention that is even at first.

        Raises `MetaloopError` if the net has no feature for the prior.
        """
        features, targets, width = self.net.num_features, spec.target_shape[0], self.width

        def drawn(rows: int, columns: int, share: float = 1.0) -> Tensor:
            return torch.randn(rows, columns, generator=rng) * (share / math.sqrt(columns))

        meta_params = self.net.init(rng)
        meta_params[f"{_MEAN}.weight"] = mean_of_prior(features, targets, self.prior)
        meta_params[f"{_MEAN}.bias"] = torch.zeros(targets)
        meta_params[_TOKEN] = drawn(width, features + targets)
        for layer in range(self.layers):
            for name in ("query", "key", "value"):
                meta_params[of_layer(layer, name)] = drawn(width, width)
            meta_params[of_layer(layer, "out")] = drawn(width, width, _SMALL)
            meta_params[of_layer(layer, "nothing")] = torch.zeros(self.heads)
            meta_params[of_layer(layer, "up")] = drawn(2 * width, width)
            meta_params[of_layer(layer, "down")] = drawn(width, 2 * width, _SMALL)
        meta_params[_QUERY] = torch.zeros(width, features)
        meta_params[_KEY], meta_params[_VALUE] = drawn(width, width), drawn(width, width)
        meta_params[_NOTHING] = torch.full((self.heads,), math.log(_SHRINKING))
        meta_params[_GAIN] = torch.full((self.heads,), 1 / self.heads)
        meta_params[_ASKED] = drawn(width, features)
        told = 2 * width + self.heads * (1 + targets)
        meta_params[f"{_UP}.weight"] = drawn(2 * width, told)
        meta_params[f"{_UP}.bias"] = torch.zeros(2 * width)
        meta_params[_OUT] = torch.zeros(targets, 2 * width)
        return meta_params

    def fit_head(self, meta_params: MetaParams, features: Examples) -> MetaParams:
        """Returns the support as a set: `keys` and `values [N, D]`, `residuals [N, K]`.

        Besides, `there [N]`: 1 for an example, 0 for padding.
        """
        mean_NK = self._mean(meta_params, features.features)
        residual_NK = torch.where(features.mask.unsqueeze(-1), features.targets - mean_NK, 0.0)
        there = features.mask.to(residual_NK.dtype)
        seen_ND = torch.cat([features.features, residual_NK], -1) @ meta_params[_TOKEN].mT
        for layer in range(self.layers):
            seen_ND = self._layer(meta_params, layer, seen_ND, there)
        normed = normalised(seen_ND)
        return {
            "keys": normed @ meta_params[_KEY].mT,
            "values": normed @ meta_params[_VALUE].mT,
            "residuals": residual_NK,
            "there": there,
        }

    def score(self, meta_params: MetaParams, task_state: MetaParams, features: Tensor) -> Tensor:
        """Returns outputs `[Q, K]`: the mean, moved by what queries attend to."""
        weights_HQN = self._attention(meta_params, task_state, features)
        moved_HQK = weights_HQN @ task_state["residuals"]
        gain_H = meta_params[_GAIN][:, None, None]
        told = torch.cat(
            [
                features @ meta_params[_ASKED].mT,
                (weights_HQN @ by_head(task_state["values"], self.heads))
                .transpose(0, 1)
                .flatten(1),
                weights_HQN.sum(-1).mT,
                moved_HQK.transpose(0, 1).flatten(1),
            ],
            -1,
        )
        up = functional.linear(told, meta_params[f"{_UP}.weight"], meta_params[f"{_UP}.bias"])
        added_QK = functional.silu(up) @ meta_params[_OUT].mT
        return self._mean(meta_params, features) + (gain_H * moved_HQK).sum(0) + added_QK

    def contributions(
        self, meta_params: MetaParams, task_state: MetaParams, features: Tensor
    ) -> Tensor:
        """Returns `[Q, N, K]`: what the residual of each example moves each prediction by.

        Without the last net.
        """
        weights_HQN = self._attention(meta_params, task_state, features)
        across_QN = (meta_params[_GAIN][:, None, None] * weights_HQN).sum(0)
        return across_QN.unsqueeze(-1) * task_state["residuals"]

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

    def _mean(self, meta_params: MetaParams, features: Tensor) -> Tensor:
        return functional.linear(
            features, meta_params[f"{_MEAN}.weight"], meta_params[f"{_MEAN}.bias"]
        )

    def _layer(self, meta_params: MetaParams, layer: int, seen_ND: Tensor, there: Tensor) -> Tensor:
        """Tokens after attention to each other and a small net."""
        normed = normalised(seen_ND)
        query, key, value = (
            by_head(normed @ meta_params[of_layer(layer, name)].mT, self.heads)
            for name in ("query", "key", "value")
        )
        weights_HNN = _weights(query, key, meta_params[of_layer(layer, "nothing")], there)
        told = (weights_HNN @ value).transpose(0, 1).flatten(1)
        seen_ND = seen_ND + told @ meta_params[of_layer(layer, "out")].mT
        up = normalised(seen_ND) @ meta_params[of_layer(layer, "up")].mT
        return seen_ND + functional.silu(up) @ meta_params[of_layer(layer, "down")].mT

    def _attention(self, meta_params: MetaParams, state: MetaParams, features: Tensor) -> Tensor:
        """How much each query attends to each example `[H, Q, N]`; the rest is for none."""
        query = by_head(features @ meta_params[_QUERY].mT, self.heads)
        key = by_head(state["keys"], self.heads)
        return _weights(query, key, meta_params[_NOTHING], state["there"])


def _weights(query: Tensor, key: Tensor, nothing_H: Tensor, there_N: Tensor) -> Tensor:
    """Shares `[H, Q, N]` for `query [H, Q, D / H]` and `key [H, N, D / H]`; the rest is none's."""
    alike = query @ key.mT / math.sqrt(query.shape[-1])
    alike = torch.where(there_N > 0, alike, -torch.inf)
    none = nothing_H[:, None, None].expand(-1, alike.shape[1], 1)
    return torch.softmax(torch.cat([none, alike], -1), -1)[..., 1:]
