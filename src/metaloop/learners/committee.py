"""Committee: the weighted mean of what several learners of values say, each on a net of its own.

    y(x) = sum_m w_m y_m(x) / sum_m w_m

Learners that err differently are better together: the error of a mean is the mean of their errors
less how much they differ (Krogh & Vedelsby 1995, NIPS 7). Members are learners that were trained
before; whose say counts how much is chosen on tasks by greedy selection with replacement
(`jobs/averaging.py`; Caruana et al. 2004, doi 10.1145/1015330.1015432). Nothing is lost by that in
a new task: each member learns from the support in its own way, in closed form if it does.

The net is that of all members, their features D_1, ..., D_m side by side as they are
(`nets/joined.py`); what else a member has learned is called as its own, after `members.<m>.`.

Shapes: N support, Q queries, D = D_1 + ... + D_m features, K targets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from metaloop.core.examples import Batch, Examples
from metaloop.core.learner import BUFFER_PREFIX, Explains, KeepsSupport, MetaLoss, MetaParams
from metaloop.core.objective import REGRESSION, Objective
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import TaskMap
from metaloop.nets.embedding import NetLearner
from metaloop.nets.episodic import loss_with_fewer
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.joined import join

_OF_NETS = ("net.", f"{BUFFER_PREFIX}net.")


@final
@dataclass(frozen=True)
class Committee(NetLearner):
    """The mean of its `members`' outputs, each counted as often as `weights` says.

    `net` has the members' nets side by side, in their order. Raises `ValueError` unless there is a
    weight for each.
    """

    net: FunctionalNet
    members: tuple[NetLearner, ...]
    weights: tuple[int, ...]
    objective: Objective = REGRESSION

    target_kinds: ClassVar[frozenset[str]] = frozenset({"real"})
    citation: ClassVar[str] = """@inproceedings{caruana2004ensemble,
  title = {Ensemble Selection from Libraries of Models},
  author = {Caruana, Rich and Niculescu-Mizil, Alexandru and Crew, Geoff and Ksikes, Alex},
  booktitle = {International Conference on Machine Learning},
  year = {2004},
}"""

    def __post_init__(self) -> None:
        if len(self.members) != len(self.weights):
            raise ValueError(f"{len(self.members)} members have {len(self.weights)} weights")

    def init(self, spec: TaskSpec, rng: torch.Generator) -> MetaParams:
        """Returns fresh tensors of all members; whatever they begin with, they begin with here."""
        return assembled([member.init(spec, rng) for member in self.members])

    def fit_head(self, meta_params: MetaParams, features: Examples) -> MetaParams:
        """Returns what each member has learned from its part of the features."""
        state: MetaParams = {}
        parts = self._parts(features.features)
        for index, (member, part) in enumerate(zip(self.members, parts, strict=True)):
            own = member.fit_head(_of(meta_params, index), features.with_inputs(part))
            state |= {f"members.{index}.{name}": tensor for name, tensor in own.items()}
        return state

    def score(self, meta_params: MetaParams, task_state: MetaParams, features: Tensor) -> Tensor:
        """Returns the weighted mean of the members' outputs `[Q, K]`."""
        parts = self._parts(features)
        outputs = [
            member.score(_of(meta_params, index), _of(task_state, index), part)
            for index, (member, part) in enumerate(zip(self.members, parts, strict=True))
        ]
        return _mean(outputs, self.weights)

    def contributions(
        self, meta_params: MetaParams, task_state: MetaParams, features: Tensor
    ) -> Tensor:
        """Returns `[Q, N, K]`: what each example moves each prediction by.

        That is the mean over those of the members who can tell; zeros if none can.
        """
        moved, weights = [], []
        for index, part in enumerate(self._parts(features)):
            member = self.members[index]
            if isinstance(member, Explains):
                own = _of(task_state, index)
                moved.append(member.contributions(_of(meta_params, index), own, part))
                weights.append(self.weights[index])
        if moved:
            return _mean(moved, weights)
        outputs = self.score(meta_params, task_state, features)
        return outputs.new_zeros(len(outputs), self.support_size(task_state), outputs.shape[-1])

    def support_size(self, task_state: Mapping[str, Tensor]) -> int:
        """Returns N, the number of examples that a state was made of; 0 if no member keeps them."""
        sizes = [
            member.support_size(_of(task_state, index))
            for index, member in enumerate(self.members)
            if isinstance(member, KeepsSupport)
        ]
        return max(sizes, default=0)

    def meta_loss(
        self,
        meta_params: MetaParams,
        batch: Batch,
        rng: torch.Generator | None,
        over_tasks: TaskMap,
    ) -> MetaLoss:
        """Returns the episodic loss of the mean, as if it were one learner.

        Raises `TypeError` on labelled examples.
        """
        return loss_with_fewer(self, self.net, meta_params, batch, self.objective, 0, rng)

    def _parts(self, features: Tensor) -> Sequence[Tensor]:
        """The features of each member, `[N, D_m]`."""
        return torch.split(features, [member.net.num_features for member in self.members], dim=-1)


def assembled(members: Sequence[MetaParams]) -> MetaParams:
    """Returns the meta-parameters of a committee from those of its members, in their order."""
    tensors = join(members)
    for index, member in enumerate(members):
        for name, tensor in member.items():
            if not name.startswith(_OF_NETS):
                tensors[_named(index, name)] = tensor
    return tensors


def _named(index: int, name: str) -> str:
    """What a member's tensor is called in the whole: what is not trained is told by its name."""
    if name.startswith(BUFFER_PREFIX):
        return f"{BUFFER_PREFIX}members.{index}.{name.removeprefix(BUFFER_PREFIX)}"
    return f"members.{index}.{name}"


def _of(tensors: Mapping[str, Tensor], index: int) -> MetaParams:
    """Returns a member's own tensors, by the names that it has for them."""
    return dict(_owned(tensors, index))


def _owned(tensors: Mapping[str, Tensor], index: int) -> Iterator[tuple[str, Tensor]]:
    own, buffers = f"members.{index}.", f"{BUFFER_PREFIX}members.{index}."
    for name, tensor in tensors.items():
        if name.startswith(own):
            yield name.removeprefix(own), tensor
        elif name.startswith(buffers):
            yield BUFFER_PREFIX + name.removeprefix(buffers), tensor


def _mean(tensors: Sequence[Tensor], weights: Sequence[int]) -> Tensor:
    total = sum(weights)
    whole = torch.zeros_like(tensors[0])
    for tensor, weight in zip(tensors, weights, strict=True):
        whole = whole + tensor * (weight / total)
    return whole
