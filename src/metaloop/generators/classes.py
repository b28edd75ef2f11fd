"""`Classes`: labelled examples sorted by class, which is what operators take and return.

Shapes: C classes, N examples. An operator is a function `(classes, rng, **options) -> Classes` that
returns new classes only and never changes what it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from metaloop.tasks.family import ClassFamily
from metaloop.tasks.store import ClassInfo

_NUMBERS_AT_ONCE = 1 << 21  # pixels or features changed in one go: their floats stay in the cache


@dataclass(frozen=True)
class Classes:
    """Inputs `[N, *input]` sorted by class, how many are of each class `[C]`, and its facts."""

    inputs: Tensor
    sizes: np.ndarray
    infos: tuple[ClassInfo, ...]

    def __len__(self) -> int:
        return len(self.infos)

    @property
    def starts(self) -> np.ndarray:
        """Index of the first example of each class, int64 `[C]`."""
        starts: np.ndarray = np.cumsum(self.sizes) - self.sizes
        return starts

    @property
    def labels(self) -> np.ndarray:
        """The class of each example, int64 `[N]`."""
        return np.repeat(np.arange(len(self)), self.sizes)

    @property
    def num_bytes(self) -> int:
        """Bytes of all inputs."""
        return self.inputs.numel() * self.inputs.element_size()

    def subset(self, chosen: np.ndarray) -> Classes:
        """Returns the chosen classes, in the order of their indices `chosen`."""
        if len(chosen) == len(self) and (chosen == np.arange(len(self))).all():
            return self
        starts = self.starts
        pieces = [np.arange(starts[c], starts[c] + self.sizes[c]) for c in chosen]
        rows = np.concatenate([np.empty(0, np.int64), *pieces])
        index = torch.from_numpy(rows).to(self.inputs.device)
        return Classes(
            self.inputs.index_select(0, index),
            self.sizes[chosen],
            tuple(self.infos[i] for i in chosen),
        )

    def changed(self, label: str, change: Callable[[Tensor, np.ndarray], Tensor]) -> Classes:
        """Returns new classes named `old | label`, with every example changed.

        `change(inputs [n, *input], classes [n])` is called for pieces of the examples; what it
        returns may be floats in the units of the inputs, and is brought back to their type.
        """
        labels, inputs = self.labels, self.inputs
        out = torch.empty_like(inputs)
        piece = max(1, _NUMBERS_AT_ONCE // max(1, inputs[:1].numel()))
        for start in range(0, len(inputs), piece):
            part = slice(start, start + piece)
            out[part] = like(change(inputs[part], labels[part]), inputs)
        return replace(self, inputs=out, infos=derived(self.infos, [label] * len(self)))


def training_classes(family: ClassFamily) -> Classes:
    """Returns the classes of a family's `train` part, in its order."""
    members = family.parts["train"]
    examples, _ = family.labelled("train")
    return Classes(
        family.store.taken(examples),
        np.array([len(family.store.examples_of[c]) for c in members], np.int64),
        tuple(family.store.classes[c] for c in members),
    )


def joined(pieces: Sequence[Classes]) -> Classes:
    """Returns the classes of all pieces, one after the other."""
    if len(pieces) == 1:
        return pieces[0]
    return Classes(
        torch.cat([piece.inputs for piece in pieces]),
        np.concatenate([piece.sizes for piece in pieces]),
        tuple(info for piece in pieces for info in piece.infos),
    )


def derived(infos: Sequence[ClassInfo], labels: Sequence[str]) -> tuple[ClassInfo, ...]:
    """Returns the facts of classes made of others: named `old | label`, of the old one's unit."""
    return tuple(
        replace(info, name=f"{info.name} | {label}", unit=info.unit or info.name)
        for info, label in zip(infos, labels, strict=True)
    )


def like(changed: Tensor, inputs: Tensor) -> Tensor:
    """Returns `changed` in the type of `inputs`: rounded and clipped where that is uint8."""
    if inputs.dtype == torch.uint8 and changed.dtype != torch.uint8:
        return changed.round().clamp(0, 255).to(torch.uint8)
    return changed.to(inputs.dtype)
