"""MAML: learn the initial weights from which a few gradient steps learn a task.

    theta_{k+1} = theta_k - inner_rate * grad L(support; theta_k),  theta_0 = phi
    min over phi of the mean over tasks of L(query; theta_K)

The meta-gradient passes through the inner gradients (second order).
Differs from the paper: all classes start from one meta-learned row of the head (Ye & Chao 2022,
arXiv:2106.16245), so that any number of ways works, and queries are normalised by the support's
statistics; `norm="query batch"` is what the original code did.
Finn et al. 2017, arXiv:1703.03400, algorithm 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from metaloop.core.inner_loop import GradientLearner, NormPolicy
from metaloop.core.objective import CLASSIFICATION, Objective
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.head import HeadedNet


@final
@dataclass(frozen=True)
class Maml(GradientLearner):
    """All weights adapt; the meta-gradient is exact."""

    net: FunctionalNet
    objective: Objective = CLASSIFICATION
    inner_steps: int = 5
    inner_rate: float = 0.1
    norm: NormPolicy = "support"

    target_kinds: ClassVar[frozenset[str]] = frozenset({"classes", "real"})
    vmappable: ClassVar[bool] = True
    citation: ClassVar[str] = """@inproceedings{finn2017model,
  title = {Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks},
  author = {Finn, Chelsea and Abbeel, Pieter and Levine, Sergey},
  booktitle = {International Conference on Machine Learning},
  year = {2017},
  eprint = {1703.03400},
}"""

    @property
    def model(self) -> HeadedNet:
        """The net with a linear head."""
        return HeadedNet(self.net)

    @property
    def first_order(self) -> bool:
        """Never: second derivatives are taken."""
        return False

    def adapts(self, name: str) -> bool:
        """Every trained tensor adapts."""
        return True
