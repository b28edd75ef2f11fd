"""`Episodes`: a stack of episodes as indices into a store, and their gathering into tensors."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch

from metaloop.core.examples import EpisodeBatch, Examples
from metaloop.core.inputs import InputFormat
from metaloop.tasks.store import Store


@dataclass(frozen=True)
class Indices:
    """Which examples make the support or the query side of T tasks.

    `examples` int64 `[T, N]` index the store (0 where padded), `labels` int64 `[T, N]` are the
    class within the task (0 where targets are not classes), `mask` bool `[T, N]`.
    """

    examples: np.ndarray
    labels: np.ndarray
    mask: np.ndarray

    def __getitem__(self, tasks: slice) -> Indices:
        return Indices(self.examples[tasks], self.labels[tasks], self.mask[tasks])


@dataclass(frozen=True)
class Episodes:
    """T episodes over one store. `num_classes` is 0 where targets are real values."""

    store: Store
    support: Indices
    query: Indices
    num_classes: int

    def __len__(self) -> int:
        return len(self.support.examples)

    def __getitem__(self, tasks: slice) -> Episodes:
        return Episodes(self.store, self.support[tasks], self.query[tasks], self.num_classes)

    @property
    def list_hash(self) -> str:
        """Identity of this list of episodes over this content, 16 hexadecimal digits."""
        sha = hashlib.sha256(self.store.digest.encode())
        for side in (self.support, self.query):
            for array in (side.examples, side.labels, side.mask):
                sha.update(f"{array.dtype}{array.shape}".encode())
                sha.update(np.ascontiguousarray(array).data)
        return sha.hexdigest()[:16]

    def gather(self, input_format: InputFormat) -> EpisodeBatch:
        """Returns the episodes as float tensors on the store's device, not yet normalised."""
        return EpisodeBatch(
            self._gather(self.support, input_format), self._gather(self.query, input_format)
        )

    def _gather(self, side: Indices, input_format: InputFormat) -> Examples:
        device = self.store.inputs.device
        index = torch.from_numpy(side.examples).to(device)
        inputs = self.store.inputs.index_select(0, index.flatten()).view(
            *index.shape, *self.store.inputs.shape[1:]
        )
        if self.num_classes:
            targets = torch.from_numpy(side.labels).to(device)
        else:
            targets = self.store.targets[index]
        mask = torch.from_numpy(side.mask).to(device)
        padded = not bool(side.mask.all())
        return Examples(input_format.to_float(inputs), targets, mask, self.num_classes, padded)
