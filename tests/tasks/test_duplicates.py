"""Copies in other parts are left out of the less sealed one."""

from __future__ import annotations

import time

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from metaloop.core.records import PARTS, Part
from metaloop.tasks.duplicates import cross_part_duplicates
from metaloop.tasks.store import ClassInfo, Store

# one class in each part, and one in none
BY_PART: dict[Part, np.ndarray] = {part: np.array([i]) for i, part in enumerate(PARTS)}


def store_of(contents: list[int], targets: list[int]) -> Store:
    """Tiny images, each filled with one value."""
    filled = torch.tensor(contents, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    classes = tuple(ClassInfo(name) for name in (*PARTS, "other"))
    return Store(filled, torch.tensor(targets, dtype=torch.int64), classes)


def test_the_copy_in_the_most_sealed_part_stays() -> None:
    store = store_of([7, 7, 7, 7, 8, 8, 9], [0, 1, 2, 3, 0, 1, 0])
    assert cross_part_duplicates(store, BY_PART).examples.tolist() == [0, 1, 2, 4]


def test_copies_within_one_part_stay() -> None:
    store = store_of([7, 7, 8, 8, 8], [0, 0, 1, 1, 1])
    assert cross_part_duplicates(store, BY_PART).examples.tolist() == []
    assert (store) == 3


def test_blank_images_are_duplicates_too() -> None:
    assert cross_part_duplicates(store_of([0, 0], [0, 3]), BY_PART).examples.tolist() == [0]


def test_classes_in_no_part_do_not_count() -> None:
    assert cross_part_duplicates(store_of([7, 7], [0, 4]), BY_PART).examples.tolist() == []


def test_vectors_are_compared_by_all_their_bytes() -> None:
    rows = torch.tensor([[1.0, 2.0], [1.0, 2.0], [1.0, 2.5]])
    store = Store(rows, torch.tensor([0, 3, 3]), tuple(ClassInfo(part) for part in PARTS))
    assert cross_part_duplicates(store, BY_PART).examples.tolist() == [0]


def test_near_copies_leave_the_less_sealed_part_and_are_counted() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (4, 3, 8, 8), dtype=np.uint8).repeat(4, 2).repeat(4, 3)
    images = torch.from_numpy(np.concatenate([pixels[:2], pixels[:3] + 1, pixels[3:]]))
    targets = torch.tensor([0, 1, 3, 3, 3, 2])
    store = Store(images, targets, tuple(ClassInfo(part) for part in PARTS))
    copies = cross_part_duplicates(store, BY_PART)
    assert (copies.examples.tolist(), copies.near) == ([0, 1], 2)
    assert copies.what == "examples, 2 of them near-copies"


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), min_size=1, max_size=30))
def test_afterwards_no_content_is_in_two_parts_and_none_is_lost(
    examples: list[tuple[int, int]],
) -> None:
    store = store_of(*map(list, zip(*examples, strict=True)))
    dropped = set(cross_part_duplicates(store, BY_PART).examples.tolist())
    kept = {(content, target) for i, (content, target) in enumerate(examples) if i not in dropped}
    for content in {content for content, _ in examples}:
        before = {target for c, target in examples if c == content and target < 4}
        after = {target for c, target in kept if c == content and target < 4}
        assert after == ({max(before)} if before else set())


def test_as_many_images_as_omniglot_take_less_than_two_seconds() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (130_000, 1, 28, 28), dtype=np.uint8)
    images = torch.from_numpy(pixels)
    targets = torch.arange(130_000) % 4
    store = Store(images, targets, tuple(ClassInfo(part) for part in PARTS))
    start = time.process_time()
    cross_part_duplicates(store, BY_PART)
    assert time.process_time() - start < 2
