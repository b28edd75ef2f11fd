"""Merged families: what others lend to the training part, and what stays as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metaloop.core.errors import DataError
from metaloop.core.randomness import numpy_stream
from metaloop.core.records import PARTS
from metaloop.tasks.family import ClassFamily, class_family, episode_list
from metaloop.tasks.merging import merge
from metaloop.tasks.readers import read_arrays
from metaloop.tasks.store import Reading


def reading(name: str, seed: int, features: int = 4, classes: int = 24) -> Reading:
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), 6)
    return read_arrays(rng.normal(size=(len(labels), features)), labels, name=name)


def family(name: str, seed: int, features: int = 4, classes: int = 24) -> ClassFamily:
    return class_family(reading(name, seed, features, classes))[0]


@pytest.fixture
def base() -> ClassFamily:
    return family("base", 0)


def train_rows(of: ClassFamily) -> torch.Tensor:
    rows = np.concatenate([of.store.examples_of[c] for c in of.parts["train"]])
    return of.store.inputs[torch.from_numpy(rows)]


def as_set(rows: torch.Tensor) -> set[bytes]:
    return {row.numpy().tobytes() for row in rows}


def test_the_training_classes_of_others_join_and_only_those(base: ClassFamily) -> None:
    others = [family("first", 1), family("second", 2)]
    merged, left_out = merge(base, others)
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
    merged, _ = merge(base, [other])
    assert not as_set(merged.store.inputs) & {row.numpy().tobytes() for row in sealed}


def test_evaluation_parts_and_episodes_stay_as_they_were(base: ClassFamily) -> None:
    merged, _ = merge(base, [family("other", 1)])
    spec = base.spec(3, 1, 2)
    for part in PARTS[1:]:
        np.testing.assert_array_equal(merged.parts[part], base.parts[part])
        mine, other = (episode_list(f, part, spec, 100) for f in (base, merged))
        np.testing.assert_array_equal(mine.query.examples, other.query.examples)
    assert merged.input_format == base.input_format
    assert merged.digest != base.digest


def test_examples_of_any_part_of_the_target_are_left_out_and_counted(base: ClassFamily) -> None:
    merged, left_out = merge(base, [base])
    assert len(merged.store.classes) == len(base.store.classes)
    (dropped,) = left_out
    assert dropped.count == len(train_rows(base))
    test_class = base.parts["test"][0]
    stolen = base.store.inputs[base.store.examples_of[test_class]].numpy()
    other = reading("thief", 1)
    inputs = other.store.inputs.numpy().copy()
    labels = other.store.targets.numpy()
    target = class_family(other)[0].parts["train"][0]  # one training class has test examples
    inputs[np.flatnonzero(labels == target)[:3]] = stolen[:3]
    thief = class_family(read_arrays(inputs, labels, name="thief"))[0]
    assert target in thief.parts["train"]
    merged, left_out = merge(base, [thief])
    assert [item.count for item in left_out] == [3]
    first = len(base.store.inputs)
    assert not as_set(merged.store.inputs[first:]) & as_set(torch.from_numpy(stolen))


def test_other_shapes_are_refused(base: ClassFamily) -> None:
    with pytest.raises(DataError, match=r"inputs of shape \(5,\) cannot be learned from for base"):
        merge(base, [family("wide", 1, features=5)])


def test_merged_families_make_training_episodes_of_all_classes(base: ClassFamily) -> None:
    merged, _ = merge(base, [family("other", 1)])
    episodes = merged.sample("train", base.spec(5, 1, 2), 200, numpy_stream(0, "episodes"))
    drawn = merged.store.targets[episodes.support.examples].unique().numpy()
    np.testing.assert_array_equal(np.sort(drawn), np.sort(merged.parts["train"]))
