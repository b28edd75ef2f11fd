"""Class means and distances: what every nearest-centroid rule is made of."""

from __future__ import annotations

import torch
from torch import Tensor

from metaloop.core.examples import Examples


def class_means(features: Examples) -> tuple[Tensor, Tensor]:
    """Returns means `[classes, D]` of features `[N, D]` and bool `[classes]`: which have any."""
    one_hot = features.one_hot()
    counts = one_hot.sum(0)
    return one_hot.T @ features.features / counts.clamp(min=1).unsqueeze(-1), counts > 0


def squared_distances(points: Tensor, centres: Tensor) -> Tensor:
    """Returns `[..., N, K]` squared Euclidean distances of `[..., N, D]` from `[..., K, D]`."""
    cross = points @ centres.mT
    lengths = (points**2).sum(-1, keepdim=True) + (centres**2).sum(-1).unsqueeze(-2)
    return torch.clamp(lengths - 2 * cross, min=0)


def centred_and_normalised(features: Tensor, center: Tensor) -> Tensor:
    """Returns `(features - center)` scaled to unit length, row by row `[N, D]`."""
    return torch.nn.functional.normalize(features - center, dim=-1)
