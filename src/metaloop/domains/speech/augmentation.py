"""Changes of recordings that keep the word, and changes that make another word of it.

All take clips float32 `[N, samples]` at 16 kHz, -1 to 1, change each on its own, and return as many
samples. What keeps the word: a shift in time, another speed or pitch, noise, a room, another level.
What makes a new word of it (`NEW_WORDS`): played backwards, or so much slower or faster that sounds
are others; these are for new classes, as turned characters are.

SpecAugment, which works on spectrograms: Park et al. 2019, arXiv:1904.08779.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from metaloop.domains.speech.logmel import RATE

_LEAST_POWER = 1e-12


def shifted(clips: Tensor, most_seconds: float, rng: torch.Generator) -> Tensor:
    """Returns clips moved in time by up to so many seconds; zeros move in."""
    most = round(most_seconds * RATE)
    by = torch.randint(-most, most + 1, (len(clips), 1), generator=rng)
    places = torch.arange(clips.shape[1]) - by
    inside = (places >= 0) & (places < clips.shape[1])
    return clips.gather(1, places.clamp(0, clips.shape[1] - 1)) * inside


def resampled(clips: Tensor, factors: Tensor) -> Tensor:
    """Returns clips played `factors [N]` times as fast, which raises their pitch as well.

    They are stretched around their middle, with linear interpolation.
    """
    length = clips.shape[1]
    middle = (length - 1) / 2
    places = middle + (torch.arange(length) - middle) * factors[:, None].to(torch.float64)
    low = places.floor()
    share = (places - low).to(clips.dtype)
    low = low.long()

    def at(index: Tensor) -> Tensor:
        inside = (index >= 0) & (index < length)
        return clips.gather(1, index.clamp(0, length - 1)) * inside

    return at(low) * (1 - share) + at(low + 1) * share


def of_other_speed(clips: Tensor, most: float, rng: torch.Generator) -> Tensor:
    """Returns clips at a random speed from 1 / (1 + most) to 1 + most, pitch and all."""
    spread = torch.rand(len(clips), generator=rng) * 2 - 1
    return resampled(clips, (1 + most) ** spread)


def noisy(clips: Tensor, decibels: Tensor, rng: torch.Generator) -> Tensor:
    """Returns clips with noise at these signal-to-noise ratios `[N]`, in decibels.

    The power of a clip is its mean over the samples that are not zero: what was added around a
    word does not count. Noise is white to brown, at random.
    """
    return mixed(clips, _coloured(clips.shape, rng), decibels)


def mixed(clips: Tensor, others: Tensor, decibels: Tensor) -> Tensor:
    """Returns clips with `others` behind them, softer by `decibels [N]`."""
    ratio: Tensor = 10 ** (-decibels.to(clips.dtype) / 10)
    scale = (ratio * _power(clips) / _power(others)).sqrt()
    changed: Tensor = clips + others * scale[:, None]
    return changed


def in_a_room(clips: Tensor, seconds: Tensor, rng: torch.Generator) -> Tensor:
    """Returns clips as heard in rooms where sound falls by 60 dB in `seconds [N]`.

    The response of a room is noise that decays, behind the direct sound; the level stays.
    """
    length = max(1, min(clips.shape[1], int(RATE * float(seconds.max()))))
    times = torch.arange(length) / RATE
    decay = torch.exp(-6.9 * times / seconds[:, None].clamp(min=1e-3))  # ln(10^3): amplitude
    response = torch.randn(len(clips), length, generator=rng) * decay
    response = response / response.square().sum(1, keepdim=True).sqrt().clamp(min=1e-6)
    response[:, 0] += 1  # as loud as all its echoes
    size = clips.shape[1] + length
    heard = torch.fft.irfft(torch.fft.rfft(clips, size) * torch.fft.rfft(response, size), size)
    heard = heard[:, : clips.shape[1]]
    at_its_level: Tensor = heard * (_power(clips) / _power(heard)).sqrt()[:, None]
    return at_its_level


def backwards(clips: Tensor) -> Tensor:
    """Returns clips played backwards: another word, which nobody says."""
    return clips.flip(1)


NEW_WORDS: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {
        "backwards": backwards,
        "slower": lambda clips: resampled(clips, torch.full((len(clips),), 0.7)),
        "faster": lambda clips: resampled(clips, torch.full((len(clips),), 1.4)),
        "backwards_slower": lambda clips: resampled(
            backwards(clips), torch.full((len(clips),), 0.7)
        ),
    }
)


def with_stripes(
    spectrograms: Tensor, most_bands: int, most_frames: int, rng: torch.Generator
) -> Tensor:
    """Returns spectrograms `[N, mels, frames]` without a stripe of bands and one of frames.

    Each is up to so wide, from none; what is there becomes the mean of the spectrogram.
    """
    number, bands, frames = spectrograms.shape
    gone = torch.zeros(number, bands, frames, dtype=torch.bool)
    for axis, (size, most) in enumerate(((bands, most_bands), (frames, most_frames)), 1):
        width = torch.randint(0, most + 1, (number, 1), generator=rng)
        start = (torch.rand(number, 1, generator=rng) * (size - width + 1)).long()
        places = torch.arange(size)
        stripe = (places >= start) & (places < start + width)
        gone |= stripe.unsqueeze(3 - axis)
    mean = spectrograms.mean((1, 2), keepdim=True)
    return torch.where(gone, mean, spectrograms)


def _power(clips: Tensor) -> Tensor:
    """The mean square of each clip over the samples that are not zero, `[N]`."""
    heard = (clips != 0).sum(1).clamp(min=1)
    return (clips.square().sum(1) / heard).clamp(min=_LEAST_POWER)


def _coloured(shape: torch.Size, rng: torch.Generator) -> Tensor:
    """Noise whose power falls with frequency to a power from 0 (white) to 2 (brown), at random."""
    spectrum = torch.fft.rfft(torch.randn(shape, generator=rng))
    places = torch.arange(1, spectrum.shape[1] + 1, dtype=torch.float32)
    slope = torch.rand(shape[0], 1, generator=rng)
    noise: Tensor = torch.fft.irfft(spectrum * places**-slope, shape[1])
    return noise
