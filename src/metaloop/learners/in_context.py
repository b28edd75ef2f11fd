"""In-context learning: a transformer whose rows attend to labelled rows; nothing is fitted to a task.

    t_i = W s(f(x_i)),   s: standardised by the support, t_i refined by L layers of attention
    support row i to j:   q_i.k_j / sqrt(D) + b_h [y_i = y_j];   a query attends to support rows alone
    p(c | x) = sum over support rows k of class c of  softmax_k( -e^a |P t - P t_k|^2 )

b_h is learned for each head, so that rows of one class can be averaged and told from the others; no
layer sees a class by its number, and any number of classes will do. It begins as a smoother by
distances in a random projection. Trained on synthetic tables (`tasks/synthetic_tables.py`) it is a
learning algorithm that training has found. Hollmann et al. 2023, arXiv:2207.01848 (TabPFN).
Differs from the paper: classes are told by attention, not by an output for each; queries see
support rows, as there, but what these have become is kept, as a state.

Shapes: N support, Q queries, F features of the net, D width, H heads, C classes.
"""  # noqa: E501

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor
from torch.nn import functional

from metaloop.core.examples import Batch, EpisodeBatch, Examples
from metaloop.core.learner import MetaLoss, MetaParams
from metaloop.core.objective import CLASSIFICATION
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import TaskMap
from metaloop.nets.attention import by_head, check_heads, normalised, of_layer
from metaloop.nets.embedding import NetLearner
from metaloop.nets.episodic import episode_loss
from metaloop.nets.functional import FunctionalNet

_IN, _POINTER, _SHARPNESS = "head.in", "head.pointer", "head.log_sharpness"
_FARTHEST = 5.0  # standard deviations: what is farther out counts as this
_SHARPNESS_AT_FIRST = 0.02  # the least loss on synthetic tables, of 0.01 to 0.2
_SMALL = 0.02  # what layers change at first, as a share of usual weights
_TINY = 1e-6


