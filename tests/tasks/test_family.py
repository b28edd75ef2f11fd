"""Class families: parts, refusals that name what is possible, formats, labelled examples."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from metaloop.core.errors import DataError, EpisodeError
from metaloop.core.records import PARTS
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.recognising import recognise_by_name
from metaloop.tasks.store import ClassInfo, Reading, Store


def make_reading(num_classes: int = 24, size: int = 6, names: str = "c") -> Reading:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (num_classes * size, 1, 8, 8)).astype(np.uint8)
    targets = torch.arange(num_classes).repeat_interleave(size)
    classes = tuple(ClassInfo(f"{names}{k:02d}") for k in range(num_classes))
    return Reading("toy", "a test", Store(torch.from_numpy(images), targets, classes))


def test_parts_share_no_class_and_hold_all() -> None:
    family, left_out = class_family(make_reading())
    assert left_out == ()
    for one, other in itertools.combinations(PARTS, 2):
        assert not set(family.parts[one]) & set(family.parts[other])
    assert sorted(np.concatenate([family.parts[part] for part in PARTS])) == list(range(24))


def test_parts_follow_the_split_seed_alone() -> None:
    first, again = (class_family(make_reading())[0] for _ in range(2))
    other = class_family(make_reading(), split_seed=1)[0]
    assert first.digest == again.digest != other.digest


def test_more_ways_than_a_part_has_are_refused_naming_the_largest_possible() -> None:
    family, _ = class_family(make_reading(40))
    assert [len(family.parts[part]) for part in PARTS] == [20, 5, 5, 10]
    with pytest.raises(EpisodeError, match=r"part 'test' has 10 classes.*possible --ways is 10$"):
        family.spec(11, 1, 2, part="test")
    with pytest.raises(EpisodeError, match=r"6 ways asked for.*'search'.*possible --ways is 5$"):
        family.spec(6, 1, 2)
    assert family.spec(10, 1, 2, part="test").ways == 10


def test_too_many_shots_are_refused_naming_the_most_possible() -> None:
    family, _ = class_family(make_reading(40, size=6))
    with pytest.raises(EpisodeError, match=r"needs 5 classes with 8 examples.*--shots to 5 or add"):
        family.spec(5, 7, 1)
    assert family.spec(5, 5, 15).shots == 5


def test_a_class_with_as_many_examples_as_shots_takes_no_part() -> None:
    store = make_reading(8, size=3).store
    keep = torch.tensor([i for i in range(24) if i not in (0, 3)])  # classes 0 and 1 keep two
    small = Store(store.inputs[keep], store.targets[keep], store.classes)
    everything = {part: np.arange(8) for part in PARTS}
    family = ClassFamily("toy", small, everything)
    assert family.largest_ways("train", 2) == 6
    with pytest.raises(EpisodeError, match=r"part 'search' has 6; lower --shots to 1 or add"):
        family.spec(7, 2, 1)
    episodes = family.sample("train", family.spec(6, 2, 1), 20, np.random.default_rng(0))
    drawn = small.targets[torch.from_numpy(episodes.support.examples)]
    assert int(drawn.min()) == 2


def test_classes_that_a_model_has_not_seen_go_to_test() -> None:
    parts = {"train": ["c00", "c01"], "search": ["c02"], "promotion": ["c03"], "test": ["gone"]}
    reading = make_reading(8)
    recognised = recognise_by_name(reading.store, parts)
    assert recognised.counts == {"train": 2, "search": 1, "promotion": 1, "test": 0, "unknown": 4}
    family, _ = class_family(reading, split=recognised.split)
    assert {part: list(family.parts[part]) for part in PARTS} == {
        "train": [0, 1],
        "search": [2],
        "promotion": [3],
        "test": [4, 5, 6, 7],
    }


def test_parts_of_nothing_put_all_classes_in_test() -> None:
    given = class_family(make_reading(24))[0].input_format
    split = recognise_by_name(make_reading(8).store, {}).split
    family, _ = class_family(make_reading(8), split=split, input_format=given)
    assert [len(family.parts[part]) for part in PARTS] == [0, 0, 0, 8]
    assert family.input_format == given


def test_examples_in_two_parts_leave_the_training_part_and_are_counted() -> None:
    reading = make_reading()
    clean, _ = class_family(reading)
    train, test = clean.parts["train"][0], clean.parts["test"][0]
    inputs = reading.store.inputs.clone()
    inputs[train * 6] = inputs[test * 6]
    store = Store(inputs, reading.store.targets, reading.store.classes)
    family, left_out = class_family(Reading("toy", "a test", store))
    assert [(item.what, item.count) for item in left_out] == [("examples", 1)]
    assert len(family.store.inputs) == 24 * 6 - 1
    assert len(family.store.examples_of[train]) == 5
    assert len(family.store.examples_of[test]) == 6


def test_the_input_format_is_measured_on_the_training_part() -> None:
    family, _ = class_family(make_reading())
    members = torch.isin(family.store.targets, torch.from_numpy(family.parts["train"]))
    values = family.store.inputs[members].double() / 255
    assert family.input_format.mean == pytest.approx([float(values.mean())], abs=1e-9)
    deviation = float(values.std(correction=0))
    assert family.input_format.deviation == pytest.approx([deviation], abs=1e-9)
    assert (family.input_format.kind, family.input_format.shape) == ("image", (1, 8, 8))


def test_features_that_never_vary_are_not_divided_by_zero() -> None:
    reading = make_reading(8)
    vectors = torch.randn(48, 3, generator=torch.Generator().manual_seed(0))
    vectors[:, 1] = 1e6
    store = Store(vectors, reading.store.targets, reading.store.classes)
    family, _ = class_family(Reading("toy", "a test", store))
    normalised = family.input_format.normalise(family.store.inputs)
    assert bool(normalised.isfinite().all())
    assert family.input_format.deviation[1] == 1.0


def test_a_family_without_training_examples_has_no_format() -> None:
    split = recognise_by_name(make_reading(8).store, {}).split
    family, _ = class_family(make_reading(8), split=split)
    with pytest.raises(DataError, match="no examples"):
        _ = family.input_format


def test_labelled_examples_are_all_of_a_part_with_labels_from_zero() -> None:
    family, _ = class_family(make_reading())
    examples, labels = family.labelled("train")
    classes = family.parts["train"]
    assert sorted(set(labels)) == list(range(len(classes)))
    np.testing.assert_array_equal(family.store.targets[examples].numpy(), classes[labels])
    batch = family.labelled_batch(examples[:4], labels[:4], len(classes))
    assert batch.inputs.dtype == torch.float32  # type: ignore[union-attr]
    assert float(batch.inputs.max()) <= 1.0  # type: ignore[union-attr]
