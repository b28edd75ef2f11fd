"""Arrays in memory: shapes, number types, labels, groups and splits, and every refusal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from metaloop.core.errors import DataError
from metaloop.tasks.readers import read_arrays

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (8, 28, 28)).astype(np.uint8)
COLOUR = RNG.integers(0, 256, (8, 32, 32, 3)).astype(np.uint8)
Y = np.array([0, 0, 1, 1, 2, 2, 3, 3])


def test_rows_of_features_become_float_vectors() -> None:
    reading = read_arrays(np.arange(24).reshape(8, 3), Y, name="table")
    assert (reading.name, reading.kind) == ("table", "arrays, vectors")
    assert reading.store.inputs.dtype == torch.float32
    assert reading.store.inputs.tolist() == np.arange(24).reshape(8, 3).tolist()
    assert [info.name for info in reading.store.classes] == ["0", "1", "2", "3"]


def test_lists_and_torch_tensors_are_accepted() -> None:
    lists = read_arrays([[0.0, 1], [2, 3], [4, 5], [6, 7]], ["a", "a", "b", "b"])
    assert lists.store.inputs.shape == (4, 2)
    tensors = read_arrays(torch.from_numpy(GREY), torch.from_numpy(Y))
    np.testing.assert_array_equal(tensors.store.inputs[:, 0].numpy(), GREY)


def test_bytes_of_the_right_size_are_kept_exactly() -> None:
    np.testing.assert_array_equal(read_arrays(GREY, Y).store.inputs[:, 0].numpy(), GREY)
    store = read_arrays(COLOUR, Y).store
    np.testing.assert_array_equal(store.inputs.numpy(), COLOUR.transpose(0, 3, 1, 2))


def test_channels_may_come_first() -> None:
    first = read_arrays(COLOUR.transpose(0, 3, 1, 2), Y).store
    np.testing.assert_array_equal(first.inputs.numpy(), COLOUR.transpose(0, 3, 1, 2))


@pytest.mark.parametrize(
    "images",
    [
        GREY / 255.0,
        (GREY / 255.0).astype(np.float32),
        GREY / 127.5 - 1.0,
        GREY.astype(np.int64),
        GREY.astype(np.float32),
        GREY.astype(np.uint16) * 257,
    ],
    ids=["0..1", "0..1 float32", "-1..1", "int64", "0..255 float32", "uint16"],
)
def test_every_range_of_numbers_is_scaled_to_the_same_bytes(images: np.ndarray) -> None:
    np.testing.assert_array_equal(read_arrays(images, Y).store.inputs[:, 0].numpy(), GREY)


def test_truth_values_become_black_and_white() -> None:
    for images in (GREY > 127, (GREY > 127).astype(np.uint8), (GREY > 127).astype(float)):
        inputs = read_arrays(images, Y).store.inputs.numpy()
        assert set(np.unique(inputs).tolist()) == {0, 255}


def test_images_are_resized_and_reduced_to_grey_by_default() -> None:
    grey = np.repeat(GREY[..., None], 3, axis=3)
    assert read_arrays(grey, Y).store.inputs.shape == (8, 1, 28, 28)
    assert read_arrays(grey[:, :9, :17], Y).store.inputs.shape == (8, 1, 28, 28)
    assert read_arrays(COLOUR, Y, image_size=8, channels=1).store.inputs.shape == (8, 1, 8, 8)


def test_transparent_pixels_of_rgba_arrays_are_white() -> None:
    images = np.zeros((8, 32, 32, 4), np.uint8)
    images[:, :16, :, :3] = [200, 10, 10]
    images[:, :16, :, 3] = 255
    inputs = read_arrays(images, Y).store.inputs
    assert inputs[0, :, 0, 0].tolist() == [200, 10, 10]
    assert inputs[0, :, 31, 0].tolist() == [255, 255, 255]


def test_ink_on_white_paper_is_inverted() -> None:
    paper = np.full((8, 28, 28), 255, np.uint8)
    paper[:, 10:18, 10:18] = GREY[:, 10:18, 10:18]
    store = read_arrays(paper, Y).store
    assert store.polarity == "ink"
    np.testing.assert_array_equal(store.inputs[:, 0].numpy(), 255 - paper)


def test_labels_may_be_strings_bytes_objects_or_whole_floats() -> None:
    words = np.array(["ant", "ant", "bee", "bee"] * 2)
    for labels in (words, words.astype("S"), words.astype(object), list(words), words[:, None]):
        store = read_arrays(GREY, labels).store
        assert [info.name for info in store.classes] == ["ant", "bee"]
        assert store.targets.tolist() == [0, 0, 1, 1] * 2
    assert read_arrays(GREY, Y.astype(float)).store.targets.tolist() == Y.tolist()


def test_class_names_are_looked_up_and_double_ones_told_apart() -> None:
    store = read_arrays(GREY, Y, class_names=["crane", "dog", "crane", "cat"]).store
    assert [info.name for info in store.classes] == ["crane (0)", "dog", "crane (2)", "cat"]
    named = read_arrays(GREY, np.array(list("bbaabbaa")), class_names=["b", "a"]).store
    assert named.targets.tolist() == [0, 0, 1, 1, 0, 0, 1, 1]


def test_classes_without_enough_examples_are_left_out() -> None:
    reading = read_arrays(GREY, [0, 0, 0, 1, 2, 2, 2, 2], class_names=list("abcd"))
    assert [info.name for info in reading.store.classes] == ["a", "c"]
    assert reading.store.targets.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert [(item.what, item.reason[:27]) for item in reading.left_out] == [
        ("class 'd'", "class too small: 0 examples"),
        ("class 'b'", "class too small: 1 example,"),
    ]


@pytest.mark.parametrize(
    "split",
    [
        ["train", "train", "val", "test"],
        ["Training", "TRAIN", "valid", "testing"],
        [0, 0, 1, 2],
        [0.0, 0.0, 1.0, 2.0],
        np.repeat(["train", "train", "val", "test"], 2),
        np.repeat([b"train", b"train", b"val", b"test"], 2),
        np.repeat([0, 0, 1, 2], 2),
    ],
)
def test_a_split_is_understood_per_class_and_per_example(split: Any) -> None:
    reading = read_arrays(GREY, Y, split=split)
    parts = [info.part for info in reading.store.classes]
    assert parts == ["train", "train", "val", "test"]
    assert reading.left_out == ()


def test_two_codes_mean_train_and_test() -> None:
    parts = [info.part for info in read_arrays(GREY, Y, split=[0, 0, 0, 1]).store.classes]
    assert parts == ["train", "train", "train", "test"]


def test_a_split_through_classes_is_ignored_with_a_notice() -> None:
    reading = read_arrays(GREY, Y, split=["train", "test"] * 4)
    assert {info.part for info in reading.store.classes} == {None}
    (item,) = reading.left_out
    assert item.what == "the split into train, test"
    assert "4 of 4 classes occur in more than one part" in item.reason


def test_groups_are_understood_per_class_and_per_example() -> None:
    for group in (["x", "x", "y", "y"], np.repeat(["x", "x", "y", "y"], 2)):
        store = read_arrays(GREY, Y, group=group).store
        assert [info.group for info in store.classes] == ["x", "x", "y", "y"]
    torn = read_arrays(GREY, Y, group=list("xyxyxyxy"))
    assert {info.group for info in torn.store.classes} == {""}
    assert torn.left_out[0].what == "the groups"


def _with(value: float) -> np.ndarray:
    images = GREY / 255.0
    images[3, 0, 0] = images[5, 1, 1] = value
    return images


@pytest.mark.parametrize(
    ("inputs", "labels", "options", "words"),
    [
        (_with(np.nan), Y, {}, "2 of 8 rows of X hold NaN.*the first is row 3"),
        (_with(np.inf), Y, {}, "2 of 8 rows of X hold NaN, infinite"),
        (np.full((8, 2), 1e300), Y, {}, "8 of 8 rows"),
        (GREY, Y[:7], {}, "X has 8 examples but y has 7 labels"),
        (GREY, GREY, {}, r"y must be \[n\], got shape"),
        (GREY, Y + 0.5, {}, "labels must be ints or strings, got float64"),
        (GREY, [None] * 8, {}, "labels must be ints or strings, got object"),
        (GREY, [], {}, "there are no examples"),
        (GREY, [0] * 8, {}, "only class '0' has at least 2 usable examples"),
        (GREY, range(8), {}, "no class has at least 2 usable examples"),
        (GREY, Y, {"class_names": ["a", "b"]}, "labels run from 0 to 3, but there are 2"),
        (GREY, ["a", "b"] * 4, {"class_names": ["a", "c"]}, "label 'b' is not among"),
        (GREY, Y, {"split": ["train", "fold 2", "test", "test"]}, "split holds 'fold 2'"),
        (GREY, Y, {"split": [0, 1, 2]}, "split has 3 values; expected one for each of the 8"),
        (GREY, Y, {"group": [[1, 2], [3]]}, "group cannot be made into an array"),
        (GREY.astype(str), Y, {}, "X must hold numbers, got <U"),
        ([[1, 2], [3]], Y, {}, "X cannot be made into an array"),
        (np.zeros(8), Y, {}, r"got X as float64 \[8\]; expected X as \[n, features\]"),
        (np.zeros((8, 5, 5, 7)), Y, {}, r"got X as float64 \[8, 5, 5, 7\]"),
        (np.zeros((8, 0)), Y, {}, "X has no features"),
        (np.zeros((8, 0, 4)), Y, {}, "got X as"),
        (3.0, Y, {}, "got X as"),
        (np.zeros((8, 4)), Y, {"image_size": 28}, "are for images, but X is vectors"),
        (GREY, [0, 0, 1, 1, 2, 2, 3, 4], {"strict": True}, "2 left out, which strict"),
    ],
)
def test_refusals_are_one_helpful_line(
    inputs: Any, labels: Any, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(DataError, match=words) as caught:
        read_arrays(inputs, labels, **options)
    assert "\n" not in str(caught.value)
