"""The filter: too easy and hopeless classes go, all others and every original class stay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from metaloop.core.records import PARTS
from metaloop.generators.classes import Classes
from metaloop.generators.filtering import keep_useful
from metaloop.generators.generate import enlarged, generate
from metaloop.generators.recipes import parse_recipe
from metaloop.tasks.family import ClassFamily
from metaloop.tasks.store import ClassInfo

New = Callable[..., ClassFamily]
SIZE = 30


def features(inputs: Tensor) -> Tensor:
    """The inputs are the features."""
    return inputs


def with_spread(base: ClassFamily, spreads: dict[str, float], each: int = 8) -> ClassFamily:
    """Returns `base` with classes around random centres, as noisy as each kind of them says."""
    rng = np.random.default_rng(3)
    inputs, infos = [], []
    for kind, spread in spreads.items():
        for k in range(each):
            # Noise without a centre: nothing tells such a class from another of its kind.
            centre = np.zeros(10) if kind == "hopeless" else rng.normal(size=10)
            inputs.append(centre + spread * rng.normal(size=(SIZE, 10)))
            infos.append(ClassInfo(f"{kind} {k}"))
    made = Classes(
        torch.from_numpy(np.concatenate(inputs)).float(), np.full(len(infos), SIZE), tuple(infos)
    )
    return enlarged(base, [made], 0.5)


def kinds_left(family: ClassFamily) -> list[str]:
    made = family.store.classes[len(family.original.store.classes) :]
    return [info.name.split()[0] for info in made]


def test_easy_classes_go_and_useful_ones_stay(new_family: New) -> None:
    family = with_spread(new_family(features=10), {"easy": 0.01, "useful": 1.5})
    outcome = keep_useful(family, features, np.random.default_rng(0))
    assert kinds_left(outcome.family) == ["useful"] * 8, outcome.accuracy
    assert (outcome.kept, outcome.too_easy, outcome.hopeless, outcome.unjudged) == (8, 8, 0, 0)
    for name, accuracy in outcome.accuracy.items():
        assert (accuracy > 0.95) == name.startswith("easy")


def test_hopeless_tasks_go(new_family: New) -> None:
    family = with_spread(new_family(features=10), {"hopeless": 1.0}, each=12)
    outcome = keep_useful(family, features, np.random.default_rng(0))
    assert outcome.hopeless >= 9
    assert {item.reason for item in outcome.left_out} == {"hopeless"}


def test_what_stays_is_as_it_was(new_family: New) -> None:
    base = new_family(features=10)
    family = with_spread(base, {"easy": 0.01, "useful": 1.2})
    outcome = keep_useful(family, features, np.random.default_rng(0))
    kept = outcome.family
    assert kept.original is base
    assert kept.enlargement is not None and kept.enlargement.original_share == 0.5
    assert [(item.reason, item.count) for item in kept.enlargement.left_out] == [
        ("too easy", outcome.too_easy)
    ]
    by_name = {info.name: index for index, info in enumerate(family.store.classes)}
    for index, info in enumerate(kept.store.classes):
        before = family.store.inputs[family.store.examples_of[by_name[info.name]]]
        torch.testing.assert_close(kept.store.inputs[kept.store.examples_of[index]], before)
    for part in PARTS[1:]:
        np.testing.assert_array_equal(kept.parts[part], base.parts[part])
    np.testing.assert_array_equal(kept.parts["train"][:12], base.parts["train"])
    again = keep_useful(family, features, np.random.default_rng(0))
    assert again.family.digest == kept.digest


def test_if_nothing_is_of_use_the_originals_remain_and_it_says_so(new_family: New) -> None:
    base = new_family(features=10)
    outcome = keep_useful(with_spread(base, {"easy": 1e-4}), features, np.random.default_rng(0))
    assert outcome.family is base
    assert (outcome.kept, outcome.too_easy) == (0, 8)
    assert outcome.message == (
        "no generated class is of use (8 too easy, 0 hopeless): the original classes remain"
    )


def test_classes_beyond_the_number_to_judge_stay(new_family: New) -> None:
    family = with_spread(new_family(features=10), {"easy": 1e-4}, each=20)
    outcome = keep_useful(family, features, np.random.default_rng(0), classes_judged=5)
    assert (outcome.too_easy, outcome.kept, outcome.unjudged) == (5, 15, 15)
    assert len(kinds_left(outcome.family)) == 15


def test_classes_too_small_for_a_task_stay(new_family: New) -> None:
    family = with_spread(new_family(features=10), {"easy": 1e-4}, each=6)
    outcome = keep_useful(family, features, np.random.default_rng(0), shots=SIZE)
    assert (outcome.kept, outcome.unjudged) == (6, 6)
    assert outcome.family is family


def test_a_family_without_generated_classes_is_returned_as_it_is(new_family: New) -> None:
    base = new_family(features=10)
    assert keep_useful(base, features, np.random.default_rng(0)).family is base


@pytest.mark.parametrize("ways", [2, 5])
def test_images_are_embedded_in_the_format_of_the_family(ways: int, new_family: New) -> None:
    family = generate(new_family(), parse_recipe("rotate(90)"), 0)
    seen: list[Tensor] = []

    def embed(inputs: Tensor) -> Tensor:
        seen.append(inputs)
        return inputs.flatten(1)

    outcome = keep_useful(family, embed, np.random.default_rng(0), ways=ways, shots=1, high=1.0)
    images = torch.cat(seen)
    assert len(images) == 36 * 7  # all examples, up to 15 of a class
    assert images.dtype == torch.float32 and float(images.max()) <= 1
    assert outcome.too_easy == 0
    assert "kept 36 generated classes" in outcome.message


def test_features_of_noise_make_every_class_hopeless(new_family: New) -> None:
    family = generate(new_family(), parse_recipe("rotate(90)"), 0)
    rng = torch.Generator().manual_seed(0)
    outcome = keep_useful(
        replace(family),
        lambda inputs: torch.randn(len(inputs), 16, generator=rng),
        np.random.default_rng(0),
    )
    assert outcome.hopeless > 24
    assert outcome.too_easy == 0
