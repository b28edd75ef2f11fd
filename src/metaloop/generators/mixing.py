"""New classes between two: examples of a fixed pair of classes, paired at random and combined.

    mix(s):     (1 - s) * a + s * b
    cutmix(s):  a, with a rectangle of b that covers the share s, at one place for the new class

The label of a mixed example is the new class, not a share of two: a task with a mixed class asks
for telling it from others. After Yao et al. 2022, arXiv:2106.02695, who mix tasks, and Yun et al.
2019, arXiv:1905.04899, who cut and mix examples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from metaloop.core.errors import DataError
from metaloop.generators.classes import Classes, derived, like

_EXAMPLES_AT_ONCE = 1024

# (own examples, their partners, their classes) -> new examples
_Combine = Callable[[Tensor, Tensor, np.ndarray], Tensor]


def mix(classes: Classes, rng: np.random.Generator, share: float) -> Classes:
    """Returns as many new classes, each the weighted mean of a class and `share` of another.

    Raises `DataError` if there is no other class.
    """
    partners, partner_examples = paired(classes, rng, "mix")

    def mixed(own: Tensor, other: Tensor, _: np.ndarray) -> Tensor:
        return torch.lerp(own.float(), other.float(), share)

    inputs = combined(classes, partner_examples, mixed)
    labels = [f"mix({share}, {classes.infos[partner].name})" for partner in partners]
    return replace(classes, inputs=inputs, infos=derived(classes.infos, labels))


def cutmix(classes: Classes, rng: np.random.Generator, share: float) -> Classes:
    """Returns as many new classes: images of one with a rectangle of another pasted in.

    Raises `DataError` if there is no other class.
    """
    partners, partner_examples = paired(classes, rng, "cutmix")
    masks = _rectangles(classes, rng, share)

    def pasted(own: Tensor, other: Tensor, labels: np.ndarray) -> Tensor:
        mask = masks[torch.from_numpy(labels).to(masks.device)]
        return torch.where(mask[:, None], other, own)

    inputs = combined(classes, partner_examples, pasted)
    labels = [f"cutmix({share}, {classes.infos[partner].name})" for partner in partners]
    return replace(classes, inputs=inputs, infos=derived(classes.infos, labels))


def paired(classes: Classes, rng: np.random.Generator, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns another class for each class `[C]`, and an example of it for each example `[N]`.

    Every class is a partner once. Examples of a smaller partner are used again in turn.
    """
    if len(classes) < 2:
        raise DataError(f"{name}(...) needs two training classes, there is {len(classes)}")
    circle = rng.permutation(len(classes))
    partners = np.empty_like(circle)
    partners[circle] = np.roll(circle, -1)
    labels, starts = classes.labels, classes.starts
    shuffled = np.lexsort((rng.random(len(labels)), labels))  # at random within each class
    rank = np.arange(len(labels)) - starts[labels]
    partner = partners[labels]
    return partners, shuffled[starts[partner] + rank % classes.sizes[partner]]


def combined(classes: Classes, partner_examples: np.ndarray, combine: _Combine) -> Tensor:
    """Returns what `combine` makes of every example and its partner, in the type of the inputs."""
    inputs, labels = classes.inputs, classes.labels
    out = torch.empty_like(inputs)
    for start in range(0, len(inputs), _EXAMPLES_AT_ONCE):
        part = slice(start, start + _EXAMPLES_AT_ONCE)
        index = torch.from_numpy(partner_examples[part]).to(inputs.device)
        out[part] = like(combine(inputs[part], inputs[index], labels[part]), inputs)
    return out


def _rectangles(classes: Classes, rng: np.random.Generator, share: float) -> Tensor:
    """Returns masks `[C, height, width]`, each a rectangle that covers about `share`."""
    height, width = classes.inputs.shape[-2:]
    exponent = rng.uniform(0.25, 0.75, len(classes))  # between broad and tall
    tall = np.maximum(1, np.round(height * share**exponent)).astype(np.int64)
    broad = np.maximum(1, np.round(width * share ** (1 - exponent))).astype(np.int64)
    top, left = rng.integers(0, height - tall + 1), rng.integers(0, width - broad + 1)
    y, x = np.arange(height), np.arange(width)
    rows = (y >= top[:, None]) & (y < (top + tall)[:, None])
    columns = (x >= left[:, None]) & (x < (left + broad)[:, None])
    return torch.from_numpy(rows[:, :, None] & columns[:, None, :]).to(classes.inputs.device)
