"""Examples that occur twice: a copy in another part would leak across the split.

Examples are the same if their bytes are; they are near-copies if their fingerprints say so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from metaloop.core.column_kinds import is_of_vectors
from metaloop.core.columns import Column
from metaloop.core.errors import DataError
from metaloop.core.records import PARTS, Part
from metaloop.tasks.fingerprints import (
    Known,
    fingerprints,
    groups_of_equal,
    prints_of,
)
from metaloop.tasks.store import Store

_NO_PART = -1
_NEIGHBOURS = 6  # of an image that are looked at: it and its thumbnails


@dataclass(frozen=True, eq=False)
class Copies:
    """Sorted indices of `examples` to leave out; `near` of them are the same but for some bytes."""

    examples: np.ndarray
    near: int

    @property
    def what(self) -> str:
        """What is left out, in words."""
        return f"examples, {self.near:,} of them near-copies" if self.near else "examples"


def cross_part_duplicates(store: Store, parts: Mapping[Part, np.ndarray]) -> Copies:
    """Returns the examples, int64, to leave out of the less sealed parts.

    `parts` holds class indices, as from `assign_parts`. Where the same content occurs in several
    parts, only the copies in the most sealed of them stay: test, then promotion, search, train.
    """
    rank_of_class = np.full(len(store.classes), _NO_PART)
    for rank, part in enumerate(PARTS):  # ordered from open to sealed
        rank_of_class[parts.get(part, np.empty(0, np.int64))] = rank
    ranks = rank_of_class[store.targets.cpu().numpy()]
    same = (ranks != _NO_PART) & (ranks < _highest(ranks, store.content)[store.content])
    near = _near(store, ranks, same)
    return Copies(np.flatnonzero(same | near), int(near.sum()))


def _highest(ranks: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The highest rank of all examples of each number."""
    highest = np.full(int(numbers.max(initial=-1)) + 1, _NO_PART)
    np.maximum.at(highest, numbers, ranks)
    return highest


def _near(store: Store, ranks: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Which examples have a near-copy of a higher rank; those that are the `same` are not asked."""
    kept = store.known
    if kept is not None and kept.near is not None:
        of_group = _highest(ranks, kept.groups)
        highest = of_group.copy()
        inside = kept.near[(kept.near < len(of_group)).all(axis=1)]  # others have no examples left
        for one, other in (inside.T, inside.T[::-1]):
            np.maximum.at(highest, one, of_group[other])
        return np.asarray((ranks != _NO_PART) & ~same & (ranks < highest[kept.groups]))
    near = np.zeros(len(ranks), bool)
    prints, vectors = prints_of(store), is_of_vectors(store.inputs)
    for rank in range(len(PARTS) - 1):
        asked = np.flatnonzero((ranks == rank) & ~same)
        known = Known(prints[ranks > rank], vectors)
        near[asked] = known.nearest(prints[asked]) >= 0
    return near


def copies_at_other_sizes(
    inputs: Column, targets: np.ndarray, size_of: Callable[[int], int]
) -> np.ndarray:
    """Returns the sorted indices of images that are in their class once more, and larger.

    `size_of(i)` is the number of pixels that image i had before all got one shape; it is asked for
    images that have near-copies only. Copies of one size all stay.
    """
    prints = fingerprints(inputs)
    groups = groups_of_equal(prints)
    found = Known(prints, is_of_vectors(inputs)).neighbours(prints, _NEIGHBOURS)
    several = (found[:, 1] >= 0) | (np.bincount(groups)[groups] > 1)
    members: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index in np.flatnonzero(several).tolist():
        members[int(groups[index]), int(targets[index])].append(index)

    @cache
    def largest(group: int, target: int) -> int:
        return max(map(size, members.get((group, target), ())), default=0)

    size = cache(size_of)
    gone = []
    for index in np.flatnonzero(several).tolist():
        target = int(targets[index])
        near = {int(groups[i]) for i in found[index] if i >= 0}
        twice = sum(len(members.get((group, target), ())) for group in near) > 1
        if twice and max(largest(group, target) for group in near) > size(index):
            gone.append(index)
    return np.array(gone, np.int64)


def check_something_left(
    name: str, store: Store, split: Mapping[Part, np.ndarray], num_duplicates: int
) -> None:
    """Raises `DataError` if a part is left with fewer than 2 classes of 2 examples."""
    sizes = np.array([len(examples) for examples in store.examples_of])
    for part in PARTS:
        if len(split[part]) and (sizes[split[part]] > 1).sum() < 2:
            raise DataError(
                f"{name}: {num_duplicates} examples occur in several parts; without them part "
                f"'{part}' has fewer than 2 classes of 2 examples; give different examples"
            )
