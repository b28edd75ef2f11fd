"""Merged families: what others lend to the training part, and what is sealed and stays so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from metaloop.core.columns import whole
from metaloop.core.errors import DataError
from metaloop.core.randomness import numpy_stream
from metaloop.core.records import PARTS
from metaloop.tasks.family import ClassFamily, class_family, episode_list
from metaloop.tasks.merging import merge, without_overlap
from metaloop.tasks.readers import read_arrays
from metaloop.tasks.store import ClassInfo, LeftOut, Reading, Store


def reading(name: str, seed: int, features: int = 4, classes: int = 24) -> Reading:
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), 6)
    return read_arrays(rng.normal(size=(len(labels), features)), labels, name=name)


def family(name: str, seed: int, features: int = 4, classes: int = 24) -> ClassFamily:
    return class_family(reading(name, seed, features, classes))[0]


def joined(base: ClassFamily, *others: ClassFamily) -> tuple[ClassFamily, tuple[LeftOut, ...]]:
    """What is trained on, and what was left out of it."""
    cleaned = without_overlap(base, others)
    left_out = tuple(item for each in cleaned for item in each.left_out)
    return merge(base, [each.family for each in cleaned]), left_out


@pytest.fixture
def base() -> ClassFamily:
    return family("base", 0)


def train_rows(of: ClassFamily) -> torch.Tensor:
    rows = np.concatenate([of.store.examples_of[c] for c in of.parts["train"]])
    return of.store.taken(rows)


def as_set(rows: torch.Tensor) -> set[bytes]:
    return {row.numpy().tobytes() for row in rows}


def test_the_training_classes_of_others_join_and_only_those(base: ClassFamily) -> None:
    others = [family("first", 1), family("second", 2)]
    merged, left_out = joined(base, *others)
    wanted = as_set(train_rows(base)).union(*(as_set(train_rows(other)) for other in others))
    assert as_set(train_rows(merged)) == wanted and left_out == ()
    names = [merged.store.classes[c].name for c in merged.parts["train"]]
    assert len(set(names)) == len(names)
    own = [base.store.classes[c].name for c in base.parts["train"]]
    assert names[: len(own)] == own
    assert all(name.startswith(("first | ", "second | ")) for name in names[len(own) :])
    for index in merged.parts["train"]:
        assert set(merged.store.targets[merged.store.examples_of[index]].tolist()) == {index}


def test_sealed_classes_of_others_are_nowhere_in_the_merged_store(base: ClassFamily) -> None:
    other = family("other", 1)
    sealed = [
        other.store.inputs[row]
        for part in PARTS[1:]
        for c in other.parts[part]
        for row in other.store.examples_of[c]
    ]
    merged, _ = joined(base, other)
    assert not as_set(whole(merged.store.inputs)) & {row.numpy().tobytes() for row in sealed}


def test_evaluation_parts_and_episodes_stay_as_they_were(base: ClassFamily) -> None:
    merged, _ = joined(base, family("other", 1))
    spec = base.spec(3, 1, 2)
    for part in PARTS[1:]:
        np.testing.assert_array_equal(merged.parts[part], base.parts[part])
        mine, other = (episode_list(f, part, spec, 100) for f in (base, merged))
        np.testing.assert_array_equal(mine.query.examples, other.query.examples)
    assert merged.input_format == base.input_format
    assert merged.digest != base.digest


def photographs(names: Sequence[str], seed: int = 0, size: int = 8) -> Reading:
    """Classes of smooth colourful images that have nothing in common."""
    rng = np.random.default_rng(seed)
    waves = rng.uniform(0, 256, (len(names) * size, 3, 4, 4)).astype(np.uint8)
    infos = tuple(ClassInfo(name) for name in names)
    targets = torch.arange(len(names)).repeat_interleave(size)
    pixels = torch.from_numpy(waves.repeat(4, 2).repeat(4, 3))
    return Reading("photographs", "a test", Store(pixels, targets, infos))


def with_images(name: str, pixels: torch.Tensor, names: Sequence[str]) -> ClassFamily:
    """A family of these images, equally many of each class, all of them in training."""
    targets = torch.arange(len(names)).repeat_interleave(len(pixels) // len(names))
    store = Store(pixels, targets, tuple(ClassInfo(each) for each in names))
    none = np.empty(0, np.int64)
    return ClassFamily(name, store, dict.fromkeys(PARTS, none) | {"train": np.arange(len(names))})


@pytest.fixture(scope="module")
def known() -> ClassFamily:
    return class_family(photographs([f"name {k:02d}" for k in range(16)]))[0]


def part_of(family: ClassFamily, index: int) -> str:
    return next(part for part in PARTS if index in family.parts[part])


@pytest.mark.parametrize("step", [0, 1])
def test_the_same_pictures_a_grey_level_off_bring_nothing_sealed_into_training(
    known: ClassFamily, step: int
) -> None:
    """Further classes are dealt with them, so that other classes are the sealed ones."""
    pixels = known.store.inputs.clamp(max=250) + step
    again = Store(known.store.inputs.clamp(max=250), known.store.targets, known.store.classes)
    base = replace(known, store=again)
    more = photographs([str(k) for k in range(100, 116)], seed=1)
    infos = tuple(ClassInfo(f"{k}") for k in range(16)) + more.store.classes
    targets = torch.cat([known.store.targets, more.store.targets + 16])
    store = Store(torch.cat([pixels, more.store.inputs]), targets, infos)
    other, _ = class_family(Reading("other", "a test", store))
    shared = [index for index in other.parts["train"] if index < 16]
    sealed = [index for index in shared if part_of(known, index) != "train"]
    assert sealed and len(sealed) < len(shared)  # both kinds came into training
    merged, left_out = joined(base, other)
    added = merged.store.classes[16:]
    lent = [index for index in other.parts["train"] if index >= 16]
    assert [info.name for info in added] == [f"other | {other.store.classes[i].name}" for i in lent]
    assert merged.parts["train"][: len(base.parts["train"])].tolist() == list(base.parts["train"])
    assert left_out[0].count == len(sealed) and "the same as classes that are sealed" in str(
        left_out
    )
    assert left_out[1].what == "examples of other"
    assert left_out[1].count == 8 * (len(shared) - len(sealed))


def test_a_class_with_some_copies_of_a_sealed_class_is_left_out_with_its_unit(
    known: ClassFamily,
) -> None:
    sealed = known.store.examples_of[known.parts["test"][0]]
    more = photographs(["7", "8", "9"], seed=2).store
    pixels = more.inputs.clone()
    pixels[:2] = known.store.inputs[torch.from_numpy(sealed[:2])] ^ 1  # a level up or down
    other = with_images("other", pixels, ["7", "8", "9"])
    infos = tuple(replace(info, unit="turned" if info.name != "9" else "") for info in more.classes)
    other = replace(other, store=replace(other.store, classes=infos))
    merged, (told,) = joined(known, other)
    assert [info.name for info in merged.store.classes[16:]] == ["other | 9"]
    assert told.count == 2 and "'7', '8' of other" in told.what


def test_one_copy_of_a_sealed_example_is_left_out_and_its_class_stays(known: ClassFamily) -> None:
    row = known.store.examples_of[known.parts["search"][0]][0]
    pixels = photographs(["7"], seed=2, size=20).store.inputs.clone()
    pixels[3] = known.store.inputs[row] ^ 1
    merged, (told,) = joined(known, with_images("other", pixels, ["7"]))
    assert (told.what, told.count) == ("examples of other", 1)
    assert len(merged.store.examples_of[16]) == 19


@pytest.mark.parametrize(("name", "stays"), [("Dog", False), ("a/dog", False), ("cat", True)])
def test_other_pictures_of_a_sealed_class_of_that_name_do_not_train(
    known: ClassFamily, name: str, stays: bool
) -> None:
    index = known.parts["promotion"][0]
    infos = list(known.store.classes)
    infos[index] = ClassInfo("animals/dog")
    base = replace(known, store=replace(known.store, classes=tuple(infos)))
    other = with_images("other", photographs(["x", "y"], seed=3).store.inputs, [name, "wolf"])
    merged, left_out = joined(base, other)
    assert len(merged.store.classes) == 16 + 1 + stays
    assert len(left_out) == (not stays)


def test_numbers_are_names_that_tell_nothing(known: ClassFamily) -> None:
    """`name 00` and the like are names of sealed classes, but so they are in any data."""
    numbers = tuple(ClassInfo(f"class {k}") for k in range(16))
    base = replace(known, store=replace(known.store, classes=numbers))
    names = [info.name for info in numbers]
    other = with_images("other", photographs(names, seed=4).store.inputs, names)
    merged, left_out = joined(base, other)
    assert left_out == () and len(merged.store.classes) == 32


def test_further_families_keep_their_sealed_parts_from_each_other(known: ClassFamily) -> None:
    names = [str(k) for k in range(16)]
    first = class_family(replace(photographs(names, seed=5), name="first"))[0]
    second = with_images("second", first.store.inputs ^ 1, [f"{k + 50}" for k in range(16)])
    merged, left_out = joined(known, first, second)
    lent = [info.name for info in merged.store.classes[16:]]
    assert all(name.startswith("first | ") for name in lent)
    assert len(lent) == len(first.parts["train"])
    sealed = sum(len(first.parts[part]) for part in PARTS[1:])
    assert [item.count for item in left_out[:2]] == [sealed, 8 * len(first.parts["train"])]


def test_a_family_without_overlap_comes_back_itself(known: ClassFamily) -> None:
    other = class_family(photographs([str(k) for k in range(16)], seed=6))[0]
    (cleaned,) = without_overlap(known, [other])
    assert cleaned.family is other and cleaned.left_out == ()


def test_vectors_with_rounding_errors_are_copies_too(base: ClassFamily) -> None:
    noise = 1e-6 * torch.randn(base.store.inputs.shape, generator=torch.Generator().manual_seed(0))
    (cleaned,) = without_overlap(
        base, [replace(base, store=replace(base.store, inputs=base.store.inputs + noise))]
    )
    assert len(cleaned.family.parts["train"]) == 0
    assert cleaned.left_out[0].count == len(train_rows(base))


def test_other_shapes_are_refused(base: ClassFamily) -> None:
    with pytest.raises(DataError, match=r"inputs of shape \(5,\) cannot be learned from for base"):
        without_overlap(base, [family("wide", 1, features=5)])


def test_merged_families_make_training_episodes_of_all_classes(base: ClassFamily) -> None:
    merged, _ = joined(base, family("other", 1))
    episodes = merged.sample("train", base.spec(5, 1, 2), 200, numpy_stream(0, "episodes"))
    drawn = merged.store.targets[episodes.support.examples].unique().numpy()
    np.testing.assert_array_equal(np.sort(drawn), np.sort(merged.parts["train"]))