@final
@dataclass(frozen=True)
class InContext(NetLearner):
    """Rows attend to labelled rows: `layers` of `heads`, tokens of `width` numbers."""

    net: FunctionalNet
    width: int = 64
    layers: int = 4
    heads: int = 4

    target_kinds: ClassVar[frozenset[str]] = frozenset({"classes"})
    citation: ClassVar[str] = """@inproceedings{hollmann2023tabpfn,
  title = {{TabPFN}: A Transformer That Solves Small Tabular Classification Problems in a Second},
  author = {Hollmann, Noah and M{\\"u}ller, Samuel and Eggensperger, Katharina and Hutter, Frank},
  booktitle = {International Conference on Learning Representations},
  year = {2023},
  eprint = {2207.01848},
}"""

    def __post_init__(self) -> None:
        check_heads(self.width, self.heads)

    def init(self, spec: TaskSpec, rng: torch.Generator) -> MetaParams:
        """Returns the net and layers that change little yet: what comes out smooths by distance."""
        width, hidden = self.width, 2 * self.width

        def drawn(rows: int, columns: int) -> Tensor:
            return torch.randn(rows, columns, generator=rng) / math.sqrt(columns)

        meta_params = self.net.init(rng)
        meta_params[f"{_IN}.weight"] = drawn(width, self.net.num_features)
        for layer in range(self.layers):
            for name in ("query", "key", "value"):
                meta_params[of_layer(layer, name)] = drawn(width, width)
            meta_params[of_layer(layer, "out")] = _SMALL * drawn(width, width)
            meta_params[of_layer(layer, "same")] = torch.linspace(0.0, 4.0, self.heads)
            meta_params[of_layer(layer, "up")] = drawn(hidden, width)
            meta_params[of_layer(layer, "up_bias")] = torch.zeros(hidden)
            meta_params[of_layer(layer, "down")] = _SMALL * drawn(width, hidden)
            for name in ("norm", "norm_up"):
                meta_params[of_layer(layer, name)] = torch.ones(width)
        meta_params[_POINTER] = torch.eye(width) + _SMALL * drawn(width, width)
        meta_params[_SHARPNESS] = torch.tensor(math.log(_SHARPNESS_AT_FIRST))
        return meta_params

    def fit_head(self, meta_params: MetaParams, features: Examples) -> MetaParams:
        """Returns what support rows have become: `keys` and `values [L, N, D]`, `points [N, D]`.

        Besides, the `middle` and `spread` of features, and `labels [N, C]`.
        """
        there = features.mask.to(features.features.dtype)
        count = there.sum().clamp(min=1.0)
        rows = features.features * there.unsqueeze(-1)
        middle = rows.sum(0) / count
        spread = (((rows - middle) ** 2 * there.unsqueeze(-1)).sum(0) / count).sqrt()
        state = {"middle": middle, "spread": spread, "labels": features.one_hot()}
        seen = self._seen(meta_params, state, features.features)
        same = state["labels"] @ state["labels"].T
        hidden = torch.where(features.mask, 0.0, -torch.inf)
        # a row that is not there sees those that are: what becomes of it is never looked at
        keys, values = [], []
        for layer in range(self.layers):
            normed = normalised(seen) * meta_params[of_layer(layer, "norm")]
            key = normed @ meta_params[of_layer(layer, "key")].T
            value = normed @ meta_params[of_layer(layer, "value")].T
            bias = meta_params[of_layer(layer, "same")][:, None, None] * same
            seen = self._layer(meta_params, layer, seen, normed, key, value, bias + hidden)
            keys.append(key)
            values.append(value)
        points = seen @ meta_params[_POINTER].T
        return {**state, "keys": torch.stack(keys), "values": torch.stack(values), "points": points,
                "hidden": hidden}  # fmt: skip

    def score(self, meta_params: MetaParams, task_state: MetaParams, features: Tensor) -> Tensor:
        """Returns logarithms of probabilities `[Q, C]`; a class without support is impossible."""
        seen = self._seen(meta_params, task_state, features)
        hidden = task_state["hidden"]
        for layer in range(self.layers):
            normed = normalised(seen) * meta_params[of_layer(layer, "norm")]
            key, value = task_state["keys"][layer], task_state["values"][layer]
            seen = self._layer(meta_params, layer, seen, normed, key, value, hidden)
        point, points = seen @ meta_params[_POINTER].T, task_state["points"]
        far = (point**2).sum(-1, keepdim=True) + (points**2).sum(-1) - 2 * point @ points.T
        near = torch.softmax(hidden - meta_params[_SHARPNESS].exp() * far, -1)
        labels = task_state["labels"]
        shares = near @ labels
        present = labels.sum(0) > 0
        floored = (shares + _TINY) / (1 + _TINY * present.sum())
        return floored.log().masked_fill(~present, -torch.inf)

    def meta_loss(
        self,
        meta_params: MetaParams,
        batch: Batch,
        rng: torch.Generator | None,
        over_tasks: TaskMap,
    ) -> MetaLoss:
        """Returns the mean query loss; raises `TypeError` on labelled examples."""
        if not isinstance(batch, EpisodeBatch):
            raise TypeError("InContext is trained on episodes, got labelled examples")
        return episode_loss(self, self.net, meta_params, batch, CLASSIFICATION)

    def _seen(self, meta_params: MetaParams, state: MetaParams, features: Tensor) -> Tensor:
        """Tokens of rows: standardised, and as large whether few features vary or many."""
        varies = state["spread"] > _TINY
        scaled = (features - state["middle"]) / torch.where(varies, state["spread"], 1.0)
        scaled = scaled.clamp(-_FARTHEST, _FARTHEST) * varies
        share = (varies.sum() / varies.numel()).clamp(min=_TINY)
        token: Tensor = (scaled / share.sqrt()) @ meta_params[f"{_IN}.weight"].T
        return token

    def _layer(
        self,
        meta_params: MetaParams,
        layer: int,
        seen: Tensor,
        normed: Tensor,
        key: Tensor,
        value: Tensor,
        bias: Tensor,
    ) -> Tensor:
        """Tokens after attention to support rows and a small net."""
        query = normed @ meta_params[of_layer(layer, "query")].T
        q, k, v = (by_head(each, self.heads) for each in (query, key, value))
        weights = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + bias, -1)
        told = (weights @ v).transpose(0, 1).reshape(seen.shape)
        seen = seen + told @ meta_params[of_layer(layer, "out")].T
        normed = normalised(seen) * meta_params[of_layer(layer, "norm_up")]
        up = functional.linear(
            normed, meta_params[of_layer(layer, "up")], meta_params[of_layer(layer, "up_bias")]
        )
        return seen + functional.gelu(up) @ meta_params[of_layer(layer, "down")].T
