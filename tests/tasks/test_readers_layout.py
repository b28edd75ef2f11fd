"""Which folders are classes: splits, sessions, thumbnails, spellings, and what is said of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from metaloop.core.errors import DataError
from metaloop.tasks.readers.layout import Layout, lay_out, shared_units
from metaloop.tasks.readers.parts import split_folders

KINDS = ["ant", "bee", "cow", "dog", "eel", "fox"]
SESSIONS = ["2024-05-01", "2024-05-02"]


def laid_out(folders: Sequence[str], classes_at: int | None = None, images: int = 3) -> Layout:
    return lay_out("here", {tuple(name.split("/")): images for name in folders}, classes_at)


def classes(folders: Sequence[str], classes_at: int | None = None) -> list[str]:
    return sorted(set(laid_out(folders, classes_at).classes.values()))


def under(pattern: str, *lists: Sequence[str]) -> list[str]:
    """`{}/{}` with every combination of the lists."""
    filled = [pattern]
    for names in lists:
        filled = [each.replace("{}", name, 1) for each in filled for name in names]
    return filled


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (["train", "test"], ["train", "test"]),
        (["Training", "Validation", "TESTING"], ["train", "val", "test"]),
        (["train_images", "test_images"], ["train", "test"]),
        (["images-train", "images-test"], ["train", "test"]),
        (["2019_train", "2020_val"], ["train", "val"]),
        (["trainset", "testset"], ["train", "test"]),
        (["flowers_train", "flowers_test"], ["train", "test"]),
        (["meta_train", "meta-val", "metatest"], ["train", "val", "test"]),
        (["base", "val", "novel"], ["train", "val", "test"]),
        (["train", "eval"], ["train", "test"]),
        (["train", "eval", "test"], ["train", "val", "test"]),
        (["trainval", "test"], ["train", "test"]),
        (["train", "dev", "test1", "test2"], ["train", "val", "test", "test"]),
        (["train", "test_seen", "test_unseen"], ["train", "test", "test"]),
        (["Training", "PublicTest", "PrivateTest"], ["train", "test", "test"]),
    ],
)
def test_names_of_parts_side_by_side_are_a_split(names: list[str], parts: list[str]) -> None:
    assert split_folders(names) == dict(zip(names, parts, strict=True))


@pytest.mark.parametrize(
    "names",
    [
        ["train"],
        ["train", "training"],
        ["bus", "car"],
        ["test tube", "train station"],
        ["test tube", "train station", "bus"],
        ["valid", "invalid"],
        ["base", "novel", "bus"],
        ["test", "bus", "dev"],
        ["contest", "strain"],
    ],
)
def test_names_that_only_look_like_parts_are_no_split(names: list[str]) -> None:
    assert split_folders(names) == {}


@pytest.mark.parametrize(
    "pattern",
    [
        "{}/{}",
        "flowers/{}/{}",
        "flowers/flowers/{}/{}",
        "{}/images/{}",
        "data/{}_set/{}",
        "{1}/{0}",
    ],
)
def test_the_same_classes_in_both_parts_are_one_class_each(pattern: str) -> None:
    parts = ["train", "test"]
    inside = pattern == "{1}/{0}"  # the split inside each class
    folders = under("{}/{}", KINDS, parts) if inside else under(pattern, parts, KINDS)
    layout = laid_out(folders)
    assert sorted(set(layout.classes.values())) == KINDS
    assert set(layout.parts.values()) == {"train", "test"}
    assert any("are a split, not classes" in note for note in layout.notes)


def test_a_part_unpacked_into_a_folder_of_its_name_is_one_part() -> None:
    assert classes(under("{}/{}", ["train/train", "test/test"], KINDS)) == KINDS


def test_a_part_without_class_folders_is_no_class() -> None:
    layout = laid_out([*under("train/{}", KINDS), "test"])
    assert sorted(layout.classes.values()) == KINDS
    assert list(layout.strays) == [("test",)]


def test_parts_with_images_and_no_classes_are_refused() -> None:
    with pytest.raises(DataError, match="lie directly in 'test' and 'train'; expected one folder"):
        laid_out(["train", "test"])


def test_a_class_called_train_stays_a_class() -> None:
    assert classes(["bus", "car", "train", "test"]) == ["bus", "car", "test", "train"]
    assert classes(["bus/red", "bus/blue", "train/steam"]) == ["bus/blue", "bus/red", "train/steam"]


@pytest.mark.parametrize(
    "sessions",
    [
        ["monday", "friday"],
        ["2024-05-01", "2024-05-02", "20240503"],
        ["session1", "session2"],
        ["Day 1", "Day 2"],
        ["images"],
        ["red", "green", "blue"],
        ["2024/05/01", "2024/05/02"],
        ["1", "2", "3"],
    ],
)
def test_sessions_inside_class_folders_are_merged_and_told(sessions: list[str]) -> None:
    layout = laid_out(under("{}/{}", KINDS, sessions))
    assert sorted(set(layout.classes.values())) == KINDS
    assert any("sessions and merged into the classes above" in note for note in layout.notes)


def test_folders_beside_images_belong_to_the_class_of_these() -> None:
    assert classes([*KINDS, "ant/more", "bee/second half/b"]) == KINDS
    one_image = {(name,): 1 for name in KINDS} | {("ant", "others"): 4}
    assert sorted(set(lay_out("here", one_image).classes.values())) == KINDS


@pytest.mark.parametrize(
    "folders",
    [
        under("{}/character{}", ["greek", "latin", "runes"], ["01", "02"]),
        under("{}/character{}", [f"alphabet{i}" for i in range(30)], ["01", "02", "03"]),
        under("{}/{}", ["photo", "sketch"], KINDS),
        ["greek/alpha", "greek/beta", "latin/old/a", "plain"],
        ["pets/cat", "pets/dog", "birds/crow", "birds/owl", "fish/eel"],
    ],
)
def test_groups_of_classes_stay_groups(folders: list[str]) -> None:
    assert classes(folders) == sorted(folders)


def test_a_telling_name_in_several_groups_is_one_unit_and_a_numbered_one_is_not() -> None:
    names = ["photo/dog", "sketch/Dog", "photo/cat", "greek/character01", "latin/character01"]
    assert shared_units(names) == ["*/dog", "*/dog", "", "", ""]


def test_a_folder_around_everything_is_no_group() -> None:
    assert classes(under("data/animals/{}", KINDS)) == KINDS


def test_names_that_differ_in_case_are_merged_unless_they_are_letters() -> None:
    layout = lay_out("here", {("Cat",): 2, ("cat",): 5, ("a",): 3, ("A",): 3})
    assert sorted(set(layout.classes.values())) == ["A", "a", "cat"]
    assert any("'Cat' and 'cat'" in note for note in layout.notes)


def test_thumbnails_beside_images_are_left_out() -> None:
    layout = laid_out([*KINDS, *under("{}/thumbs", KINDS)])
    assert set(layout.classes.values()) == set(KINDS)
    assert set(layout.strays.values()) == {"thumbnail"}
    assert classes(under("thumbnails/{}", KINDS)) == KINDS


def test_the_asked_depth_overrules_what_names_suggest() -> None:
    folders = under("{}/{}", KINDS, SESSIONS)
    assert classes(folders, 2) == sorted(folders)
    assert classes(folders, 1) == KINDS
    grouped = under("{}/{}", ["greek", "latin"], ["alpha", "beta"])
    assert classes(grouped, 1) == ["greek", "latin"]
    assert classes(["train/x", "test/y"], 1) == ["test", "train"]
    assert classes(under("{}/{}/{}", ["train", "test"], KINDS, SESSIONS), 2) == KINDS


def test_images_above_the_asked_depth_are_left_out_and_no_deeper_ones_refused() -> None:
    assert laid_out([*under("{}/x", KINDS), "loose"], 2).strays == {
        ("loose",): "above the folders that are classes (--classes-at 2)"
    }
    with pytest.raises(DataError, match="no images lie 3 folders deep, the deepest lie 1 deep"):
        laid_out(KINDS, 3)
