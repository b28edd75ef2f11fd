"""New classes from vectors: features hidden, mirrored or exchanged, the same way for a whole class.

Means and deviations are those of all examples given, so that a changed feature stays in its range.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from metaloop.generators.classes import Classes

_SMALLEST_DEVIATION = 1e-8


def mask(classes: Classes, rng: np.random.Generator, share: float) -> Classes:
    """Returns every class with a `share` of the features, drawn for the class, set to the mean."""
    hidden = _drawn_features(classes, rng, share)
    mean = classes.inputs.mean(0)

    def masked(vectors: Tensor, labels: np.ndarray) -> Tensor:
        return torch.where(_of(hidden, labels), mean, vectors)

    return classes.changed(f"mask({share})", masked)


def sign(classes: Classes, rng: np.random.Generator, share: float) -> Classes:
    """Returns every class with a `share` of the features, drawn for it, mirrored at the mean."""
    mirrored = _drawn_features(classes, rng, share)
    mean = classes.inputs.mean(0)

    def reflected(vectors: Tensor, labels: np.ndarray) -> Tensor:
        return torch.where(_of(mirrored, labels), 2 * mean - vectors, vectors)

    return classes.changed(f"sign({share})", reflected)


def permute_features(classes: Classes, rng: np.random.Generator, share: float) -> Classes:
    """Returns every class with a `share` of its features exchanged, in their standard units."""
    num_features = classes.inputs.shape[1]
    count = min(num_features, max(2, round(share * num_features)))
    orders = np.tile(np.arange(num_features), (len(classes), 1))
    for order in orders:
        places = rng.permutation(num_features)[:count]
        order[places] = np.roll(places, 1)  # one circle: each of them moves
    index = torch.from_numpy(orders).to(classes.inputs.device)
    mean = classes.inputs.mean(0)
    deviation = classes.inputs.std(0, correction=0)

    def exchanged(vectors: Tensor, labels: np.ndarray) -> Tensor:
        standard = (vectors - mean) / deviation.clamp(min=_SMALLEST_DEVIATION)
        return mean + deviation * standard.gather(1, _of(index, labels))

    return classes.changed(f"permute_features({share})", exchanged)


def _drawn_features(classes: Classes, rng: np.random.Generator, share: float) -> Tensor:
    """Returns bool `[C, features]`: about `share` of the features of each class, at least one."""
    num_features = classes.inputs.shape[1]
    count = max(1, round(share * num_features))
    order = np.argsort(rng.random((len(classes), num_features)), axis=1)
    return torch.from_numpy(order < count).to(classes.inputs.device)


def _of(table: Tensor, labels: np.ndarray) -> Tensor:
    return table[torch.from_numpy(labels).to(table.device)]
