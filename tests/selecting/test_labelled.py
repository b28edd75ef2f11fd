"""One data set as one task: its examples in parts, none of them in two."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaloop.core.errors import DataError
from metaloop.tasks.labelled import LabelledSet, labelled_set
from metaloop.tasks.readers import read_arrays
from metaloop.tasks.store import Reading

Images = Callable[..., tuple[np.ndarray, list[str]]]


def _targets(labelled: LabelledSet, part: str) -> list[int]:
    return labelled.part(part)[1].tolist()  # type: ignore[arg-type]


@settings(max_examples=25, deadline=None)
@given(counts=st.lists(st.integers(3, 12), min_size=2, max_size=4), seed=st.integers(0, 99))
def test_every_class_is_in_every_part_and_no_example_in_two(counts: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = [name for name, count in enumerate(counts) for _ in range(count)]
    images = rng.integers(0, 256, (len(labels), 6, 6), dtype=np.uint8)
    labelled, _, _ = labelled_set(read_arrays(images, labels, image_size=6), seed)
    rows = np.concatenate([labelled.rows[part] for part in ("train", "search", "test")])
    assert sorted(rows.tolist()) == list(range(len(labels)))
    for part in ("train", "search", "test"):
        assert set(_targets(labelled, part)) == set(range(len(counts)))


def test_copies_of_an_example_are_sealed_together(squares: Images) -> None:
    images, names = squares(each=8)
    doubled = read_arrays(np.concatenate([images, images]), [*names, *names], image_size=12)
    labelled, _, _ = labelled_set(doubled)
    test = set(labelled.rows["test"].tolist())
    assert {(row + len(names)) % (2 * len(names)) for row in test} == test


def test_a_published_test_part_is_kept_and_a_published_val_part_is_searched_on(
    squares: Images,
) -> None:
    images, names = squares(each=6)
    split = ["train", "train", "train", "val", "test", "test"] * 3
    published = read_arrays(images, names, split=split, image_size=12)
    labelled, notes, left_out = labelled_set(published)
    assert labelled.rows["test"].tolist() == [4, 5, 10, 11, 16, 17]
    assert labelled.rows["search"].tolist() == [3, 9, 15]
    assert not left_out and not any("sealed" in note for note in notes)


def test_a_copy_in_a_published_test_part_is_told(squares: Images) -> None:
    images, names = squares(each=4)
    images[3] = images[0]
    published = read_arrays(images, names, split=["train", "train", "train", "test"] * 3)
    assert any("1 examples of the published test part" in n for n in labelled_set(published)[1])


def test_a_test_part_with_classes_that_train_lacks_is_one_clear_line(squares: Images) -> None:
    images, names = squares(each=4)
    split = ["train"] * 8 + ["test"] * 4
    with pytest.raises(DataError, match="1 classes that train lacks, first 'class 2'") as told:
        labelled_set(read_arrays(images, names, split=split))
    assert "\n" not in str(told.value)


def test_the_same_split_seed_gives_the_same_parts_and_another_one_others(reading: Reading) -> None:
    one, again, other = (labelled_set(reading, seed)[0] for seed in (1, 1, 2))
    assert one.digest == again.digest != other.digest


def test_vectors_are_refused_in_one_line() -> None:
    vectors = read_arrays(np.random.default_rng(0).normal(size=(12, 3)), [0, 1] * 6)
    with pytest.raises(DataError, match="'select' takes images so far"):
        labelled_set(vectors)


def test_the_scale_of_inputs_is_that_of_what_may_be_learned_from(reading: Reading) -> None:
    labelled, _, _ = labelled_set(reading)
    images = reading.store.taken(labelled.known).double() / 255
    assert np.allclose(labelled.input_format.mean, images.mean((0, 2, 3)))
    darker = reading.store.inputs.clone()  # type: ignore[union-attr]
    darker[labelled.rows["test"]] = 0
    changed = dataclasses.replace(
        reading,
        store=dataclasses.replace(reading.store, inputs=darker),
        example_parts=np.where(np.isin(np.arange(60), labelled.rows["test"]), "test", "train"),
    )
    assert labelled_set(changed)[0].input_format == labelled.input_format
