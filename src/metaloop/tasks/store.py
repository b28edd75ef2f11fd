"""`Store`: all examples of a family in memory, with the classes, groups and published parts.

Images are uint8 `[N, channels, height, width]`, vectors float32 `[N, features]`. Everything that
samples episodes works on indices into a store; inputs are gathered on their device in one step.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor

PublishedPart = Literal["train", "val", "test"]


@dataclass(frozen=True)
class ClassInfo:
    """What is known of a class besides its examples.

    `group` is the folder above it (an alphabet, a domain), "" where there is none. Classes of one
    `unit` always share a part (the rotations of one character); "" means the class is its own.
    `part` is the published part, None where no split was published.
    """

    name: str
    group: str = ""
    unit: str = ""
    part: PublishedPart | None = None


@dataclass(frozen=True)
class Store:
    """Examples `inputs [N, *input]` with `targets` int64 `[N]` that index `classes`.

    Where `values` float64 `[N, targets]` are there, they are what is to be predicted, and `classes`
    are the groups whose functions they are.
    """

    inputs: Tensor
    targets: Tensor
    classes: tuple[ClassInfo, ...]
    polarity: Literal["as_is", "ink"] = "as_is"
    values: Tensor | None = None

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.targets):
            raise ValueError(f"{len(self.inputs)} inputs but {len(self.targets)} targets")

    def to(self, device: torch.device | str) -> Store:
        """Returns the store with its tensors on `device`."""
        values = None if self.values is None else self.values.to(device)
        inputs, targets = self.inputs.to(device), self.targets.to(device)
        return replace(self, inputs=inputs, targets=targets, values=values)

    def without(self, classes: np.ndarray, examples: np.ndarray | None = None) -> Store:
        """Returns the store without these classes and these examples; what follows moves up."""
        targets = self.targets.cpu().numpy()
        keep = ~np.isin(targets, classes)
        if examples is not None:
            keep[examples] = False
        stay = np.setdiff1d(np.arange(len(self.classes)), classes)
        moved = np.searchsorted(stay, targets[keep])
        kept = torch.from_numpy(keep).to(self.inputs.device)
        return replace(
            self,
            inputs=self.inputs[kept],
            values=None if self.values is None else self.values[kept],
            targets=torch.from_numpy(moved).to(self.targets),
            classes=tuple(self.classes[index] for index in stay),
        )

    @cached_property
    def examples_of(self) -> list[np.ndarray]:
        """Indices of the examples of every class, in order."""
        targets = self.targets.cpu().numpy()
        order = np.argsort(targets, kind="stable")
        ends = np.cumsum(np.bincount(targets, minlength=len(self.classes)))
        return np.split(order, ends[:-1])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of inputs, targets, values and class names: the identity of the content."""
        sha = hashlib.sha256()
        inputs = self.inputs.cpu().contiguous().numpy()
        sha.update(f"{inputs.dtype}{inputs.shape}".encode())
        sha.update(inputs.data)
        sha.update(self.targets.cpu().numpy().data)
        if self.values is not None:
            sha.update(self.values.cpu().contiguous().numpy().data)
        for info in self.classes:
            sha.update(f"{info.name}\0{info.group}\0{info.unit}\0{info.part}\n".encode())
        return sha.hexdigest()


@dataclass(frozen=True)
class LeftOut:
    """Something that was found in the data and not used: what, why, and how often."""

    what: str
    reason: str
    count: int = 1


@dataclass(frozen=True)
class Reading:
    """What a reader found: the store, what kind of data it took it for, what it left out."""

    name: str  # short: the folder's or file's name, or the built-in family's
    kind: str  # in words: "folder of images, one folder per class"
    store: Store
    left_out: tuple[LeftOut, ...] = field(default=())
    notes: tuple[str, ...] = ()  # how it was understood, where it could be meant otherwise
