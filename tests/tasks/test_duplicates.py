"""Copies in other parts are left out of the less sealed one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from metaloop.core.records import PARTS, Part
from metaloop.tasks.duplicates import copies_at_other_sizes, cross_part_duplicates
from metaloop.tasks.fingerprints import Known
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


def test_every_example_is_looked_up_at_most_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    nearest = Known.nearest

    def counted(known: Known, prints: np.ndarray) -> np.ndarray:
        asked.append(len(prints))
        return nearest(known, prints)

    monkeypatch.setattr(Known, "nearest", counted)
    pixels = np.random.default_rng(0).integers(0, 256, (4000, 1, 8, 8), dtype=np.uint8)
    targets = torch.arange(4000) % 4
    store = Store(torch.from_numpy(pixels), targets, tuple(ClassInfo(part) for part in PARTS))
    cross_part_duplicates(store, BY_PART)
    assert sum(asked) <= 4000


def sized(sides: list[int], pictures: list[int]) -> tuple[torch.Tensor, list[int]]:
    """Pictures as they are read from files of these sides: all 24 pixels wide, and their sizes."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (max(pictures) + 1, 6, 6, 3), dtype=np.uint8)
    images = []
    for side, picture in zip(sides, pictures, strict=True):
        large = Image.fromarray(coarse[picture]).resize((96, 96), Image.Resampling.BICUBIC)
        file = large.resize((side, side), Image.Resampling.BOX)
        kernel = Image.Resampling.BOX if side >= 24 else Image.Resampling.BILINEAR
        images.append(np.asarray(file.resize((24, 24), kernel)).transpose(2, 0, 1))
    return torch.from_numpy(np.stack(images)), [side * side for side in sides]


def test_smaller_copies_of_a_picture_in_its_class_are_found_the_largest_stays() -> None:
    inputs, pixels = sized([48, 96, 32, 96, 96, 48], [0, 0, 0, 1, 1, 2])
    targets = np.zeros(6, np.int64)
    asked: list[int] = []

    def size_of(index: int) -> int:
        asked.append(index)
        return pixels[index]

    assert copies_at_other_sizes(inputs, targets, size_of).tolist() == [0, 2]
    assert 5 not in asked  # only what has copies is opened again


def test_copies_at_other_sizes_in_other_classes_are_not_thumbnails() -> None:
    inputs, pixels = sized([48, 96], [0, 0])
    assert copies_at_other_sizes(inputs, np.array([0, 1]), pixels.__getitem__).tolist() == []
