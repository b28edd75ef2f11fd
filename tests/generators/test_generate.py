"""Enlarged families: what was there stays as it was, what is new is new, and nothing leaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.generators.conftest import draw_for

from metaloop.catalogue.families import open_data
from metaloop.core.columns import whole
from metaloop.core.errors import DataError
from metaloop.core.records import PARTS, DataRecipe
from metaloop.generators.fingerprints import fingerprints
from metaloop.generators.generate import generate
from metaloop.generators.recipes import parse_recipe
from metaloop.tasks.family import ClassFamily, episode_list
from metaloop.tasks.sinusoid import SinusoidFamily
from metaloop.tasks.store import ClassInfo, Store

New = Callable[..., ClassFamily]


def generated(family: ClassFamily, text: str, seed: int = 0, **options: int) -> ClassFamily:
    known = family.input_format
    draw = draw_for(known.shape) if text.startswith("generated(") else None
    return generate(family, parse_recipe(text), seed, draw=draw, **options)


def new_classes(family: ClassFamily) -> list[str]:
    return [info.name for info in family.store.classes[len(family.original.store.classes) :]]


def with_classes(family: ClassFamily, extra: dict[str, torch.Tensor]) -> ClassFamily:
    """Returns the family with more classes: `train` or `test` in their name says in which part."""
    store, parts = family.store, {part: list(family.parts[part]) for part in PARTS}
    for name, inputs in extra.items():
        index = len(store.classes)
        store = Store(
            torch.cat([store.inputs, inputs]),
            torch.cat([store.targets, torch.full((len(inputs),), index)]),
            (*store.classes, ClassInfo(name)),
        )
        parts[name.split()[0]].append(index)  # type: ignore[index]
    arrays = {part: np.array(members) for part, members in parts.items()}
    return ClassFamily(family.name, store, arrays)


def test_other_parts_keep_their_examples_and_episodes(case: tuple[ClassFamily, str]) -> None:
    family, text = case
    made = generated(family, text)
    size = len(family.store.inputs)
    assert Store(
        made.store.taken(np.arange(size)), made.store.targets[:size], family.store.classes
    ).digest == (family.store.digest)
    assert made.store.classes[: len(family.store.classes)] == family.store.classes
    for part in PARTS[1:]:
        np.testing.assert_array_equal(made.parts[part], family.parts[part])
        spec = family.spec(4, 1, 3, part=part)
        assert made.spec(4, 1, 3, part=part) == spec
        lists = [episode_list(f, part, spec, 30) for f in (family, made)]
        assert lists[0].list_hash == lists[1].list_hash
        np.testing.assert_array_equal(made.labelled(part)[0], family.labelled(part)[0])


def test_new_classes_come_from_training_classes_alone(case: tuple[ClassFamily, str]) -> None:
    family, text = case
    poisoned = family.store.inputs.clone()
    sealed = ~torch.isin(family.store.targets, torch.from_numpy(family.parts["train"]))
    poisoned[sealed] = poisoned[sealed].flip(0)  # other examples in all other parts
    other = replace(family, store=replace(family.store, inputs=poisoned))
    first = len(family.store)
    made = [generated(each, text).store for each in (family, other)]
    torch.testing.assert_close(*(each.taken(np.arange(first, len(each))) for each in made))


def test_original_classes_come_first_in_the_training_part(new_family: New) -> None:
    family = new_family()
    made = generated(family, "rotate(90) . invert()")
    train = family.parts["train"]
    np.testing.assert_array_equal(made.parts["train"][: len(train)], train)
    assert len(made.parts["train"]) == 8 * len(train)
    assert made.original is family and family.original is family


def test_family_recipe_and_seed_decide_every_byte(new_family: New) -> None:
    family = new_family(channels=3)
    text = "affine(0.3) . mix(0.3, copies=2) . prior(blobs, number=5)"
    first, again = generated(family, text), generated(new_family(channels=3), text)
    assert first.store.digest == again.store.digest
    assert first.digest == again.digest
    others = [
        family,
        generated(family, text, seed=1),
        generated(family, text + " . original=0.4"),
        generated(family, "affine(0.4) . mix(0.3, copies=2) . prior(blobs, number=5)"),
    ]
    assert len({first.digest, *(other.digest for other in others)}) == 5


def test_copies_differ_and_are_numbered(new_family: New) -> None:
    made = generated(new_family(), "affine(0.5, copies=3)")
    names = new_classes(made)
    assert len(set(names)) == len(names) == 3 * 12
    assert names[0].endswith("| affine(0.5) #1") and names[-1].endswith("| affine(0.5) #3")
    own = [
        made.store.taken(made.store.examples_of[32 + 12 * k]).numpy().tobytes() for k in range(3)
    ]
    assert len(set(own)) == 3


def test_operators_apply_to_all_classes_so_far(new_family: New) -> None:
    names = new_classes(generated(new_family(), "flip(horizontal) . invert()"))
    assert len(names) == 3 * 12
    assert sum(name.endswith("| flip(horizontal) | invert()") for name in names) == 12


def test_the_scale_of_inputs_stays_that_of_the_data(new_family: New) -> None:
    family = new_family()
    assert generated(family, "invert()").input_format == family.input_format


def test_a_recipe_without_operators_is_the_family_itself(new_family: New) -> None:
    family = new_family()
    assert generate(family, DataRecipe(), 0) is family
    assert generated(family, "ways=8") is family


def test_memory_stays_within_the_limit_and_what_is_lost_is_counted(new_family: New) -> None:
    family = new_family()
    class_bytes = 7 * 64
    made = generated(family, "rotate(90) . mix(0.3, copies=4)", limit_bytes=40 * class_bytes)
    assert whole(made.store.inputs).numel() - family.store.inputs.numel() <= 40 * class_bytes
    assert made.enlargement is not None
    lost = {item.what: item.count for item in made.enlargement.left_out}
    assert len(new_classes(made)) == 40
    assert sum(name.endswith(("(90)", "(180)", "(270)")) for name in new_classes(made)) == 36
    assert lost == {"classes of mix(0.3, copies=4)": 4 * 48 - 4}
    few = generated(family, "rotate(90)", limit_bytes=10 * class_bytes)
    assert len(new_classes(few)) == 9  # three turns of three classes
    with pytest.raises(DataError, match=r"makes no new class \(36 more than the limit of memory"):
        generated(family, "rotate(90)", limit_bytes=class_bytes)
    with pytest.raises(DataError, match="200 more than the limit of memory"):
        generated(family, "prior(blobs)", limit_bytes=10 * class_bytes)


def test_turns_that_the_data_have_already_are_dropped(new_family: New) -> None:
    family = new_family()
    first = family.store.inputs[family.store.examples_of[family.parts["train"][0]]]
    more = with_classes(family, {"train half turned": torch.rot90(first, 2, (2, 3))})
    made = generated(more, "rotate(180)")
    assert len(new_classes(made)) == 13 - 2  # of the class, and of its turn
    assert made.enlargement is not None
    assert [(item.reason, item.count) for item in made.enlargement.left_out] == [
        ("same content as another class", 2)
    ]


def test_an_operator_twice_makes_nothing_twice(new_family: New) -> None:
    once, twice = (
        generated(new_family(), text) for text in ("rotate(90)", "rotate(90) . rotate(180)")
    )
    assert new_classes(once) == new_classes(twice)


def test_classes_that_an_operator_does_not_change_are_dropped(new_family: New) -> None:
    family = new_family()
    inputs = family.store.inputs
    symmetrical = replace(family.store, inputs=torch.maximum(inputs, inputs.flip(2)))
    with pytest.raises(DataError, match=r"makes no new class \(12 same content as another class"):
        generated(replace(family, store=symmetrical), "flip(vertical)")


def test_a_class_that_meets_a_sealed_example_is_dropped(new_family: New) -> None:
    family = new_family()
    chosen = family.parts["train"][3]
    one = family.store.inputs[family.store.examples_of[chosen][:1]]
    leaking = with_classes(family, {"test mirrored": one.flip(3).repeat(2, 1, 1, 1)})
    made = generated(leaking, "flip(horizontal)")
    assert f"c{chosen:02d} | flip(horizontal)" not in new_classes(made)
    assert len(new_classes(made)) == 11
    assert made.enlargement is not None
    assert [(item.reason, item.count) for item in made.enlargement.left_out] == [
        ("same content in another part", 1)
    ]
    marks = fingerprints(made.store.inputs)
    sealed = np.concatenate([made.labelled(part)[0] for part in PARTS[1:]])
    assert not np.isin(marks[made.labelled("train")[0]], marks[sealed]).any()


def test_fingerprints_tell_examples_apart_by_every_byte() -> None:
    rng = np.random.default_rng(0)
    for shape in ((3, 5, 7), (784,), (4,)):
        inputs = torch.from_numpy(rng.integers(0, 256, (1, *shape), dtype=np.uint8))
        rows = inputs.repeat(2 * inputs[0].numel() + 2, *[1] * len(shape)).flatten(1)
        for place in range(rows.shape[1]):
            rows[1 + 2 * place, place] ^= 1
            rows[2 + 2 * place, place] ^= 128
        marks = fingerprints(rows)
        assert marks[0] == marks[-1]
        assert len(set(marks.tolist())) == len(rows) - 1
    pairs = torch.zeros(64 * 63 // 2, 512, dtype=torch.uint8)
    for row, (i, j) in enumerate(combinations(range(64), 2)):
        pairs[row, 8 * i + 7], pairs[row, 8 * j + 7] = 128, 128  # the top bits of two words
    assert len(set(fingerprints(pairs).tolist())) == len(pairs)


def test_operators_for_other_inputs_are_refused_naming_those_that_fit(new_family: New) -> None:
    with pytest.raises(DataError, match=r"rotate takes images, the data are vectors; .*mask, mix"):
        generated(new_family(features=4), "mix(0.3) . rotate(90)")
    with pytest.raises(DataError, match="mask takes vectors, the data are images"):
        generated(new_family(), "mask(0.3)")


def test_families_without_classes_and_enlarged_ones_are_refused(new_family: New) -> None:
    with pytest.raises(DataError, match="sinusoid has no classes"):
        generate(SinusoidFamily(), parse_recipe("mix(0.3)"), 0)
    made = generated(new_family(), "invert()")
    with pytest.raises(DataError, match="generated already"):
        generated(made, "rotate(90)")


@pytest.mark.long
def test_omniglots_own_turns_are_not_made_again(shared_data: Path) -> None:
    family = open_data(shared_data / "omniglot").family
    assert isinstance(family, ClassFamily)
    with pytest.raises(DataError, match="12,336 same content as another class"):
        generated(family, "rotate(90)")
    made = generated(family, "flip(horizontal)")
    assert len(new_classes(made)) == 4112
    spec = family.spec(5, 1, 15)
    lists = [episode_list(f, "search", spec, 100).list_hash for f in (family, made)]
    assert lists[0] == lists[1]
