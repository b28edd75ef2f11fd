"""Learners that adapt by gradient steps on the support: the shared inner loop of MAML's family.

    theta_0 = the adapted part of phi
    theta_{k+1} = theta_k - inner_rate * grad L(support; theta_k)

A method says which tensors adapt and whether the meta-gradient passes through the inner gradient.
Batch norm: while adapting, the support's own statistics. For queries either the statistics of the
support under the final theta (`support`, inductive) or their own (`query batch`, as the original
MAML code did: transductive, and recorded as such).
"""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import Literal, Protocol, final, runtime_checkable

import torch
from torch import Tensor

from metaloop.core.examples import Batch, EpisodeBatch, Examples, Inputs
from metaloop.core.learner import Learner, MetaLoss, MetaParams, outputs_present, trained
from metaloop.core.objective import Objective
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import TaskMap, loop_over_tasks

NormPolicy = Literal["support", "query batch"]


@runtime_checkable
class TaskModel(Protocol):
    """The differentiable model of one task: a net with a head, as pure functions."""

    @property
    def has_norms(self) -> bool:
        """Whether batch statistics play a role."""

    def init(self, spec: TaskSpec, rng: torch.Generator) -> MetaParams:
        """Returns fresh meta-parameters."""

    def start(self, meta_params: MetaParams, num_classes: int) -> MetaParams:
        """Returns all tensors of the task's model before the first step."""

    def forward(
        self, tensors: MetaParams, inputs: Inputs, own_statistics: bool, mask: Tensor | None
    ) -> tuple[Tensor, MetaParams]:
        """Returns outputs and new buffers; `own_statistics`: batch norm by these inputs."""


class GradientLearner(Learner):
    """A learner whose task state is a dictionary of tensors moved by gradient steps."""

    objective: Objective
    inner_steps: int
    inner_rate: float
    norm: NormPolicy

    @property
    @abstractmethod
    def model(self) -> TaskModel:
        """What is adapted."""

    @property
    @abstractmethod
    def first_order(self) -> bool:
        """Whether the meta-gradient ignores how the inner gradient depends on phi."""

    @abstractmethod
    def adapts(self, name: str) -> bool:
        """Whether the inner loop moves the tensor of this name."""

    @property
    @final
    def norm_policy(self) -> str:
        """Whose statistics batch norm uses on queries."""
        return self.norm if self.model.has_norms else "none"

    @property
    @final
    def uses_query_batch(self) -> bool:
        """Whether queries are normalised by their own batch."""
        return self.norm_policy == "query batch"

    @final
    def init(self, spec: TaskSpec, rng: torch.Generator) -> MetaParams:
        """Returns the model's fresh meta-parameters."""
        return self.model.init(spec, rng)

    @final
    def adapt(
        self, meta_params: MetaParams, support: Examples, rng: torch.Generator | None = None
    ) -> MetaParams:
        """Returns the tensors after the inner steps, with the support's statistics as buffers."""
        tensors = self.model.start(meta_params, support.num_classes)
        moving = {name: tensor for name, tensor in trained(tensors).items() if self.adapts(name)}
        fixed = {name: tensor for name, tensor in tensors.items() if name not in moving}
        mask = support.mask if support.padded else None

        def loss(current: MetaParams) -> Tensor:
            outputs, _ = self.model.forward({**fixed, **current}, support.inputs, True, mask)
            return self.objective.loss(outputs, support.targets, support.mask)

        for _ in range(self.inner_steps):
            gradients = torch.func.grad(loss)(moving)
            if self.first_order:
                gradients = {name: gradient.detach() for name, gradient in gradients.items()}
            moving = {
                name: tensor - self.inner_rate * gradients[name] for name, tensor in moving.items()
            }
        adapted = {**fixed, **moving}
        if self.norm_policy == "support":
            _, statistics = self.model.forward(adapted, support.inputs, True, mask)
            adapted = {**adapted, **statistics}
        return adapted

    @final
    def predict(self, meta_params: MetaParams, task_state: MetaParams, inputs: Inputs) -> Tensor:
        """Returns the adapted model's outputs."""
        return self.model.forward(task_state, inputs, self.uses_query_batch, None)[0]

    @final
    def meta_loss(
        self,
        meta_params: MetaParams,
        batch: Batch,
        rng: torch.Generator | None,
        over_tasks: TaskMap,
    ) -> MetaLoss:
        """Returns the mean query loss after adaptation; needs episodes."""
        return loss_after_adapting(self, self.objective, meta_params, batch, over_tasks)


def loss_after_adapting(
    learner: Learner,
    objective: Objective,
    meta_params: MetaParams,
    batch: Batch,
    over_tasks: TaskMap,
) -> MetaLoss:
    """Returns the mean query loss of what a learner becomes on each support; needs episodes."""
    if not isinstance(batch, EpisodeBatch):
        raise TypeError(f"{type(learner).__name__} is trained on episodes, got labelled examples")
    support, query = batch.support, batch.query

    uneven = learner.uses_query_batch and query.padded
    if uneven:  # tasks of different numbers of queries cannot be stacked
        over_tasks = loop_over_tasks

    def one_task(
        inputs: Inputs, targets: Tensor, mask: Tensor, query_inputs: Inputs, query_mask: Tensor
    ) -> Tensor:
        examples = Examples(inputs, targets, mask, support.num_classes, support.padded)
        state = learner.adapt(meta_params, examples)
        if uneven:
            predict = partial(learner.predict, meta_params, state)
            return outputs_present(predict, query_inputs, query_mask)
        return learner.predict(meta_params, state, query_inputs)

    outputs = over_tasks(
        one_task, support.inputs, support.targets, support.mask, query.inputs, query.mask
    )
    loss = objective.loss(outputs, query.targets, query.mask)
    return MetaLoss(loss, objective.shown(outputs.detach(), query.targets, query.mask))
