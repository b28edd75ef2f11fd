"""Classes are known again by content, whatever they are called; by name where content is silent."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from metaloop.core.records import PARTS
from metaloop.tasks import recognising
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.fingerprints import BYTES
from metaloop.tasks.kept import class_parts
from metaloop.tasks.readers import read_arrays
from metaloop.tasks.recognising import Recognised, classes_of_rows, recognise, seen_of

SIZE = 6  # examples of a class


def pictures(number: int, seed: int, side: int = 24) -> np.ndarray:
    """Returns smooth random colour pictures `[classes, examples, side, side, 3]`, uint8."""
    rng = np.random.default_rng(seed)
    bright = rng.integers(40, 215, (number, SIZE, 6, 6, 1))
    coarse = (bright + rng.integers(-40, 40, (number, SIZE, 6, 6, 3))).astype(np.uint8)
    return np.array(
        [
            [np.asarray(Image.fromarray(one).resize((side, side), 2)) for one in few]
            for few in coarse
        ]
    )


def family_of(images: np.ndarray, names: Sequence[str] | None = None) -> ClassFamily:
    names = [f"fox{k:02d}" for k in range(len(images))] if names is None else names
    labels = np.repeat(np.array(names), images.shape[1])
    return class_family(read_arrays(images.reshape(-1, *images.shape[2:]), labels, image_size=24))[
        0
    ]


def known(images: np.ndarray, names: Sequence[str], family: ClassFamily) -> Recognised:
    """Returns what is recognised of images under names by a model made with the family."""
    return recognise(family_of(images, names).store, seen_of(family), class_parts(family))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return pictures(24, seed=0)


@pytest.fixture(scope="module")
def family(images: np.ndarray) -> ClassFamily:
    return family_of(images)


def one_level_off(images: np.ndarray) -> np.ndarray:
    return np.where(images < 255, images + 1, images).astype(np.uint8)


def encoded_again(images: np.ndarray) -> np.ndarray:
    def jpeg(pixels: np.ndarray) -> np.ndarray:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=90)
        return np.asarray(Image.open(file))

    return np.array([[jpeg(one) for one in few] for few in images])


def of_another_size(images: np.ndarray) -> np.ndarray:
    return np.array(
        [[np.asarray(Image.fromarray(one).resize((48, 48), 3)) for one in few] for few in images]
    )


@pytest.mark.parametrize(
    "changed", [np.copy, one_level_off, encoded_again, of_another_size], ids=lambda f: f.__name__
)
def test_classes_keep_their_parts_under_other_names(
    changed: Callable[[np.ndarray], np.ndarray], images: np.ndarray, family: ClassFamily
) -> None:
    names = [f"renamed {k:02d}" for k in range(24)]
    found = known(changed(images), names, family)
    sizes = {part: len(family.parts[part]) for part in PARTS}
    assert found.counts == {**sizes, "unknown": 0}
    for part in PARTS:
        assert sorted(found.split[part]) == sorted(family.parts[part])


def test_other_pictures_are_unknown_under_other_names_and_under_numbers(
    family: ClassFamily,
) -> None:
    others = pictures(24, seed=1)
    for names in ([f"wolf{k:02d}" for k in range(24)], [str(k) for k in range(24)]):
        assert known(others, names, family).counts["unknown"] == 24
    numbered = family_of(pictures(24, seed=0), [str(k) for k in range(24)])
    assert known(others, [str(k) for k in range(24)], numbered).counts["unknown"] == 24


def test_a_class_of_a_known_name_stays_in_its_part_though_its_pictures_are_new(
    family: ClassFamily,
) -> None:
    names = [info.name for info in family.store.classes]
    found = known(pictures(24, seed=1), names, family)
    assert found.counts["unknown"] == 0
    assert [list(found.split[part]) for part in PARTS] == [list(family.parts[p]) for p in PARTS]


def test_names_say_nothing_where_content_says_that_they_mean_other_classes(
    images: np.ndarray, family: ClassFamily
) -> None:
    mixed = np.concatenate([images[:12], pictures(12, seed=1)])
    turned = [f"fox{(k + 5) % 24:02d}" for k in range(24)]
    assert known(mixed, turned, family).counts["unknown"] == 12


def test_a_class_with_some_of_the_known_pictures_is_the_same_and_one_copy_makes_none(
    images: np.ndarray, family: ClassFamily
) -> None:
    train = int(family.parts["train"][0])
    grown = pictures(24, seed=1)
    grown[0, :2] = images[train, :2]
    grown[1, :1] = images[train, 2:3]
    found = known(grown, [f"wolf{k:02d}" for k in range(24)], family)
    assert found.counts["train"] == 1 and found.counts["unknown"] == 23
    assert 0 in found.split["train"] and 1 in found.split["test"]


def test_vectors_are_known_again_up_to_rounding() -> None:
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(24 * 5, 12)) * np.logspace(-3, 6, 12)).astype(np.float32)
    y = np.repeat([f"a{k}" for k in range(24)], 5)
    family, _ = class_family(read_arrays(X, y))
    store = read_arrays(X * (1 + 1e-6), np.char.add("b", y)).store
    assert recognise(store, seen_of(family), class_parts(family)).counts["unknown"] == 0
    other = read_arrays(X + 0.1 * X.std(0) * rng.normal(size=X.shape), np.char.add("b", y)).store
    assert recognise(other, seen_of(family), class_parts(family)).counts["unknown"] == 24


def test_what_is_kept_is_small_and_bounded(
    family: ClassFamily, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = seen_of(family)
    assert seen.prints.shape == (24 * SIZE, BYTES) and seen.classes.shape == (24 * SIZE,)
    monkeypatch.setattr(recognising, "MOST_EXAMPLES", 60)
    few = seen_of(family)
    assert len(few.prints) == 48 and set(np.bincount(few.classes)) == {2}  # of each class as many


def test_each_example_is_told_of_which_class_it_is_a_copy(family: ClassFamily) -> None:
    seen = seen_of(family)
    rows = family.labelled("promotion")[0]
    places = classes_of_rows(family.store, rows, seen)
    assert set(recognising.part_of_class(class_parts(family))[places]) == {PARTS.index("promotion")}
    inverted = replace(family.store, inputs=255 - family.store.inputs)  # type: ignore[operator]
    assert set(classes_of_rows(inverted, rows[:10], seen)) == {-1}
    nothing = replace(seen, prints=seen.prints[:0], classes=seen.classes[:0])
    assert set(classes_of_rows(family.store, rows[:3], nothing)) == {-1}
