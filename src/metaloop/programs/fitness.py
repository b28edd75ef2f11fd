"""How good a program is on cached embeddings, and whether it is one that was seen before.

T tasks, S support examples, Q queries, C classes, D features.
Accuracy decides; the cross-entropy of a program is that of its logits at their best scale, so that
a rule is not judged by a constant that tuning will find anyway.
The fingerprint leaves out scale and whatever is added to all classes alike for the same reason.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from metaloop.core.examples import EpisodeBatch, Examples
from metaloop.programs.episodes import episode_logits, fit, logits_of, without_absent
from metaloop.programs.inference import TypedProgram
from metaloop.programs.interpreter import Constants, initial_constants
from metaloop.programs.rules import Sizes

_SCALES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # of logits whose deviation is one
_LEAST_DEVIATION = 1e-6  # relative to the size of the logits: below it they are all the same
_FINGERPRINT_TASKS = 2  # the first may have one shot, where a sum is a mean
_FINGERPRINT_QUERIES = 12
_STRIDES = (1, 2, 3)  # of queries that are looked at
_NUMBERS_AT_ONCE = 1 << 22  # floats of the features of a full measurement
_STEPS = 1e3  # equal to about 3 digits
_OFFSET = 0.31830989  # keeps simple fractions away from where rounding changes


@dataclass(frozen=True)
class Features:
    """Stacked episodes whose inputs are features `[T, N, D]`, and the mean training feature."""

    episodes: EpisodeBatch
    center_D: Tensor

    def __len__(self) -> int:
        return self.episodes.num_tasks

    def __getitem__(self, tasks: slice) -> Features:
        batch = self.episodes
        parts = EpisodeBatch(_part(batch.support, tasks), _part(batch.query, tasks))
        return Features(parts, self.center_D)

    def every(self, stride: int) -> Features:
        """Returns the same episodes with every so-manyth query."""
        thinner = _part(self.episodes.query, (slice(None), slice(None, None, stride)))
        return Features(EpisodeBatch(self.episodes.support, thinner), self.center_D)

    def labelled_by(self, predictions_TQ: Tensor) -> Features:
        """Returns the same episodes with other query labels: those that a teacher predicts."""
        query = replace(self.episodes.query, targets=predictions_TQ)
        return Features(EpisodeBatch(self.episodes.support, query), self.center_D)

    @property
    def sizes(self) -> Sizes:
        """The sizes of one task's axes."""
        support, query = self.episodes.support, self.episodes.query
        return {
            "S": support.targets.shape[1],
            "Q": query.targets.shape[1],
            "C": support.num_classes,
            "D": support.features.shape[-1],
        }


@dataclass(frozen=True)
class Fitness:
    """Accuracy and cross-entropy of every episode `[T]`, predicted classes `[T, Q]`.

    `scale`: what multiplies logits to give the cross-entropy.
    """

    accuracy: Tensor
    cross_entropy: Tensor
    predictions: Tensor
    scale: float

    def followed_by(self, other: Fitness) -> Fitness:
        """Returns the figures of both stacks of episodes."""
        return Fitness(
            torch.cat([self.accuracy, other.accuracy]),
            torch.cat([self.cross_entropy, other.cross_entropy]),
            torch.cat([self.predictions, other.predictions]),
            self.scale,
        )


@torch.no_grad()
def fitness(
    program: TypedProgram,
    features: Features,
    constants: Constants | None = None,
    scale: float | None = None,
) -> Fitness | None:
    """Returns the program's figures; None if it predicts values that are not finite, or nothing.

    `scale`: one that is known to be good; None finds the best of a few.
    """
    sizes = features.sizes
    given = initial_constants(program, sizes["D"]) if constants is None else constants
    given = {name: tensor.to(features.center_D.device) for name, tensor in given.items()}
    logits = episode_logits(program, given, features.center_D, features.episodes)
    possible = ~logits.isneginf()
    deviation = _deviation(logits, possible)
    if deviation is None:
        return None
    query = features.episodes.query
    predictions = logits.argmax(-1)
    correct = (predictions == query.targets) & query.mask
    count = query.mask.sum(-1).clamp(min=1)
    scales = [factor / deviation for factor in _SCALES] if scale is None else [scale]
    losses = _cross_entropies(logits, query, count, scales)
    best = int(losses.mean(-1).argmin())
    return Fitness(correct.sum(-1) / count, losses[best], predictions, scales[best])


