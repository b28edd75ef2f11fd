"""Gaussian process regression whose kernel is chosen on training tasks, and fixed after that.

k(x, x') = offset + slope x.x' / D + exp(-|x - x'|^2 / (2 length_scale^2 D)),   D features
y(x) = k(x, X) (k(X, X) + noise I)^-1 y      on the support X, y of the task

A kernel fitted to the five points of one task fits their noise, so it is not: the meta-stage takes
the values whose predictions on queries of training tasks have the least squared error. The task
itself is fitted by scikit-learn.
Rasmussen & Williams 2006, Gaussian Processes for Machine Learning (MIT Press), chapter 2.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct
from torch import Tensor

from metaloop.core.black_box import BlackBoxLearner, RealPredictor
from metaloop.core.examples import EpisodeBatch
from metaloop.core.learner import BUFFER_PREFIX, MetaParams
from metaloop.core.spec import TaskSpec
from metaloop.core.views import seen

_KERNEL = f"{BUFFER_PREFIX}kernel"  # float64 [4]: length scale, noise, offset, slope
_LENGTHS = (0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.5, 5.0)
_NOISES = (1e-4, 1e-2, 0.1, 0.3, 1.0, 3.0)
_OFFSETS = (0.0, 1.0, 10.0)
_SLOPES = (0.0, 1.0, 10.0)
_MOST_EXAMPLES = 64  # of a side of a task, to choose by: the cost is their cube


@final
@dataclass(frozen=True)
class GaussianProcess(BlackBoxLearner):
    """A Gaussian process; the fields are its kernel without a meta-stage, in target variances."""

    length_scale: float = 1.0
    noise: float = 0.1
    offset: float = 1.0
    slope: float = 0.0

    target_kinds: ClassVar[frozenset[str]] = frozenset({"real"})
    num_tasks: ClassVar[int] = 64
    citation: ClassVar[str] = """@book{rasmussen2006gaussian,
  title = {Gaussian Processes for Machine Learning},
  author = {Rasmussen, Carl Edward and Williams, Christopher K. I.},
  publisher = {MIT Press},
  year = {2006},
}"""

    def make(self, seed: int) -> RealPredictor:
        """Returns scikit-learn's regressor with the kernel of the fields; nothing is random."""
        return self.make_prepared(seed, self._as_tensors(self._fields()))

    def start(self, spec: TaskSpec) -> MetaParams:
        """Returns the kernel of the fields."""
        return self._as_tensors(self._fields())

    def prepare(self, tasks: EpisodeBatch) -> MetaParams:
        """Returns the kernel of the grid with the least squared error on the tasks' queries."""
        few = slice(_MOST_EXAMPLES)
        support = self._numbers(tasks.support.features[:, few])
        query = self._numbers(tasks.query.features[:, few])
        known = tasks.support.targets[:, few].double()
        wanted = tasks.query.targets[:, few].double()
        present = tasks.support.mask[:, few].double()
        asked = tasks.query.mask[:, few].double()
        pairs = present.unsqueeze(1) * present.unsqueeze(2)
        known = known * present.unsqueeze(-1)
        apart = _Pairs(support, support), _Pairs(query, support)
        noise_free = torch.eye(support.shape[1], dtype=torch.float64, device=support.device)
        best, least = self._fields(), np.inf
        for length, offset, slope in itertools.product(_LENGTHS, _OFFSETS, _SLOPES):
            among = apart[0].kernel(length, offset, slope) * pairs
            across = apart[1].kernel(length, offset, slope) * present.unsqueeze(1)
            for noise in _NOISES:
                weights = torch.linalg.solve(among + noise * noise_free, known)
                errors = (across @ weights - wanted).square().mean(-1) * asked
                error = float((errors.sum(-1) / asked.sum(-1).clamp(min=1)).mean())
                if error < least:
                    best, least = (length, noise, offset, slope), error
        return self._as_tensors(best)

    def make_prepared(self, seed: int, meta_params: MetaParams) -> RealPredictor:
        """Returns scikit-learn's regressor with the kernel of the meta-stage."""
        length, noise, offset, slope = meta_params[_KERNEL].tolist()
        regressor: RealPredictor = _Regressor(length, noise, offset, slope)
        return regressor

    def _fields(self) -> tuple[float, float, float, float]:
        return self.length_scale, self.noise, self.offset, self.slope

    def _as_tensors(self, kernel: tuple[float, float, float, float]) -> MetaParams:
        return {_KERNEL: torch.tensor(kernel, dtype=torch.float64)}

    def _numbers(self, inputs_TN: Tensor) -> Tensor:
        """Inputs of stacked tasks `[T, N, D]` in the view, float64."""
        if self.view != "raw" and self.input_format is not None:
            inputs_TN = seen(inputs_TN, self.input_format, self.view)
        return inputs_TN.flatten(2).double()


class _Pairs:
    """What a kernel needs of pairs of inputs `[T, N, D]`, `[T, M, D]`, both over D."""

    def __init__(self, first: Tensor, second: Tensor) -> None:
        features = first.shape[-1]
        self.products = first @ second.mT / features
        self.squares = torch.cdist(first, second).square() / features

    def kernel(self, length: float, offset: float, slope: float) -> Tensor:
        """Returns k `[T, N, M]`."""
        return offset + slope * self.products + torch.exp(self.squares / (-2 * length**2))


class _Regressor:
    """scikit-learn's regressor, made when the number of features is known."""

    def __init__(self, length: float, noise: float, offset: float, slope: float) -> None:
        self.length, self.noise, self.offset, self.slope = length, noise, offset, slope

    def fit(self, inputs: np.ndarray, targets: np.ndarray) -> _Regressor:
        features = inputs.shape[1]
        kernel = RBF(self.length * np.sqrt(features), "fixed")
        if self.offset:
            kernel += ConstantKernel(self.offset, "fixed")
        if self.slope:
            kernel += ConstantKernel(self.slope / features, "fixed") * DotProduct(0.0, "fixed")
        fitted = GaussianProcessRegressor(kernel, alpha=self.noise, optimizer=None)
        self.fitted = fitted.fit(inputs.astype(np.float64), targets.astype(np.float64))
        return self

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        return np.asarray(self.fitted.predict(inputs.astype(np.float64)))
