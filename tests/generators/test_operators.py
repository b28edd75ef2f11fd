"""Operators: what all of them guarantee, and what each does to inputs whose answer is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tests.generators.conftest import draw_for

from metaloop.core.errors import DataError
from metaloop.generators.classes import Classes, training_classes
from metaloop.generators.operators import OPERATORS
from metaloop.generators.recipes import parse_recipe
from metaloop.tasks.family import ClassFamily

New = Callable[..., ClassFamily]


def applied(text: str, classes: Classes, seed: int = 0) -> Classes:
    (choice,) = parse_recipe(text).generators
    rng = np.random.default_rng(seed)
    entry = OPERATORS[choice.name]
    draw = draw_for(tuple(classes.inputs.shape[1:])) if entry.draws else None
    return entry.apply(classes, rng, choice.options, draw)


def examples(classes: Classes, index: int) -> torch.Tensor:
    start = classes.starts[index]
    return classes.inputs[start : start + classes.sizes[index]]


def test_every_operator_makes_what_it_announces(case: tuple[ClassFamily, str]) -> None:
    family, text = case
    classes = training_classes(family)
    before = classes.inputs.clone()
    made = applied(text, classes)
    (choice,) = parse_recipe(text).generators
    assert len(made) == OPERATORS[choice.name].made(choice.options, len(classes))
    assert len(made.sizes) == len(made) and made.sizes.sum() == len(made.inputs)
    assert made.inputs.dtype == classes.inputs.dtype
    assert made.inputs.shape[1:] == classes.inputs.shape[1:]
    assert bool(made.inputs.float().isfinite().all())
    torch.testing.assert_close(classes.inputs, before, rtol=0, atol=0)


def test_every_operator_follows_its_generator_alone(case: tuple[ClassFamily, str]) -> None:
    family, text = case
    classes = training_classes(family)
    first, again = applied(text, classes), applied(text, classes)
    torch.testing.assert_close(first.inputs, again.inputs, rtol=0, atol=0)
    assert first.infos == again.infos


def test_every_class_says_where_it_came_from(case: tuple[ClassFamily, str]) -> None:
    family, text = case
    classes = training_classes(family)
    made = applied(text, classes)
    names = [info.name for info in made.infos]
    assert len(set(names)) == len(names)
    origins = {info.name for info in classes.infos}
    for info in made.infos:
        assert info.unit.startswith("prior(") or info.unit in origins
        assert info.name.startswith(info.unit)


def test_drawn_classes_are_those_that_were_shown_and_repeat_no_image(new_family: New) -> None:
    classes = training_classes(new_family())
    made = applied("generated(0.3, shots=4)", classes)
    assert len(made) == len(classes) and set(made.sizes) == {7}
    means = torch.stack([examples(classes, k).float().mean(0).flatten() for k in range(12)])
    drawn = torch.stack([examples(made, k).float().mean(0).flatten() for k in range(12)])
    apart = torch.cdist(drawn - drawn.mean(0), means - means.mean(0))
    assert (apart.argmin(1) == torch.arange(12)).sum() >= 9
    known = {image.numpy().tobytes() for image in classes.inputs}
    assert not known & {image.numpy().tobytes() for image in made.inputs}


def test_nothing_is_drawn_without_a_model(new_family: New) -> None:
    classes = training_classes(new_family())
    with pytest.raises(DataError, match="needs a model that draws"):
        OPERATORS["generated"].apply(classes, np.random.default_rng(0), {"temperature": 0.5})


def test_four_quarter_turns_are_no_turn(new_family: New) -> None:
    classes = training_classes(new_family())
    turned = applied("rotate(90)", classes)
    assert [turned.infos[k * 12].name for k in range(3)] == [
        f"{classes.infos[0].name} | rotate({angle})" for angle in (90, 180, 270)
    ]
    quarter, half = turned.subset(np.arange(12)), turned.subset(np.arange(12, 24))
    twice = applied("rotate(90)", quarter).subset(np.arange(12))
    torch.testing.assert_close(twice.inputs, half.inputs)
    back = applied("rotate(180)", half)
    torch.testing.assert_close(back.inputs, classes.inputs)
    corner = classes.inputs[:, :, 0, -1]  # a quarter turn to the left
    torch.testing.assert_close(quarter.inputs[:, :, 0, 0], corner)


def test_mirrors_and_negatives_undo_themselves(new_family: New) -> None:
    classes = training_classes(new_family())
    for text in ("flip(horizontal)", "flip(vertical)", "invert()"):
        once = applied(text, classes)
        assert not torch.equal(once.inputs, classes.inputs)
        torch.testing.assert_close(applied(text, once).inputs, classes.inputs)
    sideways = applied("flip(horizontal)", classes)
    torch.testing.assert_close(sideways.inputs[..., 0], classes.inputs[..., -1])


@pytest.mark.parametrize("text", ["affine(0.6)", "scramble(2)", "permute_channels()"])
def test_a_change_is_one_for_the_class_and_another_for_others(text: str, new_family: New) -> None:
    family = new_family(channels=3)
    classes = training_classes(family)
    alike = Classes(classes.inputs[:1].expand_as(classes.inputs), classes.sizes, classes.infos)
    made = applied(text, alike)
    for index in range(len(made)):
        own = examples(made, index)
        torch.testing.assert_close(own, own[:1].expand_as(own))
    assert len({examples(made, index)[0].numpy().tobytes() for index in range(len(made))}) > 2


def test_a_weaker_map_moves_less(new_family: New) -> None:
    classes = training_classes(new_family(side=16))
    smooth = torch.linspace(0, 200, 16).expand_as(classes.inputs).to(torch.uint8)
    classes = Classes(smooth, classes.sizes, classes.infos)
    moved = [
        float((applied(f"affine({strength})", classes).inputs.float() - smooth).abs().mean())
        for strength in (0.05, 0.3, 1.0)
    ]
    assert 0 < moved[0] < moved[1] < moved[2]


def test_tiles_and_channels_are_only_moved(new_family: New) -> None:
    classes = training_classes(new_family(channels=3))
    for text in ("scramble(2)", "scramble(4)", "permute_channels()"):
        made = applied(text, classes)
        assert not torch.equal(made.inputs, classes.inputs)
        torch.testing.assert_close(
            made.inputs.flatten(1).sort(1).values, classes.inputs.flatten(1).sort(1).values
        )


@pytest.mark.parametrize("features", [0, 10])
def test_a_mixed_example_lies_between_one_of_each_class(features: int, new_family: New) -> None:
    classes = training_classes(new_family(features=features))
    made = applied("mix(0.3)", classes)
    partners = [info.name.partition("mix(0.3, ")[2].rstrip(")") for info in made.infos]
    names = [info.name for info in classes.infos]
    assert sorted(partners) == sorted(names)
    assert all(partner != name for partner, name in zip(partners, names, strict=True))
    for index in (0, 5):
        own = examples(classes, index).float()
        other = examples(classes, names.index(partners[index])).float()
        possible = 0.7 * own[:, None] + 0.3 * other[None]
        off = (examples(made, index).float()[:, None] - possible).flatten(2).abs().amax(2)
        limit = 1e-5 if features else 0.51  # bytes are rounded
        nearest = off.argmin(1)
        assert bool((off.amin(1) < limit).all())
        assert sorted(nearest.tolist()) == list(range(len(own)))  # each partner example once


def test_a_partner_with_fewer_examples_is_used_again(new_family: New) -> None:
    classes = training_classes(new_family(features=4))
    few = Classes(classes.inputs[: 7 + 2], np.array([7, 2]), classes.infos[:2])
    made = applied("mix(0.5)", few)
    assert list(made.sizes) == [7, 2]
    others = 2 * made.inputs[:7] - few.inputs[:7]
    gaps = torch.cdist(others, few.inputs[7:])
    assert sorted(np.bincount(gaps.argmin(1).numpy())) == [3, 4]
    assert float(gaps.amin(1).max()) < 1e-5


def test_cutmix_covers_its_share_at_one_place(new_family: New) -> None:
    classes = training_classes(new_family(side=32))
    black, white = torch.zeros(7, 1, 32, 32), torch.full((7, 1, 32, 32), 255.0)
    two = Classes(torch.cat([black, white]).to(torch.uint8), np.array([7, 7]), classes.infos[:2])
    for share in (0.1, 0.5):
        made = applied(f"cutmix({share})", two)
        for index, foreign in ((0, 255), (1, 0)):
            covered = examples(made, index) == foreign
            assert torch.equal(covered, covered[:1].expand_as(covered))
            assert float(covered.float().mean()) == pytest.approx(share, rel=0.2)


def test_hidden_features_are_the_mean_for_the_whole_class(new_family: New) -> None:
    classes = training_classes(new_family(features=10))
    made = applied("mask(0.3)", classes)
    mean = classes.inputs.mean(0)
    patterns = set()
    for index in range(len(made)):
        own, before = examples(made, index), examples(classes, index)
        hidden = (own == mean).all(0)
        assert int(hidden.sum()) == 3
        torch.testing.assert_close(own[:, ~hidden], before[:, ~hidden])
        patterns.add(tuple(hidden.tolist()))
    assert len(patterns) > 3


def test_mirrored_features_undo_themselves_and_keep_the_mean(new_family: New) -> None:
    classes = training_classes(new_family(features=10))
    made = applied("sign(0.3)", classes)
    mean = classes.inputs.mean(0)
    for index in range(len(made)):
        own, before = examples(made, index) - mean, examples(classes, index) - mean
        mirrored = ((own + before).abs() < 1e-5).all(0)
        assert int(mirrored.sum()) == 3
        torch.testing.assert_close(own[:, ~mirrored], before[:, ~mirrored])


def test_exchanged_features_keep_their_standard_values(new_family: New) -> None:
    classes = training_classes(new_family(features=10))
    made = applied("permute_features(0.4)", classes)
    mean, deviation = classes.inputs.mean(0), classes.inputs.std(0, correction=0)
    standard, before = ((c.inputs - mean) / deviation for c in (made, classes))
    torch.testing.assert_close(standard.sort(1).values, before.sort(1).values)
    moved = ((standard - before).abs() > 1e-5).sum(1)
    assert bool((moved == 4).all())


def test_gaussian_classes_scatter_as_the_data_do(new_family: New) -> None:
    family = new_family(features=6, size=40)
    stretch = torch.tensor([1.0, 5.0, 0.2, 1.0, 1.0, 3.0])
    classes = training_classes(family)
    classes = Classes(classes.inputs * stretch + 7, classes.sizes, classes.infos)
    made = applied("prior(gaussian, number=3000)", classes)

    def covariances(c: Classes) -> tuple[Any, Any, Any]:
        stacked = c.inputs.reshape(len(c), -1, 6).double().numpy()
        means = stacked.mean(1)
        within = (stacked - means[:, None]).reshape(-1, 6)
        return means.mean(0), np.cov(means.T), np.cov(within.T)

    for wanted, found in zip(covariances(classes), covariances(made), strict=True):
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(found, wanted, atol=0.1 * scale)


@pytest.mark.parametrize("kind", ["strokes", "blobs"])
def test_synthetic_images_are_alike_within_a_class(kind: str, new_family: New) -> None:
    classes = training_classes(new_family(side=28))
    made = applied(f"prior({kind}, number=20)", classes)
    images = made.inputs.float().reshape(20, 7, -1)
    told_right = []
    for k in range(7):  # each example by the others' means
        others = images[:, [j for j in range(7) if j != k]].mean(1)
        told_right.append(torch.cdist(images[:, k], others).argmin(1) == torch.arange(20))
    assert float(torch.stack(told_right).float().mean()) > 0.2  # chance is 0.05
    assert not torch.equal(images[:, 0], images[:, 1])


def test_strokes_are_dark_where_the_paper_is_bright(new_family: New) -> None:
    classes = training_classes(new_family(side=28))
    for level, edge in ((20, 0), (230, 255)):
        flat = torch.full_like(classes.inputs, level)
        made = applied("prior(strokes, number=8)", Classes(flat, classes.sizes, classes.infos))
        assert float(made.inputs.float().median()) == edge


@pytest.mark.parametrize(
    ("text", "shape", "message"),
    [
        ("rotate(90)", (1, 8, 6), "takes square images, these have 8 x 6; use rotate"),
        ("permute_channels()", (1, 8, 8), "takes images of 3 channels, these have 1"),
        ("scramble(3)", (1, 8, 8), "cuts sides into 3 equal pieces"),
        ("prior(gaussian)", (1, 8, 8), r"does not make images; use prior\(strokes\) or"),
        ("prior(blobs)", (8,), r"does not make vectors; use prior\(gaussian\)"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(
    text: str, shape: tuple[int, ...], message: str, new_family: New
) -> None:
    classes = training_classes(new_family())
    inputs = torch.zeros(len(classes.inputs), *shape)
    inputs = inputs if len(shape) == 1 else inputs.to(torch.uint8)
    with pytest.raises(DataError, match=message):
        applied(text, Classes(inputs, classes.sizes, classes.infos))


def test_one_class_alone_cannot_be_mixed(new_family: New) -> None:
    classes = training_classes(new_family()).subset(np.array([0]))
    for text in ("mix(0.3)", "cutmix(0.3)"):
        with pytest.raises(DataError, match="needs two training classes"):
            applied(text, classes)
