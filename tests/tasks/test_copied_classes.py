"""Classes that occur twice: told, and never on two sides of a split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metaloop.catalogue.families import open_data
from metaloop.core.records import PARTS
from metaloop.tasks.copied_classes import join_copied_classes
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.glyphs import read_glyphs
from metaloop.tasks.readers import read_arrays
from metaloop.tasks.store import ClassInfo, Reading, Store

SIZE = 8  # examples of a class


def images(num_classes: int, seed: int = 0) -> np.ndarray:
    """`[num_classes, SIZE, 3, 16, 16]`, all different."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (num_classes, SIZE, 3, 4, 4), dtype=np.uint8)
    return coarse.repeat(4, 3).repeat(4, 4)


def store_of(pixels: np.ndarray, names: list[str], **known: str) -> Store:
    targets = torch.arange(len(names)).repeat_interleave(SIZE)
    infos = tuple(ClassInfo(name, **known) for name in names)  # type: ignore[arg-type]
    return Store(torch.from_numpy(pixels.reshape(-1, *pixels.shape[2:])), targets, infos)


NAMES = [f"class{letter}" for letter in "abcdefghijklmnop"]


def part_names(family: ClassFamily) -> dict[str, set[str]]:
    return {part: {family.store.classes[i].name for i in family.parts[part]} for part in PARTS}


@pytest.mark.parametrize("step", [0, 1])
def test_a_class_that_was_copied_is_left_out_and_told(step: int) -> None:
    pixels = images(16)
    store = store_of(
        np.concatenate([pixels[:5] + np.uint8(step), pixels]),
        [f"{name} - Copy" for name in NAMES[:5]] + NAMES,
    )
    family, (told,) = class_family(Reading("copied", "a test", store))
    plain, nothing = class_family(Reading("copied", "a test", store_of(pixels, NAMES)))
    assert part_names(family) == part_names(plain) and nothing == ()
    assert (told.count, told.reason) == (5, "copy of another class")
    assert told.what == ("class 'classa - Copy', 'classb - Copy', 'classc - Copy' and 2 more")
    assert family.digest == plain.digest


def test_the_larger_class_stays_whatever_its_name_and_place() -> None:
    pixels = images(8)
    small = store_of(pixels, NAMES[:8]).without(np.empty(0, np.int64), np.arange(3))
    names = [info.name for info in small.classes] + ["a longer name"]
    both = Store(
        torch.cat([small.inputs, torch.from_numpy(pixels[0])]),
        torch.cat([small.targets, torch.full((SIZE,), 8)]),
        tuple(map(ClassInfo, names)),
    )
    joined, _ = join_copied_classes(both)
    assert [info.name for info in joined.classes] == names[1:]


@pytest.mark.parametrize("seed", range(4))
def test_classes_that_share_some_content_are_dealt_into_one_part(seed: int) -> None:
    pixels = images(16)
    pixels[3, :4] = pixels[11, :4] + 1
    store = store_of(pixels, NAMES)
    family, left_out = class_family(Reading("shared", "a test", store), split_seed=seed)
    (part,) = {part for part, names in part_names(family).items() if "classd" in names}
    assert "classl" in part_names(family)[part]
    assert len(family.store.inputs) == 16 * SIZE
    (told,) = left_out
    assert "'classd' and 'classl'" in told.what
    assert told.reason == "classes that share content are in one part"


def test_units_stay_whole_when_a_class_of_theirs_is_joined() -> None:
    pixels = images(16)
    pixels[3, :4] = pixels[11, :4]
    infos = [ClassInfo(name, unit=f"unit {k // 2}") for k, name in enumerate(NAMES)]
    joined, _ = join_copied_classes(replace(store_of(pixels, NAMES), classes=tuple(infos)))
    units = [info.unit for info in joined.classes]
    assert units[2] == units[3] == units[10] == units[11] == "unit 1"
    assert len(set(units)) == 7


def test_one_shared_picture_joins_no_classes_and_leaves_the_more_open_part() -> None:
    pixels = images(16)
    pixels[3, 0] = pixels[11, 0] + 1
    store = store_of(pixels, NAMES)
    assert join_copied_classes(store) == (store, ())


def test_a_page_that_is_in_all_classes_joins_none_of_them() -> None:
    pixels = images(16)
    pixels[:, :3] = pixels[0, :3]
    store = store_of(pixels, NAMES)
    assert join_copied_classes(store) == (store, ())


def test_the_parts_of_a_published_split_are_not_joined() -> None:
    pixels = images(16)
    pixels[3] = pixels[11]
    infos = [ClassInfo(n, part="train" if k < 8 else "test") for k, n in enumerate(NAMES)]
    store = replace(store_of(pixels, NAMES), classes=tuple(infos))
    assert join_copied_classes(store) == (store, ())


def test_vectors_of_a_few_whole_numbers_are_no_identity() -> None:
    """All classes share all rows: as before, such data are dealt, and rows in two parts leave."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 3, (16 * 40, 4)).astype(float)
    reading = read_arrays(rows, np.repeat(np.arange(16), 40), name="counts")
    assert join_copied_classes(reading.store) == (reading.store, ())


def test_data_without_copied_classes_are_dealt_as_ever() -> None:
    """The figures are those of metaloop before it knew of near-copies."""
    family = open_data("digits").family
    assert isinstance(family, ClassFamily)
    assert [len(family.parts[part]) for part in PARTS] == [3, 2, 2, 3]
    assert family.digest == "8db2a215b84b11dc"


def test_none_of_the_drawn_characters_is_taken_for_another() -> None:
    store = read_glyphs().store
    assert join_copied_classes(store) == (store, ())


def test_a_folder_with_copied_classes_and_thumbnails_is_opened_without_them(
    tmp_path: Path,
) -> None:
    pixels = images(10)
    for name, examples in zip(NAMES, pixels, strict=False):
        for folder in (name, f"{name} - Copy") if name < "classf" else (name,):
            (tmp_path / folder).mkdir()
            for k, each in enumerate(examples):
                picture = Image.fromarray(each.transpose(1, 2, 0)).resize((64, 64))
                picture.save(tmp_path / folder / f"{k}.png")
                if folder == "classg":
                    picture.resize((40, 40), Image.Resampling.BOX).save(
                        tmp_path / folder / f"{k}-40x40.jpg", quality=95
                    )
    opened = open_data(tmp_path)
    assert isinstance(opened.family, ClassFamily)
    assert len(opened.family.store.classes) == 10
    assert len(opened.family.store.inputs) == 10 * SIZE
    assert {item.reason: item.count for item in opened.left_out} == {
        "the same picture is there in a larger size": SIZE,
        "copy of another class": 5,
    }
