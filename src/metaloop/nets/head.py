"""The last, linear layer of gradient-based learners, for any number of classes.

Every class starts from one meta-learned row, as in UNICORN-MAML (Ye & Chao 2022, arXiv:2106.16245):
the learner does not depend on the order of the classes and works for any number of them. Real
targets have a row per output, as usual.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from metaloop.core.examples import Inputs
from metaloop.core.learner import MetaParams
from metaloop.core.spec import TaskSpec
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.norm import Statistics

_WEIGHT, _BIAS = "head.weight", "head.bias"


class HeadedNet:
    """A net with a linear head: the model that gradient-based learners adapt."""

    def __init__(self, net: FunctionalNet) -> None:
        self.net = net

    @property
    def has_norms(self) -> bool:
        """Whether the net has batch norms."""
        return self.net.has_norms

    def init(self, spec: TaskSpec, rng: torch.Generator) -> MetaParams:
        """Returns the net, `head.weight [rows, D]` and `head.bias [rows]`: one row for classes."""
        rows = math.prod(spec.target_shape) if spec.target_shape else 1
        width = self.net.num_features
        weight = torch.randn(rows, width, generator=rng) / math.sqrt(width)
        return self.net.init(rng) | {_WEIGHT: weight, _BIAS: torch.zeros(rows)}

    def start(self, meta_params: MetaParams, num_classes: int) -> MetaParams:
        """Returns the tensors with one row of the head for each class (real targets: as it is)."""
        if not num_classes:
            return dict(meta_params)
        weight, bias = meta_params[_WEIGHT], meta_params[_BIAS]
        return {
            **meta_params,
            _WEIGHT: weight.expand(num_classes, -1),
            _BIAS: bias.expand(num_classes),
        }

    def forward(
        self, tensors: MetaParams, inputs: Inputs, own_statistics: bool, mask: Tensor | None
    ) -> tuple[Tensor, MetaParams]:
        """Returns outputs `[N, rows]` and the batch-norm statistics of these inputs."""
        statistics: Statistics = "task" if own_statistics else "adapted"
        features, buffers = self.net(tensors, inputs, statistics, mask)
        return functional.linear(features, tensors[_WEIGHT], tensors[_BIAS]), buffers
