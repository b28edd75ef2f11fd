"""Augmentations: shapes, ranges, strength zero changes nothing, one generator decides."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from metaloop.core.errors import UnknownNameError
from metaloop.core.examples import EpisodeBatch, Examples
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Choice
from metaloop.engine.augmentation import AUGMENTATIONS, affine, augmented, photo

OFF: dict[str, dict[str, Any]] = {
    "affine": {"rotation": 0.0, "scale": 0.0, "shear": 0.0, "shift": 0.0, "elastic": 0.0},
    "photo": {"shift": 0.0, "flip": False, "brightness": 0.0, "contrast": 0.0},
    "jitter": {"strength": 0.0},
    "sound": dict.fromkeys(
        ("shift", "speed", "voice", "colour", "noise", "bands", "frames", "room"), 0.0
    ),
    "words": {"drop": 0.0, "swap": 0.0},
}


def _images(number: int = 9, channels: int = 3) -> torch.Tensor:
    return torch.rand(number, channels, 12, 10, generator=torch_stream(0, "images"))


def _inputs(name: str) -> torch.Tensor:
    """Returns inputs that an augmentation takes: spectrograms have one channel, texts four rows."""
    if name == "words":
        return torch.rand(9, 4, 40, generator=torch_stream(0, "texts"))
    return _images(channels=1 if name == "sound" else 3)


def test_every_augmentation_can_be_turned_off() -> None:
    assert set(OFF) == set(AUGMENTATIONS)


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_strength_zero_changes_nothing_and_the_default_changes_every_image(name: str) -> None:
    images, augment = _inputs(name), AUGMENTATIONS[name]
    still = augment(images, torch_stream(0, "a"), **OFF[name])
    torch.testing.assert_close(still, images, atol=1e-5, rtol=1e-5)
    changed = augment(images, torch_stream(0, "a"))
    assert changed.shape == images.shape
    assert bool(changed.isfinite().all())
    assert float((changed - images).abs().flatten(1).amax(1).min()) > 1e-3


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_one_generator_decides(name: str) -> None:
    images, augment = _inputs(name), AUGMENTATIONS[name]
    before = torch.random.get_rng_state(), images.clone()
    first, again, other = (augment(images, torch_stream(seed, "a")) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert torch.equal(images, before[1])


def test_affine_maps_stay_in_range_and_bring_in_black() -> None:
    white = torch.ones(50, 1, 12, 12)
    mapped = affine(white, torch_stream(0, "a"), shift=0.4)
    assert float(mapped.min()) >= 0 and float(mapped.max()) <= 1 + 1e-5
    assert float(mapped.mean()) < 0.9


def test_a_shift_moves_at_most_its_share_of_the_side() -> None:
    dot = torch.zeros(200, 1, 21, 21)
    dot[:, :, 10, 10] = 1
    options = {**OFF["affine"], "shift": 0.2}
    moved = affine(dot, torch_stream(0, "a"), **options)
    place = torch.arange(21.0)
    total = moved.sum((1, 2, 3))
    for dimension in (2, 3):
        other = 5 - dimension
        centre = (moved.sum((1, other)) * place).sum(-1) / total - 10
        assert 3.5 < float(centre.abs().max()) <= 0.2 * 21 + 0.5


def test_photographs_are_mirrored_half_of_the_time() -> None:
    slope = torch.linspace(0, 1, 10).expand(400, 1, 12, 10)
    flipped = photo(slope, torch_stream(0, "a"), shift=0.0, brightness=0.0, contrast=0.0)
    mirrored = (flipped[:, 0, 0, 0] > 0.5).double().mean()
    assert 0.4 < float(mirrored) < 0.6
    either = torch.where((flipped[:, :, :, :1] > 0.5), slope.flip(-1), slope)
    torch.testing.assert_close(flipped, either)


STILL = {"shift": 0.0, "flip": False, "brightness": 0.0, "contrast": 0.0}


@pytest.mark.parametrize(
    "options", [{"crop": 0.6}, {"saturation": 0.8}, {"greyscale": 1.0}, {"cutout": 0.5}]
)
def test_what_is_off_by_default_changes_photographs_when_on(options: dict[str, float]) -> None:
    images = _images()
    changed = photo(images, torch_stream(0, "a"), **STILL, **options)
    assert changed.shape == images.shape
    assert float((changed - images).abs().amax((1, 2, 3)).min()) > 1e-3
    assert float(changed.min()) > -1 and float(changed.max()) < 2
    again = photo(images, torch_stream(0, "a"), **STILL, **options)
    assert torch.equal(changed, again)


def test_a_crop_of_a_slope_is_a_flatter_slope_inside_it() -> None:
    slope = torch.linspace(0, 1, 10).expand(300, 1, 12, 10)
    cropped = photo(slope, torch_stream(0, "a"), **STILL, crop=0.5)
    low, high = cropped[:, 0, 0, 0], cropped[:, 0, 0, -1]
    assert float(low.min()) >= 0 and float(high.max()) <= 1
    shares = high - low  # of the side that is left: from sqrt(1/2 * 3/4) to all of it
    assert 0.55 < float(shares.min()) < 0.7 and float(shares.max()) > 0.95
    straight = torch.diff(cropped[:, 0, 0, 1:-1], n=2)
    torch.testing.assert_close(straight, torch.zeros_like(straight), atol=1e-5, rtol=0)


def test_a_crop_of_nothing_is_a_copy() -> None:
    images = _images()
    copied = photo(images, torch_stream(0, "a"))
    resampled = photo(images, torch_stream(0, "a"), crop=1e-6)
    torch.testing.assert_close(resampled, copied, atol=1e-4, rtol=1e-4)


def test_greyscale_images_have_equal_channels_and_saturation_keeps_the_grey() -> None:
    images = _images(200)
    grey = photo(images, torch_stream(0, "a"), **STILL, greyscale=0.5)
    without_colour = (grey - grey.mean(1, keepdim=True)).abs().amax((1, 2, 3)) < 1e-6
    assert 0.35 < float(without_colour.double().mean()) < 0.65
    vivid = photo(images, torch_stream(0, "a"), **STILL, saturation=0.9)
    torch.testing.assert_close(vivid.mean(1), images.mean(1), atol=1e-5, rtol=1e-5)


def test_a_cut_out_square_is_no_larger_than_its_side_and_shows_the_mean() -> None:
    images = torch.rand(100, 3, 20, 20, generator=torch_stream(0, "images"))
    changed = photo(images, torch_stream(0, "a"), **STILL, cutout=0.4)
    hidden = (changed - images).abs().amax(1) > 1e-4
    assert int(hidden.any(1).sum(-1).max()) == 8 and int(hidden.any(2).sum(-1).max()) == 8
    for image, mask, before in zip(changed, hidden, images, strict=True):
        torch.testing.assert_close(
            image[:, mask], before.mean().expand_as(image[:, mask]), atol=1e-4, rtol=1e-4
        )


def test_both_sides_of_episodes_are_changed_and_labels_stay() -> None:
    def side(number: int) -> Examples:
        inputs = torch.rand(2, number, 3, 12, 10, generator=torch_stream(number, "side"))
        labels = torch.zeros(2, number, dtype=torch.int64)
        return Examples(inputs, labels, torch.ones(2, number, dtype=torch.bool), 2)

    batch = EpisodeBatch(side(3), side(5))
    changed = augmented(batch, Choice("affine", {"rotation": 30.0}), torch_stream(0, "a"))
    assert isinstance(changed, EpisodeBatch)
    for before, after in ((batch.support, changed.support), (batch.query, changed.query)):
        assert after.inputs.shape == before.inputs.shape  # type: ignore[union-attr]
        assert not torch.equal(after.inputs, before.inputs)  # type: ignore[arg-type]
        assert after.targets is before.targets
    assert augmented(batch, Choice("none"), torch_stream(0, "a")) is batch


def test_unknown_augmentations_are_refused() -> None:
    batch = Examples(_images(), torch.zeros(9).long(), torch.ones(9).bool(), 2)
    with pytest.raises(UnknownNameError, match="did you mean 'affine'"):
        augmented(batch, Choice("afine"), torch_stream(0, "a"))
