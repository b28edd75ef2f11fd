"""`Episodes`: a stack of episodes as indices into a store, and their gathering into tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metaloop.core.examples import EpisodeBatch, Examples
from metaloop.core.inputs import InputFormat
from metaloop.core.metric import Scores
from metaloop.core.objective import Objective
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

    def padded(self, number: int) -> Indices:
        """Returns the same tasks with `number` examples each, those that were added masked."""
        width = ((0, 0), (0, number - self.examples.shape[1]))
        arrays = (self.examples, self.labels, self.mask)
        return Indices(*(np.pad(array, width) for array in arrays))


@dataclass(frozen=True)
class Episodes:
    """T episodes over one store. `num_classes` is 0 where targets are real values.

    `alike`: all of them are of one unit, for they say nothing of others.
    """

    store: Store
    support: Indices
    query: Indices
    num_classes: int
    alike: bool = False

    def __len__(self) -> int:
        return len(self.support.examples)

    def __getitem__(self, tasks: slice) -> Episodes:
        sides = self.support[tasks], self.query[tasks]
        return Episodes(self.store, *sides, self.num_classes, self.alike)

    @property
    def units(self) -> np.ndarray:
        """What the tasks are made of, int64 `[T, U]`: the store's classes, in the labels' order.

        A task whose targets are real values is one unit: its group, or if there are none, told by
        its first example.
        """
        support = self.support
        targets = self.store.targets.cpu().numpy()
        if not self.num_classes:
            first = support.examples[:, :1].astype(np.int64)
            if self.alike:
                return np.zeros_like(first)
            return first if self.store.values is None else targets[first]
        units = np.full((len(self), self.num_classes), -1, dtype=np.int64)
        tasks, places = np.nonzero(support.mask)
        units[tasks, support.labels[tasks, places]] = targets[support.examples[tasks, places]]
        return units

    def real_targets(self, side: Indices) -> Tensor:
        """Returns real targets `[T, N, targets]` of the examples of a side, in their own units."""
        values = self.store.targets if self.store.values is None else self.store.values
        return values[torch.from_numpy(side.examples).to(values.device)]

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
        device = self.store.device
        index = torch.from_numpy(side.examples).to(device)
        inputs = self.store.taken(index)
        if self.num_classes:
            targets = torch.from_numpy(side.labels).to(device)
        else:
            targets = input_format.standardise_targets(self.real_targets(side))
        mask = torch.from_numpy(side.mask).to(device)
        padded = not bool(side.mask.all())
        return Examples(input_format.to_float(inputs), targets, mask, self.num_classes, padded)


def in_turn(lists: Sequence[Episodes]) -> Episodes:
    """Returns episodes of equally long lists over one store, one of each in turn, padded alike."""
    first = lists[0]

    def side(of: Sequence[Indices]) -> Indices:
        longest = max(indices.examples.shape[1] for indices in of)
        padded = [indices.padded(longest) for indices in of]

        def stacked(arrays: list[np.ndarray]) -> np.ndarray:
            return np.stack(arrays, 1).reshape(-1, longest)

        return Indices(
            stacked([indices.examples for indices in padded]),
            stacked([indices.labels for indices in padded]),
            stacked([indices.mask for indices in padded]),
        )

    support, query = side([each.support for each in lists]), side([each.query for each in lists])
    return Episodes(first.store, support, query, first.num_classes, first.alike)


def scored_by_tensors(
    objective: Objective, outputs: Tensor, targets: Tensor, episodes: Episodes
) -> dict[str, Scores]:
    """Returns the scores of all metrics that need no more than outputs and targets."""
    mask = torch.from_numpy(episodes.query.mask).to(outputs.device)
    return objective.scores(outputs, targets, mask, episodes.units.shape[1])
