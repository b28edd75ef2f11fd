"""The contract of a learning algorithm: pure functions over dictionaries of tensors.

`init(spec, rng) -> meta_params`, `adapt(meta_params, support, rng) -> task_state` and
`predict(meta_params, task_state, inputs) -> outputs` are all that a learner must have besides the
loss that trains it. `adapt` and `predict` are about one task; the engine batches them over tasks.
Learners are frozen dataclasses: their fields are the choices of the method, never learned values.

Meta-parameters are one flat dictionary. A name that starts with `buffers.` is carried along but
not trained by gradient (running statistics, training means); all the others are trained.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, final, runtime_checkable

import torch
from torch import Tensor

from metaloop.core.examples import Batch, Examples, Inputs, map_inputs
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import TaskMap

MetaParams = dict[str, Tensor]
TaskState = Any  # opaque: a dictionary of tensors, or a fitted object of a black-box learner

BUFFER_PREFIX = "buffers."
CENTER = f"{BUFFER_PREFIX}center"  # the mean feature of the training classes


@dataclass(frozen=True)
class MetaLoss:
    """What one batch says: the scalar to descend, figures for people, and new buffer values."""

    loss: Tensor
    metrics: Mapping[str, Tensor] = field(default_factory=dict)
    buffers: Mapping[str, Tensor] = field(default_factory=dict)


class Learner(ABC):
    """A learning algorithm. `adapt` and `predict` never change what they are given."""

    target_kinds: ClassVar[frozenset[str]]
    """Kinds of targets it can learn: `classes`, `real`, `inputs`."""

    vmappable: ClassVar[bool]
    """Whether `adapt` and `predict` are tensor functions that `torch.func.vmap` can batch."""

    citation: ClassVar[str]
    """BibTeX of the method."""

    @property
    @abstractmethod
    def norm_policy(self) -> str:
        """Whose statistics batch norm uses on queries: running, support, query batch or none."""

    @property
    @abstractmethod
    def uses_query_batch(self) -> bool:
        """Whether a query's prediction depends on the other queries (transductive)."""

    @abstractmethod
    def init(self, spec: TaskSpec, rng: torch.Generator) -> MetaParams:
        """Returns fresh meta-parameters, drawn from `rng` alone (empty for a black box)."""

    @abstractmethod
    def adapt(
        self, meta_params: MetaParams, support: Examples, rng: torch.Generator | None = None
    ) -> TaskState:
        """Returns what was learned from the support `[N, ...]` of one task."""

    @abstractmethod
    def predict(self, meta_params: MetaParams, task_state: TaskState, inputs: Inputs) -> Tensor:
        """Returns outputs `[N, classes]` (logits) or `[N, *target]` for the inputs of one task."""

    @abstractmethod
    def meta_loss(
        self,
        meta_params: MetaParams,
        batch: Batch,
        rng: torch.Generator | None,
        over_tasks: TaskMap,
    ) -> MetaLoss:
        """Returns the loss that meta-training descends, on episodes or on labelled examples.

        Raises `TypeError` for a kind of batch that the method cannot be trained on.
        """


class EmbeddingLearner(Learner):
    """A learner that sees inputs only through an embedding which tasks do not change.

    Embeddings can then be computed once, in large batches, and shared by all episodes.
    """

    @abstractmethod
    def embed(self, meta_params: MetaParams, inputs: Inputs) -> Tensor:
        """Returns features `[N, D]`; each row depends on its own input only."""

    @abstractmethod
    def fit_head(self, meta_params: MetaParams, features: Examples) -> TaskState:
        """Returns what was learned from support features `[N, D]`; differentiable, `vmap`-able."""

    @abstractmethod
    def score(self, meta_params: MetaParams, task_state: TaskState, features: Tensor) -> Tensor:
        """Returns outputs for query features `[N, D]`; each row depends on its own row only.

        Unless the learner says that it `uses_query_batch`.
        """

    @final
    def adapt(
        self, meta_params: MetaParams, support: Examples, rng: torch.Generator | None = None
    ) -> TaskState:
        """Returns the head fitted on the embedded support."""
        features = self.embed(meta_params, support.inputs)
        return self.fit_head(meta_params, support.with_inputs(features))

    @final
    def predict(self, meta_params: MetaParams, task_state: TaskState, inputs: Inputs) -> Tensor:
        """Returns the head's outputs on the embedded inputs."""
        return self.score(meta_params, task_state, self.embed(meta_params, inputs))

    @property
    def uses_query_batch(self) -> bool:
        """Never, where it is not said: features and scores are computed row by row."""
        return False


@runtime_checkable
class AfterTraining(Protocol):
    """A learner that keeps the mean feature of the training classes, set once training ends."""

    def finish(self, meta_params: MetaParams, mean_feature: Tensor) -> MetaParams:
        """Returns the meta-parameters with that mean `[D]` in the entry `CENTER`."""


@runtime_checkable
class KeepsSupport(Protocol):
    """A learner whose task state is as large as the support was."""

    def support_size(self, task_state: Mapping[str, Tensor]) -> int:
        """Returns how many examples the state was made of; 0 if it is none of such."""


@runtime_checkable
class Explains(KeepsSupport, Protocol):
    """A learner of real targets that tells what each example of a support moves a prediction by."""

    def contributions(
        self, meta_params: MetaParams, task_state: MetaParams, features: Tensor
    ) -> Tensor:
        """Returns `[Q, N, K]` for embedded queries, in standardised targets."""


def outputs_present(predict: Callable[[Inputs], Tensor], inputs: Inputs, mask: Tensor) -> Tensor:
    """Returns outputs `[N, ...]` of the queries that `mask` `[N]` says are there, else zeros.

    A learner that looks at its query batch is not shown padding; of one task, not under `vmap`.
    """
    there = mask.nonzero().flatten()
    outputs = predict(map_inputs(lambda each: each[there], inputs))
    return outputs.new_zeros(len(mask), *outputs.shape[1:]).index_put((there,), outputs)


def trained(meta_params: MetaParams) -> MetaParams:
    """Returns the entries that gradient descent may change."""
    return {k: v for k, v in meta_params.items() if not k.startswith(BUFFER_PREFIX)}


def buffers(meta_params: MetaParams) -> MetaParams:
    """Returns the entries that are carried along untrained."""
    return {k: v for k, v in meta_params.items() if k.startswith(BUFFER_PREFIX)}
