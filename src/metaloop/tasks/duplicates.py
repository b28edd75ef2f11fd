"""Examples that occur twice, byte for byte: a copy in another part would leak across the split."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from torch import Tensor

from metaloop.core.records import PARTS, Part
from metaloop.tasks.store import Store

_NO_PART = -1


def cross_part_duplicates(store: Store, parts: Mapping[Part, np.ndarray]) -> np.ndarray:
    """Returns the sorted indices, int64, of examples to leave out of the less sealed parts.

    `parts` holds class indices, as from `assign_parts`. Where the same content occurs in several
    parts, only the copies in the most sealed of them stay: test, then promotion, search, train.
    """
    rank_of_class = np.full(len(store.classes), _NO_PART)
    for rank, part in enumerate(PARTS):  # ordered from open to sealed
        rank_of_class[parts.get(part, np.empty(0, np.int64))] = rank
    ranks = rank_of_class[store.targets.cpu().numpy()]
    most_sealed = np.full(len(ranks), _NO_PART)
    content = _content_ids(store)
    np.maximum.at(most_sealed, content, ranks)
    return np.flatnonzero((ranks != _NO_PART) & (ranks < most_sealed[content]))


def within_class_duplicates(store: Store) -> int:
    """Returns how many examples repeat an earlier example of their own class."""
    pairs = np.stack([store.targets.cpu().numpy(), _content_ids(store)], axis=1)
    return len(pairs) - len(np.unique(pairs, axis=0))


def _content_ids(store: Store) -> np.ndarray:
    """One number for every example; equal numbers mean equal bytes."""
    ids: dict[bytes, int] = {}
    digests = content_hashes(store.inputs)
    return np.array([ids.setdefault(digest, len(ids)) for digest in digests], np.int64)


def content_hashes(inputs: Tensor) -> list[bytes]:
    """Returns a hash of the bytes of every example of `inputs [N, ...]`."""
    rows = inputs.cpu().contiguous().numpy().reshape(len(inputs), -1)
    return [hashlib.blake2b(row.data, digest_size=16).digest() for row in rows]
