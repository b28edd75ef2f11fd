"""Random changes of spectrograms that keep what is said: moved, stretched, coloured, hidden.

Spectrograms are floats `[N, 1, bands, frames]` in 0 to 1, the logarithm of the power in each band
of pitch, 0 the floor and 1 the loudest. Bands and frames are different things: nothing is rotated,
mirrored or made larger in both at once. What a change of the waveform does to its spectrogram is
done to the spectrogram, which costs a few products of small matrices: a shift in time, another
speed, a voice of another size (all pitches and resonances by one factor), another microphone
(some bands louder than others), a room whose echoes decay, noise behind it; and stripes of bands
and frames are hidden, as in SpecAugment (Park et al. 2019, arXiv:1904.08779) and vocal tract length
perturbation (Jaitly and Hinton 2013). Echoes that come later than a frame add up by their power,
which decays evenly (Lebart et al. 2001).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_COLOURS = (1.0, 1.0, 0.7, 0.5)  # how strong waves of 0, 1, 2 and 3 halves over the bands are
_NOISY_SHARE = 0.5  # of spectrograms
_SLANT, _GRAIN = 0.3, 0.08  # of noise, in units of the spectrogram's range
_NATS = 11.5  # of the range: 50 dB of power
_ROOMY_SHARE = 0.5  # of spectrograms
_FALL = 13.8  # nats: ln(10^6), the 60 dB of power by which sound falls in the time of a room


def sound(
    spectrograms: Tensor,
    rng: torch.Generator,
    shift: float = 0.1,
    speed: float = 0.2,
    voice: float = 0.1,
    colour: float = 0.1,
    noise: float = 0.5,
    bands: float = 0.2,
    frames: float = 0.16,
    room: float = 0.0,
) -> Tensor:
    """Returns spectrograms changed at random, each on its own.

    `shift`: half-width of the shift in time, as a share of all frames; what moves in is silent.
    `speed`: the greatest factor of speed, less 1, either way; `voice`: the same of all pitches.
    `colour`: deviation of how much louder bands are, as a share of the range. `noise`: the greatest
    level of noise, which half of them have: of 50 dB, how near it comes to the loudest sound.
    `bands`, `frames`: the widest stripe, as shares. `room`: the longest time in which a room lets
    sound fall by 60 dB, as a share of all frames; half of them are heard in one. Off by default.
    """
    draws = torch.rand(4, len(spectrograms), generator=rng, device=spectrograms.device) * 2 - 1
    maps_NMT = _moved(spectrograms[:, 0], draws, shift, speed, voice)
    if colour:
        maps_NMT = _coloured(maps_NMT, rng, colour)
    if room:
        maps_NMT = _echoing(maps_NMT, rng, room)
    if noise:
        maps_NMT = _noisy(maps_NMT, rng, noise)
    if bands or frames:
        maps_NMT = _striped(maps_NMT, rng, bands, frames)
    return maps_NMT.unsqueeze(1)


def _moved(maps_NMT: Tensor, draws: Tensor, shift: float, speed: float, voice: float) -> Tensor:
    """Linear interpolation along both axes, a matrix for each."""
    bands, frames = maps_NMT.shape[1:]
    device = maps_NMT.device
    time, band = torch.arange(frames, device=device), torch.arange(bands, device=device)
    middle = (frames - 1) / 2
    faster = torch.exp(math.log1p(speed) * draws[0])[:, None]
    time_NT = middle + (time - middle) * faster + (shift * frames * draws[1])[:, None]
    higher = torch.exp(math.log1p(voice) * draws[2])[:, None]
    offset = (voice * bands * draws[3] / 2)[:, None]  # bands are no straight line of pitch
    band_NM = (band * higher + offset).clamp(0, bands - 1)
    along_time = (1 - (time_NT.unsqueeze(-1) - time).abs()).clamp(min=0)
    along_bands = (1 - (band_NM.unsqueeze(-1) - band).abs()).clamp(min=0)
    return along_bands @ maps_NMT @ along_time.mT


def _coloured(maps_NMT: Tensor, rng: torch.Generator, colour: float) -> Tensor:
    number, bands, _ = maps_NMT.shape
    device = maps_NMT.device
    waves = torch.arange(len(_COLOURS), device=device)[:, None]
    place = (torch.arange(bands, device=device) + 0.5) / bands
    strength = torch.tensor(_COLOURS, device=device) * colour
    drawn = torch.randn(number, len(_COLOURS), generator=rng, device=device) * strength
    louder = drawn @ torch.cos(math.pi * waves * place)
    return (maps_NMT + louder.unsqueeze(-1)).clamp(0, 1)


def _echoing(maps_NMT: Tensor, rng: torch.Generator, room: float) -> Tensor:
    """Each frame with the power of those before it, as far as the room still has it.

    All echoes together are up to as loud as the sound itself; the loudest sound stays the loudest.
    """
    number, _, frames = maps_NMT.shape
    device = maps_NMT.device
    has, longest, strength = torch.rand(3, number, 1, 1, generator=rng, device=device).unbind(0)
    time = torch.arange(frames, device=device)
    before = (time[:, None] - time).clamp(min=0)
    decay = torch.exp(-_FALL * before / (room * longest * frames).clamp(min=1e-3))
    echoes = torch.where(before > 0, decay, torch.zeros_like(decay))
    loudness = echoes.sum(-1).amax(-1)[..., None, None].clamp(min=1)
    weights = torch.eye(frames, device=device) + strength * echoes / loudness
    power = torch.expm1(_NATS * maps_NMT) @ weights.mT
    heard = torch.log1p(power) / _NATS
    level = maps_NMT.amax((1, 2), keepdim=True) - heard.amax((1, 2), keepdim=True)
    return torch.where(has < _ROOMY_SHARE, (heard + level).clamp(min=0), maps_NMT)


def _noisy(maps_NMT: Tensor, rng: torch.Generator, noise: float) -> Tensor:
    """Powers are added, so that noise fills what is softer and leaves what is louder."""
    number, bands, _ = maps_NMT.shape
    device = maps_NMT.device
    has, level, slant = torch.rand(3, number, 1, 1, generator=rng, device=device).unbind(0)
    slope = torch.linspace(-1, 1, bands, device=device)[:, None]
    level = noise * level
    behind = level * (1 + _SLANT * (2 * slant - 1) * slope)
    behind = behind + _GRAIN * torch.randn(maps_NMT.shape, generator=rng, device=device)
    heard = torch.logaddexp(_NATS * maps_NMT, _NATS * behind) / _NATS
    return torch.where(has < _NOISY_SHARE, heard, maps_NMT)


def _striped(maps_NMT: Tensor, rng: torch.Generator, bands: float, frames: float) -> Tensor:
    number, device = len(maps_NMT), maps_NMT.device
    mean = maps_NMT.mean((1, 2), keepdim=True)
    for axis, share in ((1, bands), (2, frames)):
        size = maps_NMT.shape[axis]
        draws = torch.rand(2, number, 1, generator=rng, device=device)
        width = (draws[0] * (share * size + 1)).floor()
        start = (draws[1] * (size - width + 1)).floor()
        place = torch.arange(size, device=device)
        hidden = (place >= start) & (place < start + width)
        maps_NMT = torch.where(hidden.unsqueeze(3 - axis), mean, maps_NMT)
    return maps_NMT
