"""Learners without meta-parameters whose task state is a fitted object of another library.

Their state is opaque: it is not a dictionary of tensors, cannot be batched, and is saved as recipe
and support set, to be fitted again when loaded. It must then be the same, and the same in whatever
order and company tasks come: what is random in a classifier follows from the support alone.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, Protocol, final, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from metaloop.core.errors import MetaloopError
from metaloop.core.examples import Batch, Examples, Inputs
from metaloop.core.inputs import InputFormat
from metaloop.core.learner import Learner, MetaLoss, MetaParams
from metaloop.core.randomness import derive_seed
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import TaskMap
from metaloop.core.views import View, checked_view, seen

_SEEDS = 2**31  # NumPy's old generators take no larger ones
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


@dataclass(frozen=True, kw_only=True)
class BlackBoxLearner(Learner):
    """A learner that fits a classifier of another library on the flattened inputs of a support.

    `view`: how the classifier is to see inputs; other views than `raw` need the `input_format` with
    the statistics of the training classes.
    """

    view: View = "raw"
    input_format: InputFormat | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if checked_view(self.view) != "raw" and self.input_format is None:
            raise MetaloopError(
                f"the view '{self.view}' needs statistics of training classes; give "
                f"{type(self).__name__} their input_format, or view='raw'"
            )

    @abstractmethod
    def make(self, seed: int) -> ProbabilisticClassifier:
        """Returns an unfitted classifier, whose randomness, if any, comes from `seed`.

        Seeds are below 2^31; one is for one task: equal supports give equal seeds.
        """

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
        """Returns the classifier fitted on the support; its seed is drawn from `rng`, if given."""
        present = support.mask.cpu().numpy()
        inputs = self._matrix(support.inputs)[present]
        labels = support.targets.cpu().numpy()[present]
        fitted = self.make(_seed(inputs, labels, rng)).fit(inputs, labels)
        return FittedBox(fitted, fitted.classes_, support.num_classes)

    @final
    def predict(self, meta_params: MetaParams, task_state: FittedBox, inputs: Inputs) -> Tensor:
        """Returns log-probabilities `[N, classes]`; a class without support is impossible."""
        assert isinstance(inputs, Tensor)
        known = task_state.classifier.predict_proba(self._matrix(inputs))
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

    def _matrix(self, inputs: Inputs) -> np.ndarray:
        assert isinstance(inputs, Tensor)
        if self.view != "raw":
            assert self.input_format is not None
            inputs = seen(inputs, self.input_format, self.view)
        return inputs.flatten(1).cpu().numpy()


def _seed(inputs: np.ndarray, labels: np.ndarray, rng: torch.Generator | None) -> int:
    if rng is not None:
        return int(torch.randint(_SEEDS, (), generator=rng, device=rng.device))
    content = hashlib.sha256(np.ascontiguousarray(inputs).tobytes())
    content.update(np.ascontiguousarray(labels).tobytes())
    return derive_seed(0, "black box", content.hexdigest()) % _SEEDS