@torch.no_grad()
def fingerprint(program: TypedProgram, features: Features) -> str | None:
    """Returns a hash of the logits on a few queries up to scale, 16 hexadecimal digits.

    Computed in float64 and rounded. None if they are not finite, or the same for all classes.
    """
    constants = {
        name: tensor.double().to(features.center_D.device)
        for name, tensor in initial_constants(program, features.sizes["D"]).items()
    }
    center, batch = features.center_D.double(), features.episodes
    digest = hashlib.sha256()
    for task in range(min(_FINGERPRINT_TASKS, len(features))):
        side = batch.support
        support = replace(
            side,
            inputs=side.features[task].double(),
            targets=side.targets[task],
            mask=side.mask[task],
        )
        state, masks = fit(program, constants, center, support)
        number = batch.query.targets.shape[1]
        chosen = torch.linspace(0, number - 1, min(number, _FINGERPRINT_QUERIES)).long()
        queries = batch.query.features[task][chosen.to(batch.query.features.device)].double()
        logits = logits_of(program, constants, center, state, masks, queries)
        possible = masks["C"].expand_as(logits)
        deviation = _deviation(without_absent(logits, masks), possible)
        if deviation is None:
            return None
        standard = torch.where(possible, (logits - _row_means(logits, possible)) / deviation, 0.0)
        digest.update((standard * _STEPS + _OFFSET).floor().long().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def affordable(features: Features, quick: int, full: int) -> tuple[Features, int]:
    """Returns the features and how many episodes are `full`.

    Fewer queries of each episode, then fewer episodes, where features are wide.
    """
    for stride in _STRIDES:
        thinner = features.every(stride)
        sizes = thinner.sizes
        numbers = (sizes["S"] + sizes["Q"]) * sizes["D"]
        if numbers * full <= _NUMBERS_AT_ONCE:
            break
    return thinner, min(full, max(2 * quick, _NUMBERS_AT_ONCE // numbers))


def _part(side: Examples, chosen: slice | tuple[slice, slice]) -> Examples:
    return replace(
        side, inputs=side.features[chosen], targets=side.targets[chosen], mask=side.mask[chosen]
    )


def _deviation(logits: Tensor, possible: Tensor) -> float | None:
    """Returns how much logits differ between classes; None if they do not, or are not finite."""
    finite = torch.where(possible, logits, 0.0)
    size = float(finite.abs().max())
    if not math.isfinite(size):
        return None
    rest = torch.where(possible, logits - _row_means(logits, possible), 0.0)
    deviation = float(rest.square().mean().sqrt())
    return deviation if deviation > _LEAST_DEVIATION * max(size, 1e-20) else None


def _row_means(logits: Tensor, possible: Tensor) -> Tensor:
    filled = torch.where(possible, logits, 0.0)
    return filled.sum(-1, keepdim=True) / possible.sum(-1, keepdim=True).clamp(min=1)


def _cross_entropies(
    logits: Tensor, query: Examples, count: Tensor, scales: Sequence[float]
) -> Tensor:
    """Returns the cross-entropy of every episode at every scale, `[scales, T]`."""
    scaled = torch.stack([logits * scale for scale in scales])
    targets = query.targets.unsqueeze(-1).expand(len(scales), -1, -1, -1)
    likelihood = scaled.gather(-1, targets).squeeze(-1) - scaled.logsumexp(-1)
    return -torch.where(query.mask, likelihood, 0.0).sum(-1) / count
