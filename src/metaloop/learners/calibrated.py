"""Distribution calibration: what training classes tell of where a class of few examples lies.

    z   = sign(x) |x|^power, centred on the training classes, of unit length
    m_c = mean over examples j of c of (z_j + weight * sum of M_i) / (1 + weight * k),  i near j
    v   = mean over all examples j of the mean of V_i, i near j, + spread * mean of V
    logits[q, c] = m_c . (z_q / v) - 1/2 m_c . (m_c / v)

Near j are the k training classes whose means M are nearest to z_j; V are the variances of features
in them. The paper draws hundreds of features from such Gaussians and fits logistic regression to
them; where classes share v, more and more samples come to this linear discriminant, so nothing is
drawn. Differs from the paper: variances only, no covariances (of 1,280 features 6 MB a class); the
classes of training tasks, in which one may come more than once; spread counts in mean variances.
Yang, Liu and Xu 2021, arXiv:2101.06395.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from metaloop.core.black_box import Adapting, BlackBoxLearner
from metaloop.core.examples import EpisodeBatch
from metaloop.core.learner import BUFFER_PREFIX, MetaParams
from metaloop.core.spec import TaskSpec
from metaloop.core.views import seen

_MIDDLE, _MEANS, _VARIANCES = (
    f"{BUFFER_PREFIX}{name}" for name in ("middle", "means", "variances")
)
_MOST_NUMBERS = 1 << 22  # in the means of all classes: 16 MB of a file
_LEAST_VARIANCE = 1e-12

Statistics = tuple[Tensor, Tensor, Tensor]  # middle [D], means [K, D], variances [K, D]
State = tuple[Tensor, Tensor]  # weights [classes, D], biases [classes]


@final
@dataclass(frozen=True)
class Calibrated(BlackBoxLearner):
    """A linear discriminant on calibrated means; `nearest` is k."""

    power: float = 0.5
    nearest: int = 2
    weight: float = 0.2
    spread: float = 3.0

    target_kinds: ClassVar[frozenset[str]] = frozenset({"classes"})
    num_tasks: ClassVar[int] = 64
    citation: ClassVar[str] = """@inproceedings{yang2021free,
  title = {Free Lunch for Few-Shot Learning: Distribution Calibration},
  author = {Yang, Shuo and Liu, Lu and Xu, Min},
  booktitle = {International Conference on Learning Representations},
  year = {2021},
  eprint = {2101.06395},
}"""

    def make(self, seed: int) -> Adapting:
        """Returns the discriminant without training classes: all it has is the support."""
        return _Discriminant(self, None)

    def start(self, spec: TaskSpec) -> MetaParams:
        """Returns the statistics of no classes: the middle and all means are zero."""
        features = math.prod(spec.input_shape)
        groups = min(self.num_tasks * spec.ways, _most_groups(features))
        return {
            _MIDDLE: torch.zeros(features),
            _MEANS: torch.zeros(groups, features),
            _VARIANCES: torch.ones(groups, features),
        }

    def prepare(self, tasks: EpisodeBatch) -> MetaParams:
        """Returns means and variances of the tasks' classes, by support and queries together."""
        both = (tasks.support, tasks.query)
        rows = torch.cat([self._powered(each.features) for each in both], 1)
        labels = torch.cat([each.targets for each in both], 1)
        there = torch.cat([each.mask for each in both], 1)
        middle = rows[there].mean(0)
        rows = functional.normalize(rows - middle, dim=-1)
        groups = [
            rows[task][there[task] & (labels[task] == label)]
            for task in range(tasks.num_tasks)
            for label in range(tasks.support.num_classes)
        ][: _most_groups(rows.shape[-1])]
        return {
            _MIDDLE: middle,
            _MEANS: torch.stack([group.mean(0) for group in groups]),
            _VARIANCES: torch.stack([group.var(0, correction=0) for group in groups]),
        }

    def make_prepared(self, seed: int, meta_params: MetaParams) -> Adapting:
        """Returns the discriminant with these statistics; nothing in it is random."""
        middle, means, variances = (
            meta_params[name].cpu() for name in (_MIDDLE, _MEANS, _VARIANCES)
        )
        return _Discriminant(self, (middle, means, variances))

    def _powered(self, inputs: Tensor) -> Tensor:
        """Inputs of stacked tasks `[T, N, *shape]` in the view, flat, to the power."""
        if self.view != "raw" and self.input_format is not None:
            inputs = seen(inputs, self.input_format, self.view)
        return powered(inputs.flatten(2), self.power)


class _Discriminant:
    """What tells the classes of one task apart."""

    def __init__(self, options: Calibrated, statistics: Statistics | None) -> None:
        self.options = options
        self.statistics = statistics

    def adapt(self, inputs: np.ndarray, targets: np.ndarray, num_classes: int) -> State:
        """Returns weights and biases; a class without examples is impossible."""
        rows = self._directions(inputs)
        of_class = functional.one_hot(torch.from_numpy(targets), num_classes).float()
        variance = torch.ones(rows.shape[1])
        if self.statistics is not None:
            _, known, variances = self.statistics
            nearest = min(self.options.nearest, len(known))
            near = torch.cdist(rows, known).topk(nearest, largest=False).indices
            weight = self.options.weight
            rows = (rows + weight * known[near].sum(1)) / (1 + weight * nearest)
            variance = variances[near].mean((0, 1)) + self.options.spread * variances.mean()
        means = of_class.T @ rows / of_class.sum(0).clamp(min=1).unsqueeze(-1)
        weights = means / variance.clamp(min=_LEAST_VARIANCE)
        biases = -0.5 * (means * weights).sum(-1)
        return weights, biases.masked_fill(of_class.sum(0) == 0, -torch.inf)

    def predict(self, state: State, inputs: np.ndarray) -> np.ndarray:
        """Returns logits `[N, classes]`."""
        weights, biases = state
        logits: np.ndarray = (self._directions(inputs) @ weights.T + biases).numpy()
        return logits

    def _directions(self, inputs: np.ndarray) -> Tensor:
        rows = powered(torch.from_numpy(inputs).float(), self.options.power)
        if self.statistics is not None:
            rows = rows - self.statistics[0]
        return functional.normalize(rows, dim=-1)


def powered(inputs: Tensor, power: float) -> Tensor:
    """Returns `sign(x) |x|^power`: features with long tails become more like Gaussians."""
    return inputs.sign() * inputs.abs() ** power


def _most_groups(features: int) -> int:
    return max(1, _MOST_NUMBERS // features)
