"""Changes of recordings: each does what it says, and nothing else."""

from __future__ import annotations

import pytest
import torch
from tests.sounds import RATE, tune

from metaloop.core.randomness import torch_stream
from metaloop.domains.speech import augmentation
from metaloop.domains.speech.augmentation import (
    NEW_WORDS,
    in_a_room,
    mixed,
    noisy,
    of_other_speed,
    resampled,
    shifted,
    with_stripes,
)


def clips(number: int = 6) -> torch.Tensor:
    """Returns words in the middle of a second, `[number, 16000]`."""
    words = torch.stack(
        [torch.from_numpy(tune(word, seconds=0.25)).float() for word in range(number)]
    )
    return torch.nn.functional.pad(words, (4000, RATE - 4000 - words.shape[1]))


def power(sounds: torch.Tensor) -> torch.Tensor:
    return sounds.square().sum(1)


@pytest.mark.parametrize(
    "change",
    [
        lambda c, rng: shifted(c, 0.1, rng),
        lambda c, rng: of_other_speed(c, 0.2, rng),
        lambda c, rng: noisy(c, torch.full((len(c),), 10.0), rng),
        lambda c, rng: in_a_room(c, torch.full((len(c),), 0.4), rng),
    ],
)
def test_a_change_is_repeated_by_its_seed_and_differs_from_clip_to_clip(change: object) -> None:
    assert callable(change)
    same = clips(1).expand(3, -1)
    found, again = (change(same, torch_stream(0, "a")) for _ in range(2))

    assert found.shape == same.shape
    assert found.dtype == torch.float32
    assert torch.equal(found, again)
    assert not torch.equal(found[0], found[1])
    assert not torch.equal(found, change(same, torch_stream(1, "a")))


def test_a_shift_moves_and_keeps_what_stays_inside() -> None:
    found = shifted(clips(), 0.1, torch_stream(0, "shift"))

    assert torch.allclose(power(found), power(clips()), rtol=1e-5)
    sound = clips()[0]
    places = [i for i in range(-1600, 1601) if torch.equal(sound.roll(i), found[0])]
    assert len(places) == 1


def test_a_tone_played_faster_is_higher_and_shorter_by_the_factor() -> None:
    times = torch.arange(RATE) / RATE
    tone = torch.sin(2 * torch.pi * 500 * times)[None]

    found = resampled(tone, torch.tensor([1.25]))[0]

    inside = found[1600 + 10 : -1600 - 10]
    spectrum = torch.fft.rfft(inside).abs()
    assert float(spectrum.argmax()) * RATE / len(inside) == pytest.approx(625, abs=2)
    assert not found[:1590].any()
    assert not found[-1590:].any()
    assert torch.allclose(resampled(tone, torch.ones(1)), tone)


@pytest.mark.parametrize("decibels", [0.0, 10.0, 20.0])
def test_noise_is_as_loud_as_it_is_said_to_be(decibels: float) -> None:
    sounds = clips()
    found = noisy(sounds, torch.full((len(sounds),), decibels), torch_stream(0, "noise")) - sounds

    heard = power(sounds) / (sounds != 0).sum(1)
    ratio = 10 * torch.log10(heard / (power(found) / RATE))
    assert torch.allclose(ratio, torch.full_like(ratio, decibels), atol=0.05)


def test_mixing_adds_the_other_softer_by_so_much() -> None:
    sounds = clips()
    found = mixed(sounds, sounds.flip(0), torch.full((len(sounds),), 20.0))

    rest = found - sounds
    assert torch.allclose(power(rest) / power(sounds), torch.tensor(0.01), rtol=1e-2)


def test_a_room_rings_behind_the_word_and_keeps_its_level() -> None:
    sounds = clips()
    found = in_a_room(sounds, torch.full((len(sounds),), 0.3), torch_stream(0, "room"))

    end = 4000 + len(tune(0, seconds=0.25))
    assert not found[:, :3900].abs().max() > 1e-4  # nothing is heard before it is said
    assert bool((found[:, end : end + 800].abs().amax(1) > 0.01).all())
    after = found[:, end + 4800 :].abs().amax(1)
    assert bool((after < 0.02 * found.abs().amax(1)).all())  # 60 dB less, and its peaks


def test_new_words_are_others_and_keep_their_shape() -> None:
    sounds = clips()

    for name, change in NEW_WORDS.items():
        found = change(sounds)
        assert found.shape == sounds.shape, name
        assert (found - sounds).square().sum() > 0.5 * sounds.square().sum(), name
    assert torch.equal(NEW_WORDS["backwards"](NEW_WORDS["backwards"](sounds)), sounds)


def test_stripes_take_bands_and_frames_no_wider_than_asked_for() -> None:
    spectrograms = torch.randn(64, 40, 49, generator=torch_stream(0, "spectrograms"))

    found = with_stripes(spectrograms, 8, 10, torch_stream(0, "stripes"))

    changed = found != spectrograms
    bands, frames = changed.all(2).sum(1), changed.all(1).sum(1)
    assert int(bands.max()) == 8
    assert int(frames.max()) == 10
    rest = changed & ~changed.all(2, keepdim=True) & ~changed.all(1, keepdim=True)
    assert not rest.any()
    assert torch.equal(with_stripes(spectrograms, 0, 0, torch_stream(0, "s")), spectrograms)


def test_silence_stays_finite() -> None:
    silence = torch.zeros(2, 1000)
    rng = torch_stream(0, "silence")

    for found in (
        noisy(silence, torch.zeros(2), rng),
        in_a_room(silence, torch.full((2,), 0.1), rng),
        mixed(silence, silence, torch.zeros(2)),
    ):
        assert bool(found.isfinite().all())
    assert augmentation.backwards(silence).shape == (2, 1000)
