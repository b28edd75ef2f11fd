"""Decoding recordings: any file that libsndfile reads becomes mono int16 samples at 16 kHz.

A file is read by blocks, so that one of ten hours takes no more memory than one of ten seconds. Of
a recording that is longer than asked for, the loudest stretch of that length is used: an example of
a class is short, and what is around it is mostly silence.

Channels are averaged; rates are converted by soxr. What cannot be an example (no sound, silence, a
rate that no recorder has) raises `DataError`; without the libraries it is `MissingExtraError`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metaloop.core.column_kinds import kind_of, mean_length
from metaloop.core.columns import Column
from metaloop.core.errors import DataError, MissingExtraError

RATE = 16_000  # Hz: what speech encoders take; above 8 kHz words hardly differ
RECORDING_SUFFIXES = frozenset(
    {".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au"}
    | {".caf", ".w64", ".rf64"}
)
MOST_SECONDS = 10.0  # of an example, unless another length is asked for
LEAST_SECONDS = 0.03  # a window of a spectrogram
_RATES = (1_000, 384_000)  # Hz; others are damaged headers
_MOST_CHANNELS = 64
_MOST_FLOAT = 4.0  # recorders go above 1 a little, never so far
_SILENT = 3e-4  # of full scale, -70 dB; what is below is the noise of a converter
_FULL = 0.999  # of full scale
_CLIPPED_RUN, _CLIPPED_SHARE = 3, 1e-3  # successive samples at full scale, and of all samples
_BLOCK_SECONDS = 0.1  # steps in which the loudest stretch is looked for
_AS_GOOD = 1e-3  # of the energy
_AT_ONCE = 1 << 20  # numbers of a file in memory

Source = Path | bytes


@dataclass(frozen=True, eq=False)
class Recording:
    """Samples int16 `[n]` at 16 kHz, and what is to be known of where they come from.

    `rate` (Hz) and `channels` are the file's; `cut`: it was longer than asked for; `clipped`: the
    recorder was set too loud, so that peaks are flat.
    """

    samples: np.ndarray
    rate: int
    channels: int
    cut: bool = False
    clipped: bool = False


def mean_seconds(inputs: Column) -> float | None:
    """Returns how long the recordings of a column are on average; None for other inputs."""
    return mean_length(inputs) / RATE if kind_of(inputs) == "recordings" else None


def is_recording(name: str) -> bool:
    """Returns whether a file is a recording, by its ending."""
    return Path(name.lower()).suffix in RECORDING_SUFFIXES


def decode_recording(
    source: Source,
    most_seconds: float = MOST_SECONDS,
    start: float | None = None,
    end: float | None = None,
) -> Recording:
    """Returns a recording, or the stretch of it from `start` to `end` in seconds.

    Raises `DataError` with the reason alone (`silence`) if it can be no example.
    """
    with opened_recording(source) as file:
        rate, channels = int(file.samplerate), int(file.channels)
        first = _frame(start or 0.0, rate)
        last = None if end is None else _frame(end, rate)
        if last is not None and last <= first:
            raise DataError(f"its end ({end} s) is not behind its start ({start or 0} s)")
        most = max(1, int(most_seconds * rate))
        sound = _read(file, first, most + 1 if last is None else min(most + 1, last - first))
        cut = len(sound) > most  # headers are not believed: what can be read decides
        if cut:
            sound = _read(file, _loudest(file, first, last, most), most)
    return _judged(sound, rate, channels, cut)


def samples_of(sound: Any, rate: float | int, most_seconds: float = MOST_SECONDS) -> Recording:
    """Returns the same for samples in memory: `[n]` or `[n, channels]`, ints or floats -1 to 1.

    Unsigned bytes have their zero at 128. Raises `DataError` as `decode_recording` does, and for
    what holds no numbers.
    """
    sound = _unit_range(np.asarray(sound))
    if not _RATES[0] <= rate <= _RATES[1]:
        raise DataError(f"a rate of {rate:g} Hz; expected {_RATES[0]:,} to {_RATES[1]:,}")
    most = max(1, int(most_seconds * rate))
    cut = len(sound) > most
    if cut:
        energies = _energies(_mono(sound), max(1, int(rate * _BLOCK_SECONDS)))
        first = _best(energies, max(1, int(rate * _BLOCK_SECONDS)), most)
        sound = sound[first : first + most]
    return _judged(sound, int(rate), sound.shape[1], cut)


@contextmanager
def opened_recording(source: Source) -> Iterator[Any]:
    """Gives the open file; raises `DataError`, the reason alone, if it is no recording."""
    soundfile = _soundfile()
    try:
        with soundfile.SoundFile(io.BytesIO(source) if isinstance(source, bytes) else source) as f:
            if not _RATES[0] <= f.samplerate <= _RATES[1]:
                raise DataError(f"its header says {f.samplerate:,} Hz, which no recorder has")
            if not 1 <= f.channels <= _MOST_CHANNELS:
                raise DataError(f"its header says {f.channels:,} channels")
            yield f
    except soundfile.LibsndfileError as error:
        raise DataError(f"no recording, or damaged ({_said(error)})") from error


def blocks(file: Any, seconds: float) -> Iterator[np.ndarray]:
    """Gives an open file as mono float32 samples at 16 kHz, some `seconds` of them at a time."""
    import soxr  # optional extra

    rate = int(file.samplerate)
    stream = None if rate == RATE else soxr.ResampleStream(rate, RATE, 1, dtype="float32")
    size = max(1, int(rate * seconds))
    while True:
        sound = _mono(file.read(size, dtype="float32", always_2d=True))
        ended = len(sound) < size
        if stream is not None:
            sound = stream.resample_chunk(sound, last=ended)
        if len(sound):
            yield sound
        if ended:
            return


def _soundfile() -> Any:
    try:
        import soundfile  # optional extra
        import soxr  # noqa: F401  # optional extra
    except (ImportError, OSError) as error:
        raise MissingExtraError(
            "recordings need soundfile and soxr: pip install 'metaloop[speech]'"
        ) from error
    return soundfile


def _frame(seconds: float, rate: int) -> int:
    if not 0 <= seconds < 1e9:
        raise DataError(f"a time of {seconds:g} s; expected 0 or more")
    return round(seconds * rate)


def _read(file: Any, first: int, frames: int) -> np.ndarray:
    """At most so many frames, float32 `[n, channels]`."""
    _seek(file, first)
    pieces = []
    while frames > 0:
        piece = file.read(
            min(frames, max(1, _AT_ONCE // file.channels)), dtype="float32", always_2d=True
        )
        if not len(piece):
            break
        pieces.append(piece)
        frames -= len(piece)
    return np.concatenate(pieces) if pieces else np.empty((0, file.channels), np.float32)


def _seek(file: Any, first: int) -> None:
    if first > file.frames:
        raise DataError(f"it ends after {file.frames / file.samplerate:.1f} s")
    if first != file.tell():
        file.seek(first)


def _loudest(file: Any, first: int, last: int | None, most: int) -> int:
    """The frame at which the loudest stretch of `most` frames begins."""
    step = max(1, int(file.samplerate * _BLOCK_SECONDS))
    at_once = step * max(1, _AT_ONCE // (step * file.channels))
    energies, left = [], float("inf") if last is None else last - first
    _seek(file, first)
    while left > 0:
        sound = file.read(int(min(at_once, left)), dtype="float32", always_2d=True)
        if not len(sound):
            break
        left -= len(sound)
        energies.append(_energies(_mono(sound), step))
    return first + _best(np.concatenate(energies), step, most)


def _energies(sound: np.ndarray, step: int) -> np.ndarray:
    """How much moves in every full block of `step` samples, and in the rest: offsets are silent."""
    full = len(sound) // step * step
    energies: np.ndarray = sound[:full].reshape(-1, step).astype(np.float64).var(1) * step
    if full == len(sound):
        return energies
    return np.append(energies, sound[full:].astype(np.float64).var() * (len(sound) - full))


def _best(energies: np.ndarray, step: int, most: int) -> int:
    """The first sample of the stretch of `most` samples in which most energy is.

    Of neighbours that are as good the middle one, so that a word has room on both sides.
    """
    width = max(1, min(most // step, len(energies)))
    total = np.cumsum(np.concatenate([[0.0], np.nan_to_num(energies)]))
    within = total[width:] - total[:-width]
    first = last = int(np.argmax(within))
    as_good = (1 - _AS_GOOD) * within[first]
    while last + 1 < len(within) and within[last + 1] >= as_good:
        last += 1
    while first > 0 and within[first - 1] >= as_good:
        first -= 1
    return (first + last) // 2 * step


def _judged(sound: np.ndarray, rate: int, channels: int, cut: bool) -> Recording:
    """The recording of float32 `[n, channels]`; raises `DataError` if it can be no example."""
    import soxr  # optional extra

    if not len(sound):
        raise DataError("no samples")
    if len(sound) < LEAST_SECONDS * rate:
        raise DataError(f"shorter than {LEAST_SECONDS:g} s")
    if not np.isfinite(sound).all():
        raise DataError("samples that are no numbers")
    mono = _mono(sound)
    if _is_silent(mono):
        if _is_silent(sound[:, 0]):
            raise DataError("silence")
        mono = np.ascontiguousarray(sound[:, 0])  # the other channels are its negative
    clipped = bool(_is_clipped(sound))
    if rate != RATE:
        mono = soxr.resample(mono, rate, RATE)
    samples = np.clip(np.rint(mono * 32768.0), -32768, 32767).astype(np.int16)
    return Recording(samples, rate, channels, cut, clipped)


def _mono(sound: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(sound[:, 0] if sound.shape[1] == 1 else sound.mean(1))


def _is_silent(sound: np.ndarray) -> bool:
    """Whether nothing moves: a constant is silence too, as a converter has an offset."""
    return bool(np.ptp(sound) < 2 * _SILENT)


def _is_clipped(sound: np.ndarray) -> bool:
    """Whether peaks are flat: runs of samples at full scale, in one of a thousand."""
    at_top = np.abs(sound) >= _FULL
    runs = at_top[: len(at_top) - _CLIPPED_RUN + 1].copy()
    for shift in range(1, _CLIPPED_RUN):
        runs &= at_top[shift : len(at_top) - _CLIPPED_RUN + 1 + shift]
    return bool(runs.sum() > _CLIPPED_SHARE * len(sound))


def _unit_range(sound: np.ndarray) -> np.ndarray:
    """Samples float32 `[n, channels]`, -1 to 1."""
    if sound.ndim == 1:
        sound = sound[:, None]
    if sound.ndim != 2 or sound.dtype.kind not in "iuf" or sound.shape[1] > _MOST_CHANNELS:
        raise DataError(
            f"expected samples [n] or [n, channels], got {sound.dtype} {list(sound.shape)}"
        )
    largest = float(np.abs(sound.astype(np.float64)).max()) if sound.size else 0.0
    if sound.dtype.kind == "f":
        if largest > _MOST_FLOAT:
            raise DataError("floats beyond -1 to 1; divide them by the highest possible one")
        return sound.astype(np.float32)
    kind = np.iinfo(sound.dtype)
    half = (float(kind.max) - float(kind.min) + 1) / 2
    if kind.bits > 16 and largest <= 32768:  # what 16 bits hold, in an array of a wider kind
        half = 32768.0
    zero = half if kind.min == 0 else 0.0
    return ((sound.astype(np.float64) - zero) / half).astype(np.float32)


def _said(error: Exception) -> str:
    """What libsndfile says, in a few words: without the name of the file."""
    return " ".join(str(error).rpartition(": ")[2].split()).rstrip(".") or "unknown"
