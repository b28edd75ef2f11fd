"""The filter: too easy and hopeless classes go, all others and every original class stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from metaloop.generators.classes import Classes
from metaloop.generators.filtering import Verdict, judge_classes
from metaloop.generators.generate import make_classes
from metaloop.generators.recipes import parse_recipe
from metaloop.tasks.family import ClassFamily
from metaloop.tasks.store import ClassInfo

New = Callable[..., ClassFamily]
SIZE = 30


def features(inputs: Tensor) -> Tensor:
    """The inputs are the features."""
    return inputs


def with_spread(spreads: dict[str, float], each: int = 8) -> Classes:
    """Returns classes around random centres, as noisy as each kind of them says."""
    rng = np.random.default_rng(3)
    inputs, infos = [], []
    for kind, spread in spreads.items():
        for k in range(each):
            # Noise without a centre: nothing tells such a class from another of its kind.
            centre = np.zeros(10) if kind == "hopeless" else rng.normal(size=10)
            inputs.append(centre + spread * rng.normal(size=(SIZE, 10)))
            infos.append(ClassInfo(f"{kind} {k}"))
    return Classes(
        torch.from_numpy(np.concatenate(inputs)).float(), np.full(len(infos), SIZE), tuple(infos)
    )


def judged(base: ClassFamily, made: Classes, **options: Any) -> Verdict:
    return judge_classes(base, [made], features, np.random.default_rng(0), **options)


def test_easy_classes_go_and_useful_ones_stay(new_family: New) -> None:
    made = with_spread({"easy": 0.01, "useful": 1.5})
    verdict = judged(new_family(features=10), made)
    assert [made.infos[place].name.split()[0] for place in verdict.kept] == ["useful"] * 8
    assert (verdict.too_easy, verdict.hopeless, verdict.unjudged) == (8, 0, 0)
    for name, accuracy in verdict.accuracy.items():
        assert (accuracy > 0.95) == name.startswith("easy")


def test_hopeless_tasks_go(new_family: New) -> None:
    verdict = judged(new_family(features=10), with_spread({"hopeless": 1.0}, each=12))
    assert verdict.hopeless >= 9
    assert {item.reason for item in verdict.left_out} == {"hopeless"}


def test_in_how_many_pieces_classes_come_makes_no_difference(new_family: New) -> None:
    base, made = new_family(features=10), with_spread({"easy": 0.01, "useful": 1.2})
    pieces = [
        made.subset(np.arange(3)),
        made.subset(np.arange(3, 11)),
        made.subset(np.arange(11, 16)),
    ]
    verdict = judge_classes(base, pieces, features, np.random.default_rng(0))
    assert verdict == judged(base, made)
    assert 0 < verdict.too_easy < 16
    few = judge_classes(base, pieces, features, np.random.default_rng(0), classes_judged=4)
    assert few == judged(base, made, classes_judged=4)


def test_if_nothing_is_of_use_it_says_so(new_family: New) -> None:
    verdict = judged(new_family(features=10), with_spread({"easy": 1e-4}))
    assert (verdict.kept, verdict.too_easy) == ((), 8)
    assert verdict.message == (
        "no generated class is of use (8 too easy, 0 hopeless): the original classes remain"
    )


def test_classes_beyond_the_number_to_judge_stay(new_family: New) -> None:
    made = with_spread({"easy": 1e-4}, each=20)
    verdict = judged(new_family(features=10), made, classes_judged=5)
    assert (verdict.too_easy, len(verdict.kept), verdict.unjudged) == (5, 15, 15)


def test_classes_too_small_for_a_task_stay(new_family: New) -> None:
    verdict = judged(new_family(features=10), with_spread({"easy": 1e-4}, each=6), shots=SIZE)
    assert (verdict.kept, verdict.unjudged) == (tuple(range(6)), 6)


@pytest.mark.parametrize("ways", [2, 5])
def test_images_are_embedded_in_the_format_of_the_family(ways: int, new_family: New) -> None:
    base = new_family()
    made = make_classes(base, parse_recipe("rotate(90)"), 0)
    seen: list[Tensor] = []

    def embed(inputs: Tensor) -> Tensor:
        seen.append(inputs)
        return inputs.flatten(1)

    rng = np.random.default_rng(0)
    verdict = judge_classes(base, made.pieces, embed, rng, ways=ways, shots=1, high=1.0)
    images = torch.cat(seen)
    assert len(images) == 36 * 7  # all examples, up to 15 of a class
    assert max(map(len, seen)) == 64  # as many at once as a processor's cache holds
    assert images.dtype == torch.float32 and float(images.max()) <= 1
    assert verdict.too_easy == 0
    assert "kept 36 generated classes" in verdict.message


def test_features_of_noise_make_every_class_hopeless(new_family: New) -> None:
    base = new_family()
    made = make_classes(base, parse_recipe("rotate(90)"), 0)
    rng = torch.Generator().manual_seed(0)
    verdict = judge_classes(
        base,
        made.pieces,
        lambda inputs: torch.randn(len(inputs), 16, generator=rng),
        np.random.default_rng(0),
    )
    assert verdict.hopeless > 24
    assert verdict.too_easy == 0
