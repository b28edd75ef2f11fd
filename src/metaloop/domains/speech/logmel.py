"""Log-mel spectrograms and MFCCs of recordings: how loud each band of pitch is, over time.

    power[m, t]  = sum_f mel[m, f] * |rfft(hann * x[t])[f]|^2
    logmel[m, t] = log(power[m, t] / max(power) + 1e-5)
    mfcc[k, t]   = sum_m dct[k, m] * logmel[m, t]

A recording becomes one second around its centre, as words stand anywhere in theirs; zeros are where
it is shorter. The centre is the mean time, weighed by energy^(1/4): by energy itself the loudest
vowel is in the middle, and the rest of the word is cut. All is relative to the loudest sound, so
that it does not hang on how loud somebody spoke. Bands are triangles on the mel scale
2595 log10(1 + f / 700), each of height 1. Nothing is fitted.

Davis and Mermelstein 1980, doi:10.1109/TASSP.1980.1163420. Differs from the usual: see above; and
coefficient 0, loudness, is left out of the vector, which is smoothed over five frames. On Arabic
words of other speakers (LOG.md) these four choices take the nearest class mean from 50 to 70 at one
example, and from 70 to 86 at five.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from metaloop.core.columns import Taken
from metaloop.core.errors import DataError

RATE = 16_000  # Hz, as readers give recordings
WINDOW, HOP, FFT = 400, 320, 512  # samples: 25 ms every 20 ms
FRAMES = 49
CLIP = WINDOW + (FRAMES - 1) * HOP  # samples: 0.985 s
MELS, COEFFICIENTS = 40, 13
LOWEST, HIGHEST = 50.0, 7_600.0  # Hz
FLOOR = 1e-5  # of the loudest band of a recording, -50 dB
SMOOTHED, EVERY = 5, 3  # frames of MFCCs that make one, and how far apart these are
MFCC_FEATURES = (COEFFICIENTS - 1) * ((FRAMES - SMOOTHED) // EVERY + 1)
_LEAST = 1e-10  # power; digital silence has none
_AT_ONCE = 256  # recordings
_WEIGHT = 0.25  # power of the energy that weighs times


def log_mel(recordings: Taken) -> Tensor:
    """Returns float32 `[N, 40, 49]`, -11.5 to 0, of recordings as a column of them gives.

    Those are `{"values": int16 or float [N, longest], "mask": bool [N, longest]}`; floats are -1 to
    1. Raises `DataError` for inputs of another kind.
    """
    samples, mask = samples_of(recordings)
    out = torch.empty(len(samples), MELS, FRAMES)
    for start in range(0, len(samples), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        out[rows] = _log_mel(centred(as_floats(samples[rows]), mask[rows], CLIP))
    return out


def pictures(recordings: Taken) -> Tensor:
    """Returns log-mel spectrograms as images of one channel, uint8 `[N, 1, 40, 49]`.

    255 is the loudest, 0 is 50 dB below it; one level is 0.2 dB, a tenth of what repeating a word
    changes. Nets take them as they take photographs.
    """
    spectrograms = log_mel(recordings)
    levels = (1 - spectrograms / math.log(FLOOR)).clamp(0, 1) * 255
    return levels.round().to(torch.uint8).unsqueeze(1)


def mfcc(recordings: Taken) -> Tensor:
    """Returns float32 `[N, 180]`: coefficients 1 to 12 of 15 stretches of a tenth of a second."""
    coefficients = cepstrum(log_mel(recordings))[:, 1:]
    return functional.avg_pool1d(coefficients, SMOOTHED, EVERY).flatten(1)


def samples_of(recordings: Taken) -> tuple[Tensor, Tensor]:
    """Returns the samples `[N, longest]` of recordings and their mask, bool, of the same shape.

    Raises `DataError` for inputs of another kind.
    """
    if isinstance(recordings, dict) and set(recordings) == {"values", "mask"}:
        values, mask = recordings["values"], recordings["mask"]
        if isinstance(values, Tensor) and isinstance(mask, Tensor) and values.dim() == 2:
            return values, mask
    raise DataError("expected recordings, which are sequences of samples")


def as_floats(samples: Tensor) -> Tensor:
    """Returns float32 samples, -1 to 1."""
    return samples.to(torch.float32) * (1 if samples.is_floating_point() else 1 / 32768)


def centred(samples: Tensor, mask: Tensor, length: int) -> Tensor:
    """Returns `[N, length]`: what is around the centre of each recording, zeros beyond its ends."""
    longest = samples.shape[1]
    blocks = functional.pad(samples, (0, -longest % HOP)).view(len(samples), -1, HOP)
    weights = blocks.square().sum(2).double().pow(_WEIGHT)
    times = (torch.arange(weights.shape[1], dtype=torch.float64) + 0.5) * HOP
    total = weights.sum(1)
    middle = torch.where(total > 0, (weights @ times) / total.clamp(min=1e-30), mask.sum(1) / 2.0)
    start = (middle - length / 2).round().long()
    places = start[:, None] + torch.arange(length)
    inside = (places >= 0) & (places < longest)
    return samples.gather(1, places.clamp(0, max(0, longest - 1))) * inside


def mel_filters(mels: int, fft: int, rate: int, lowest: float, highest: float) -> Tensor:
    """Returns float32 triangles `[mels, fft // 2 + 1]` of height 1, evenly spaced in mel."""
    points = torch.linspace(_mel(lowest), _mel(highest), mels + 2, dtype=torch.float64)
    hertz: Tensor = 700 * (10 ** (points / 2595) - 1)
    bins = torch.linspace(0, rate / 2, fft // 2 + 1, dtype=torch.float64)
    rising = (bins - hertz[:-2, None]) / (hertz[1:-1] - hertz[:-2])[:, None]
    falling = (hertz[2:, None] - bins) / (hertz[2:] - hertz[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp(min=0).to(torch.float32)


def cepstrum(spectrograms: Tensor, coefficients: int = COEFFICIENTS) -> Tensor:
    """Returns the lowest coefficients `[N, coefficients, frames]` of an orthonormal DCT over mels.

    `spectrograms`: `[N, mels, frames]`.
    """
    mels = spectrograms.shape[1]
    places = (torch.arange(mels, dtype=torch.float64) + 0.5) / mels
    waves = torch.cos(math.pi * torch.arange(coefficients, dtype=torch.float64)[:, None] * places)
    waves *= math.sqrt(2 / mels)
    waves[0] /= math.sqrt(2)
    return waves.to(spectrograms) @ spectrograms


def _log_mel(clips: Tensor) -> Tensor:
    """Spectrograms `[N, mels, frames]` of clips `[N, samples]`."""
    frames = clips.unfold(1, WINDOW, HOP) * torch.hann_window(WINDOW)
    power = torch.fft.rfft(frames, FFT).abs().square() @ _filters().T
    loudest = power.amax((1, 2), keepdim=True).clamp(min=_LEAST)
    logarithm: Tensor = (power / loudest + FLOOR).log()
    return logarithm.transpose(1, 2)


@cache
def _filters() -> Tensor:
    return mel_filters(MELS, FFT, RATE, LOWEST, HIGHEST)


def _mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)
