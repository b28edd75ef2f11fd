"""Learners without meta-parameters whose task state is a fitted object of another library.

Their state is opaque: it is not a dictionary of tensors, cannot be batched, and is saved as recipe
and support set, to be fitted again when loaded.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol, final, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from metaloop.core.examples import Batch, Examples, Inputs
from metaloop.core.learner import Learner, MetaLoss, MetaParams
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import TaskMap

_LEAST_PROBABILITY = 1e-12


@runtime_checkable
class ProbabilisticClassifier(Protocol):
    """What a black box must offer: scikit-learn's habits."""

    def fit(self, inputs: np.ndarray, labels: np.ndarray) -> Any:
        """Learns from `inputs [N, features]` and `labels [N]`; returns itself, with `classes_`."""

    def predict_proba(self, inputs: np.ndarray) -> np.ndarray:
        """Returns probabilities `[N, len(classes_)]`."""


@dataclass(frozen=True)
class FittedBox:
    """A fitted classifier, the classes it knows, and how many classes the task has."""

    classifier: ProbabilisticClassifier
    classes: np.ndarray
    num_classes: int


class BlackBoxLearner(Learner):
    """A learner that fits a classifier of another library on the flattened inputs of a support."""

    @abstractmethod
    def make(self) -> ProbabilisticClassifier:
        """Returns an unfitted classifier."""

    @property
    @final
    def norm_policy(self) -> str:
        """There is no net, so no batch norm."""
        return "none"

    @property
    @final
    def uses_query_batch(self) -> bool:
        """Never."""
        return False

    @final
    def init(self, spec: TaskSpec, rng: torch.Generator) -> MetaParams:
        """Returns nothing: a black box has no meta-parameters."""
        return {}

    @final
    def adapt(
        self, meta_params: MetaParams, support: Examples, rng: torch.Generator | None = None
    ) -> FittedBox:
        """Returns the classifier fitted on the support."""
        inputs = _matrix(support.inputs)[support.mask.cpu().numpy()]
        labels = support.targets[support.mask].cpu().numpy()
        fitted = self.make().fit(inputs, labels)
        return FittedBox(fitted, fitted.classes_, support.num_classes)

    @final
    def predict(self, meta_params: MetaParams, task_state: FittedBox, inputs: Inputs) -> Tensor:
        """Returns log-probabilities `[N, classes]`; a class without support is impossible."""
        assert isinstance(inputs, Tensor)
        known = task_state.classifier.predict_proba(_matrix(inputs))
        logits = np.full((len(known), task_state.num_classes), -np.inf, dtype=np.float32)
        logits[:, task_state.classes] = np.log(np.maximum(known, _LEAST_PROBABILITY))
        return torch.from_numpy(logits).to(inputs.device)

    @final
    def meta_loss(
        self,
        meta_params: MetaParams,
        batch: Batch,
        rng: torch.Generator | None,
        over_tasks: TaskMap,
    ) -> MetaLoss:
        """Raises `TypeError`: there is nothing to train."""
        raise TypeError(f"{type(self).__name__} has nothing to train")


def _matrix(inputs: Inputs) -> np.ndarray:
    assert isinstance(inputs, Tensor)
    return inputs.flatten(1).cpu().numpy()
