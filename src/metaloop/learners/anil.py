"""ANIL (almost no inner loop): MAML in which only the head adapts.

    head_{k+1} = head_k - inner_rate * grad_head L(support; net, head_k)

The net is shared by all tasks and trained by the meta-gradient through the head's steps.
Differs from the paper: all classes start from one meta-learned row of the head (Ye & Chao 2022,
arXiv:2106.16245), so that any number of ways works, and queries are normalised by the support's
statistics; `norm="query batch"` is what the original code did.
Raghu et al. 2020, arXiv:1909.09157, section 4.
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
class Anil(GradientLearner):
    """Only the head adapts; the meta-gradient is exact."""

    net: FunctionalNet
    objective: Objective = CLASSIFICATION
    inner_steps: int = 5
    inner_rate: float = 0.1
    norm: NormPolicy = "support"

    target_kinds: ClassVar[frozenset[str]] = frozenset({"classes", "real"})
    vmappable: ClassVar[bool] = True
    citation: ClassVar[str] = """@inproceedings{raghu2020rapid,
  title = {Rapid Learning or Feature Reuse? Towards Understanding the Effectiveness of MAML},
  author = {Raghu, Aniruddh and Raghu, Maithra and Bengio, Samy and Vinyals, Oriol},
  booktitle = {International Conference on Learning Representations},
  year = {2020},
  eprint = {1909.09157},
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
        """Only the tensors of the head adapt."""
        return name.startswith("head.")
