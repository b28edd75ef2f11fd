"""Laws of the split: disjoint by unit, large enough, a function of content and seed alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaloop.core.errors import DataError
from metaloop.core.records import PARTS, Part
from metaloop.tasks.split import assign_parts
from metaloop.tasks.store import ClassInfo


def plain(count: int) -> list[ClassInfo]:
    return [ClassInfo(f"class {i:04d}") for i in range(count)]


def grouped(sizes: list[int]) -> list[ClassInfo]:
    return [
        ClassInfo(f"g{g:02d}/c{i:03d}", group=f"g{g:02d}")
        for g, size in enumerate(sizes)
        for i in range(size)
    ]


def sizes(parts: dict[Part, np.ndarray]) -> list[int]:
    return [len(parts[part]) for part in PARTS]


@st.composite
def families(draw: st.DrawFn) -> list[ClassInfo]:
    """Classes with groups and with units of several turns."""
    turns = draw(st.sampled_from([1, 1, 2, 4]))
    num_groups = draw(st.integers(1, 12))
    units = draw(st.lists(st.integers(0, num_groups - 1), min_size=12, max_size=80))
    with_groups = draw(st.booleans())
    return [
        ClassInfo(
            f"u{u}/rot{turn}",
            group=f"g{group}" if with_groups else "",
            unit=f"u{u}" if turns > 1 else "",
        )
        for u, group in enumerate(units)
        for turn in range(turns)
    ]


@given(families(), st.integers(0, 5))
def test_parts_are_disjoint_by_unit_complete_and_large_enough(
    classes: list[ClassInfo], seed: int
) -> None:
    parts = assign_parts(classes, seed)
    together = np.concatenate([parts[part] for part in PARTS])
    assert sorted(together.tolist()) == list(range(len(classes)))
    for part in PARTS:
        assert parts[part].dtype == np.int64
        assert (np.diff(parts[part]) > 0).all()
        assert len(parts[part]) >= max(2, min(5, len(classes) // 4))
    units = [{classes[i].unit or classes[i].name for i in parts[part]} for part in PARTS]
    assert len(set.union(*units)) == sum(map(len, units))


@given(families(), st.integers(0, 5), st.randoms(use_true_random=False))
def test_the_order_in_which_classes_are_listed_does_not_matter(
    classes: list[ClassInfo], seed: int, random: object
) -> None:
    shuffled = list(classes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first, second = assign_parts(classes, seed), assign_parts(shuffled, seed)
    for part in PARTS:
        assert {classes[i] for i in first[part]} == {shuffled[i] for i in second[part]}


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (8, [2, 2, 2, 2]),
        (20, [5, 5, 5, 5]),
        (40, [20, 5, 5, 10]),
        (160, [80, 20, 20, 40]),
        (1623, [811, 203, 203, 406]),
    ],
)
def test_shares_are_a_half_two_eighths_and_a_quarter(count: int, expected: list[int]) -> None:
    assert sizes(assign_parts(plain(count))) == expected


def test_another_seed_gives_another_split_and_the_same_seed_the_same() -> None:
    classes = plain(100)
    first, again, other = (assign_parts(classes, seed) for seed in (0, 0, 1))
    assert all(np.array_equal(first[part], again[part]) for part in PARTS)
    assert not np.array_equal(first["test"], other["test"])


def test_groups_stay_whole_where_they_allow_it() -> None:
    classes = grouped([14, 26, 20, 33, 41, 16, 24, 47, 20, 22, 16, 29, 33, 26, 40, 17, 18, 24])
    for seed in range(5):
        parts = assign_parts(classes, seed)
        groups = [{classes[i].group for i in parts[part]} for part in PARTS]
        assert sum(map(len, groups)) == 18
        targets = np.array([0.5, 0.125, 0.125, 0.25]) * len(classes)
        assert (np.abs(sizes(parts) - targets) <= targets / 3 + 1).all()


def test_groups_are_cut_where_they_do_not_allow_it() -> None:
    assert sizes(assign_parts(grouped([38, 1, 1]))) == [20, 5, 5, 10]
    assert sizes(assign_parts(grouped([40]))) == [20, 5, 5, 10]


def published(train: int, val: int, test: int, turns: int = 1) -> list[ClassInfo]:
    return [
        ClassInfo(f"{part}{i}/rot{turn}", unit=f"{part}{i}", part=part)  # type: ignore[arg-type]
        for part, count in (("train", train), ("val", val), ("test", test))
        for i in range(count)
        for turn in range(turns)
    ]


def test_a_published_split_stays_and_its_val_is_halved() -> None:
    classes = published(20, 9, 12, turns=4)
    parts = assign_parts(classes)
    assert sizes(parts) == [80, 20, 16, 48]
    assert {classes[i].part for i in parts["train"]} == {"train"}
    assert {classes[i].part for i in parts["search"]} == {"val"}
    assert {classes[i].part for i in parts["promotion"]} == {"val"}
    assert {classes[i].part for i in parts["test"]} == {"test"}


def test_published_val_is_halved_in_whole_groups_where_that_is_exact() -> None:
    def family(group_sizes: list[int]) -> list[ClassInfo]:
        val = [ClassInfo(info.name, info.group, part="val") for info in grouped(group_sizes)]
        return published(10, 0, 10) + val

    exact, uneven = family([3, 5, 2, 4]), family([3, 6, 1])
    parts = assign_parts(exact)
    groups = [{exact[i].group for i in parts[part]} for part in ("search", "promotion")]
    assert sizes(parts) == [10, 7, 7, 10]
    assert not groups[0] & groups[1]
    assert sizes(assign_parts(uneven)) == [10, 5, 5, 10]


def test_without_published_val_search_and_promotion_come_from_train() -> None:
    classes = published(80, 0, 30)
    parts = assign_parts(classes)
    assert sizes(parts) == [60, 10, 10, 30]
    assert {classes[i].part for i in parts["test"]} == {"test"}


def test_tiny_imagenet_keeps_its_parts(shared_data: Path) -> None:
    path = shared_data / "tiny_imagenet_fewshot" / "tiny_imagenet_fewshot.npz"
    if not path.is_file():
        pytest.skip(f"no tiny ImageNet at {path}")
    with np.load(path) as archive:
        named = zip(archive["class_wnid"].tolist(), archive["class_split"].tolist(), strict=True)
    assert sizes(assign_parts([ClassInfo(n, part=p) for n, p in named])) == [100, 12, 12, 36]


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (plain(7), "the data has 7 classes; .* need at least 8"),
        ([], "the data has 0 classes"),
        ([ClassInfo(f"c{i}", unit=f"u{i // 4}") for i in range(12)], "12 classes in 3 independent"),
        (published(10, 3, 10), "promotion 1"),
        (published(4, 0, 10), "leave a part with fewer than 2 classes"),
        (published(10, 4, 1), "test 1"),
        (published(10, 4, 0), "needs classes in train and in test"),
        ([*published(10, 4, 4), ClassInfo("x")], "'x' is in no part"),
        ([*published(10, 4, 4), ClassInfo("x", unit="val0", part="test")], "'val0' is in more"),
    ],
)
def test_impossible_splits_are_refused(classes: list[ClassInfo], words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        assign_parts(classes)
    assert "\n" not in str(caught.value)
