"""Folders of images: classes, groups, published splits, what is left out, and every refusal."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metaloop.core.errors import DataError
from metaloop.tasks.readers import decode_image, read
from metaloop.tasks.store import Reading


def save(path: Path, *, seed: int = 0, mode: str = "L", paper: int = 0, size: int = 12) -> None:
    """A small image of noise in the middle of a plain border."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((size, size), paper, np.uint8)
    inner = slice(size // 4, -size // 4)
    image[inner, inner] = np.random.default_rng(seed).integers(0, 256, image[inner, inner].shape)
    picture = Image.fromarray(image).convert(mode)
    if mode == "RGB" and seed % 2:
        picture.putpixel((size // 2, size // 2), (255, 0, 0))
    picture.save(path)


def folder_of(root: Path, *classes: str, images: int = 3, **options: object) -> Path:
    for number, name in enumerate(classes):
        for i in range(images):
            save(root / name / f"{i}.png", seed=100 * number + i, **options)  # type: ignore[arg-type]
    return root


def names(reading: Reading) -> list[str]:
    return [info.name for info in reading.store.classes]


def test_each_folder_is_a_class_with_its_images(tmp_path: Path) -> None:
    reading = read(folder_of(tmp_path / "fruit", "pear", "apple"))
    assert reading.name == "fruit"
    assert reading.kind == "folder of images, one folder per class"
    assert names(reading) == ["apple", "pear"]
    assert reading.store.inputs.shape == (6, 1, 28, 28)
    assert reading.store.targets.tolist() == [0, 0, 0, 1, 1, 1]
    assert reading.left_out == ()
    assert {info.part for info in reading.store.classes} == {None}


def test_stored_images_equal_single_decoding(tmp_path: Path) -> None:
    root = folder_of(tmp_path, "a", "b", paper=255)
    store = read(root).store
    assert store.polarity == "ink"
    alone = decode_image(root / "b" / "1.png", (1, 28, 28), store.polarity)
    np.testing.assert_array_equal(store.inputs[4].numpy(), alone)


def test_nesting_makes_groups(tmp_path: Path) -> None:
    folder_of(tmp_path, "greek/alpha", "greek/beta", "latin/old/a", "plain")
    classes = read(tmp_path).store.classes
    assert [(info.name, info.group) for info in classes] == [
        ("greek/alpha", "greek"),
        ("greek/beta", "greek"),
        ("latin/old/a", "latin/old"),
        ("plain", ""),
    ]


def test_colour_sets_are_32_pixels_with_three_channels(tmp_path: Path) -> None:
    reading = read(folder_of(tmp_path, "a", "b", mode="RGB", paper=255))
    assert reading.store.inputs.shape == (6, 3, 32, 32)
    assert reading.store.polarity == "as_is"


def test_grey_content_in_colour_files_is_a_grey_set(tmp_path: Path) -> None:
    for name in ("a/0.jpg", "a/1.jpg", "b/0.jpg", "b/1.jpg"):
        save(tmp_path / name, seed=2, mode="RGB")
    assert read(tmp_path).store.inputs.shape == (4, 1, 28, 28)


def test_options_override_what_the_data_suggests(tmp_path: Path) -> None:
    root = folder_of(tmp_path, "a", "b", paper=255)
    reading = read(root, image_size=16, channels=3, polarity="as_is")
    assert reading.store.inputs.shape == (6, 3, 16, 16)
    assert reading.store.polarity == "as_is"
    assert reading.store.inputs[0, 0, 0, 0] == 255


def test_ink_polarity_makes_mixed_papers_alike(tmp_path: Path) -> None:
    folder_of(tmp_path, "white", "white2", paper=255)
    folder_of(tmp_path, "black", paper=0)
    store = read(tmp_path).store
    assert store.polarity == "ink"
    assert store.inputs[:, 0, 0].max() == 0


def test_system_files_are_ignored_and_other_files_counted(tmp_path: Path) -> None:
    folder_of(tmp_path, "a", "b")
    for name in ("a/.DS_Store", "a/Thumbs.db", "__MACOSX/a/._0.png", ".git/x.png", "b/desktop.ini"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "b" / "notes.txt").write_text("hello")
    left_out = read(tmp_path).left_out
    assert [(item.what, item.reason, item.count) for item in left_out] == [
        ("b/notes.txt", "not an image", 1)
    ]


def test_corrupt_images_are_left_out_and_counted(tmp_path: Path) -> None:
    folder_of(tmp_path, "a", "b", images=4)
    whole = (tmp_path / "a" / "0.png").read_bytes()
    (tmp_path / "a" / "0.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "b" / "1.png").write_bytes(b"no image")
    reading = read(tmp_path)
    assert reading.store.targets.tolist() == [0, 0, 0, 1, 1, 1]
    (item,) = reading.left_out
    assert (item.what, item.reason, item.count) == ("a/0.png, b/1.png", "unreadable image", 2)


def test_decompression_bombs_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_of(tmp_path, "a", "b", images=3)
    save(tmp_path / "a" / "large.png", size=200)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    (item,) = read(tmp_path).left_out
    assert (item.what, item.reason) == ("a/large.png", "unreadable image")


def test_small_classes_are_left_out_with_a_reason(tmp_path: Path) -> None:
    folder_of(tmp_path, "a", "b")
    folder_of(tmp_path, "tiny", images=1)
    reading = read(tmp_path)
    assert names(reading) == ["a", "b"]
    (item,) = reading.left_out
    assert item.what == "class 'tiny'"
    assert item.reason == "class too small: 1 example, a class needs at least 2"


def test_loose_images_beside_class_folders_are_left_out(tmp_path: Path) -> None:
    folder_of(tmp_path, "a", "b")
    save(tmp_path / "cover.png")
    (item,) = read(tmp_path).left_out
    assert (item.what, item.reason) == ("cover.png", "image outside of any class folder")


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_part_folders_with_disjoint_classes_are_a_published_split(tmp_path: Path, val: str) -> None:
    folder_of(tmp_path, "train/x/a", "train/x/b", f"{val}/c", "test/d")
    classes = read(tmp_path).store.classes
    assert [(info.name, info.group, info.part) for info in classes] == [
        ("c", "", "val"),
        ("d", "", "test"),
        ("x/a", "x", "train"),
        ("x/b", "x", "train"),
    ]


def test_part_folders_with_the_same_classes_are_merged_with_a_notice(tmp_path: Path) -> None:
    folder_of(tmp_path, "train/a", "train/b", "test/a", "test/b")
    reading = read(tmp_path)
    assert names(reading) == ["a", "b"]
    assert [len(examples) for examples in reading.store.examples_of] == [6, 6]
    assert {info.part for info in reading.store.classes} == {None}
    (item,) = reading.left_out
    assert item.what == "the split into train, test"
    assert "2 of 2 classes occur in more than one part" in item.reason
    assert item.count == 2


def test_train_and_val_without_test_is_no_published_split(tmp_path: Path) -> None:
    reading = read(folder_of(tmp_path, "train/a", "train/b", "val/c"))
    assert {info.part for info in reading.store.classes} == {None}
    assert "needs both train and test" in reading.left_out[0].reason


def test_images_beside_published_parts_are_left_out(tmp_path: Path) -> None:
    folder_of(tmp_path, "train/a", "train/b", "test/c", "extra/a")
    reading = read(tmp_path)
    assert names(reading) == ["a", "b", "c"]
    assert [(item.reason, item.count) for item in reading.left_out] == [
        ("not in a class folder of train, val or test", 3)
    ]


def test_classes_called_train_and_test_are_just_classes(tmp_path: Path) -> None:
    assert names(read(folder_of(tmp_path, "bus", "train", "test"))) == ["bus", "test", "train"]


def test_strict_reading_refuses_what_is_left_out(tmp_path: Path) -> None:
    folder_of(tmp_path, "a", "b")
    assert read(tmp_path, strict=True).left_out == ()
    (tmp_path / "a" / "bad.png").write_bytes(b"")
    (tmp_path / "a" / "notes.txt").write_text("")
    with pytest.raises(DataError, match=r"2 left out.*a/notes\.txt \(not an image\)"):
        read(tmp_path, strict=True)


def test_links_to_class_folders_are_followed_and_loops_end(tmp_path: Path) -> None:
    folder_of(tmp_path / "store", "a", "b")
    root = tmp_path / "linked"
    root.mkdir()
    (root / "a").symlink_to(tmp_path / "store" / "a")
    (root / "b").symlink_to(tmp_path / "store" / "b")
    (root / "loop").symlink_to(root)
    assert names(read(root)) == ["a", "b"]


def test_odd_file_names_give_valid_class_names(tmp_path: Path) -> None:
    folder_of(tmp_path, "Ж", "e\N{COMBINING ACUTE ACCENT}")  # as macOS stores it
    broken = os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff")
    folder_of(Path(broken), "c")
    reading = read(tmp_path)
    assert names(reading) == ["bad\N{REPLACEMENT CHARACTER}/c", "é", "Ж"]
    assert len(reading.store.digest) == 64


def test_reading_does_not_depend_on_the_order_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_of(tmp_path, "a", "b/c", "b/d")
    digest = read(tmp_path).store.digest
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: reversed(list(scandir(path))))
    assert read(tmp_path).store.digest == digest


def test_closed_folders_are_left_out_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_of(tmp_path, "a", "b", "closed")
    scandir = os.scandir
    closed = tmp_path / "closed"

    def guarded(path: Path) -> object:
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    (item,) = read(tmp_path).left_out
    assert (item.what, item.reason) == ("closed", "folder cannot be opened")
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        read(closed)


def _missing(root: Path) -> Path:
    return root / "none"


def _empty(root: Path) -> Path:
    return root


def _loose(root: Path) -> Path:
    save(root / "a.png")
    return root


def _one_class(root: Path) -> Path:
    return folder_of(root, "alone")


def _corrupt(root: Path) -> Path:
    for name in ("a/1.png", "a/2.png", "b/1.png"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"\x89PNG")
    return root


def _text_only(root: Path) -> Path:
    (root / "a").mkdir()
    (root / "a" / "notes.pdf").write_text("")
    return root


def _other(root: Path) -> Path:
    (root / "table.xls").write_text("a,b\n")
    return root / "table.xls"


def _newline(root: Path) -> Path:
    return root / "two\nlines"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_missing, "does not exist; expected a folder"),
        (_empty, "no images found; expected one folder of images per class"),
        (_loose, "1 images lie directly in it and none in class folders"),
        (_one_class, "only class 'alone' has at least 2 usable examples"),
        (_corrupt, "none of its 3 images can be read"),
        (_text_only, r"no images found.*a/notes\.pdf \(not an image\)"),
        (_other, "is not a kind of data that is supported: a folder"),
        (_newline, "does not exist"),
    ],
)
def test_refusals_are_one_helpful_line(tmp_path: Path, make: object, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        read(make(tmp_path))  # type: ignore[operator]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["", "a\0b", "~nobody_of_this_name/data"])
def test_impossible_paths_are_data_errors(path: str) -> None:
    with pytest.raises(DataError):
        read(path)


@pytest.mark.parametrize("options", [{"image_size": 0}, {"image_size": 5000}, {"channels": 2}])
def test_options_out_of_range_are_refused(tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(DataError, match="must be"):
        read(tmp_path, **options)  # type: ignore[arg-type]
