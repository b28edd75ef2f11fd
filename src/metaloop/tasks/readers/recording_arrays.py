"""Recordings in memory, and in an npz: waveforms with their rate.

An npz of recordings has `rate` (also `sample_rate`, `sr`), `y`, and waveforms as `X` `[n, samples]`
or as `samples` `[total]` one behind the other with `offsets` `[n + 1]`; `speaker` and `split` are
optional, for each recording.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from metaloop.core.errors import DataError
from metaloop.tasks.readers.labels import as_array, example_parts, read_labels
from metaloop.tasks.readers.names import tidy
from metaloop.tasks.readers.options import ReadOptions
from metaloop.tasks.readers.recording_set import Spoken, read_recording_set
from metaloop.tasks.readers.recordings import Recording, samples_of
from metaloop.tasks.store import Reading

RATE_NAMES: Final = ("rate", "sample_rate", "samplerate", "sampling_rate", "sr")
_LABELS: Final = ("y", "label", "labels", "target", "targets")
_SPEAKERS: Final = ("speaker", "speakers", "speaker_id")
_WAVEFORMS: Final = ("x", "waveforms", "audio", "recordings", "samples", "data")


@dataclass(frozen=True, eq=False)
class Waveforms:
    """The waveforms of an npz, `rates` float64 `[n]` in Hz, and what else it says of each."""

    X: Sequence[np.ndarray] | np.ndarray
    rates: np.ndarray
    labels: np.ndarray | None = None
    speaker: np.ndarray | None = None
    split: np.ndarray | None = None
    class_names: np.ndarray | None = None


def read_recordings(
    X: Sequence[Any] | np.ndarray,
    y: Any,
    rate: Any,
    *,
    speaker: Any = None,
    split: Any = None,
    class_names: Any = None,
    name: str = "recordings",
    clip_seconds: float | int | None = None,
    strict: bool = False,
) -> Reading:
    """Returns the reading of waveforms: a sequence of `[samples]` or `[samples, channels]` each.

    `rate` is in Hz, one for all or one each; `y`: labels, ints or strings `[n]`. `speaker`: who is
    heard in each, `split`: train, val or test for each, which may divide words, speakers or both.
    Floats are -1 to 1, integers use their whole range. Raises `DataError` for what cannot be used.
    """
    options = ReadOptions(strict=strict, clip_seconds=clip_seconds)
    given = {"speaker": speaker, "split": split, "class_names": class_names}
    rates, labels = _rates(name, rate, len(X)), as_array(name, "y", y)
    others = {
        key: None if value is None else as_array(name, key, value) for key, value in given.items()
    }
    return _read(name, name, "recordings in memory", Waveforms(X, rates, labels, **others), options)


def is_of_waveforms(names: Sequence[str]) -> bool:
    """Returns whether an npz with arrays of these names holds recordings: it says their rate."""
    return any(name.lower() in RATE_NAMES for name in names)


def read_waveforms(
    where: str, name: str, arrays: Mapping[str, Callable[[], np.ndarray]], options: ReadOptions
) -> Reading:
    """Returns the reading of an npz; `arrays` loads each array by its name in lower case.

    Raises `DataError` if there are no waveforms or no labels.
    """
    return _read(where, name, "npz of recordings", waveforms_in(where, arrays), options)


def waveforms_in(
    where: str, arrays: Mapping[str, Callable[[], np.ndarray]], labelled: bool = True
) -> Waveforms:
    """Returns the waveforms of an npz, whose labels may be missing where they are not asked for."""

    def first(names: Sequence[str]) -> np.ndarray | None:
        return next((arrays[key]() for key in names if key in arrays), None)

    waveforms, labels = first(_WAVEFORMS), first(_LABELS)
    rate, offsets = first(RATE_NAMES), first(("offsets",))
    if rate is None or waveforms is None or (labels is None and labelled):
        missing = "waveforms (X)" if waveforms is None else "labels (y)"
        lacks = "no rate" if rate is None else f"a rate but no {missing}"
        raise DataError(
            f"{where} has {lacks}: expected X [n, samples] or samples [total] with "
            f"offsets [n + 1], y and rate; found {', '.join(map(tidy, sorted(arrays)))}"
        )
    X: Sequence[np.ndarray] | np.ndarray = waveforms
    if offsets is not None:
        X = _cut(where, waveforms, offsets, len(offsets) - 1 if labels is None else len(labels))
    elif waveforms.ndim < 2:
        raise DataError(
            f"{where}: expected X as [n, samples], or samples with offsets, got "
            f"{list(waveforms.shape)}"
        )
    return Waveforms(
        X,
        _rates(where, rate, len(X)),
        labels,
        first(_SPEAKERS),
        first(("split", "splits")),
        first(("class_names", "classes", "keywords")),
    )


def _read(where: str, name: str, kind: str, found: Waveforms, options: ReadOptions) -> Reading:
    assert found.labels is not None
    labels = read_labels(where, found.labels, class_names=found.class_names)
    number = len(labels.targets)
    if len(found.X) != number:
        raise DataError(
            f"{where}: {len(found.X)} recordings but {number} labels; expected one for each"
        )
    speakers, parts = None, None
    if found.speaker is not None:
        if found.speaker.shape != (number,):
            raise DataError(
                f"{where}: speaker must be [{number}], one for each recording, got "
                f"{list(found.speaker.shape)}"
            )
        speakers = [tidy(str(each)) for each in found.speaker.tolist()]
    if found.split is not None:
        of = example_parts(where, found.split, labels.targets, len(labels.classes))
        parts = of.tolist()

    def load(index: int, most_seconds: float) -> Recording:
        return samples_of(np.asarray(found.X[index]), float(found.rates[index]), most_seconds)

    spoken = Spoken([f"recording {index}" for index in range(number)], speakers, parts)
    return read_recording_set(where, name, kind, load, labels, spoken, options)


def _rates(where: str, rate: Any, number: int) -> np.ndarray:
    rates = as_array(where, "rate", rate)
    if rates.dtype.kind not in "iuf" or rates.size not in (1, number):
        raise DataError(
            f"{where}: rate is a number of Hz, one for all or one for each of {number}, got "
            f"{rates.dtype} {list(rates.shape)}"
        )
    return np.broadcast_to(rates.reshape(-1).astype(np.float64), number)


def _cut(where: str, samples: np.ndarray, offsets: np.ndarray, number: int) -> list[np.ndarray]:
    fits = offsets.dtype.kind in "iu" and offsets.shape == (number + 1,) and samples.ndim == 1
    ends = offsets.astype(np.int64) if fits else np.zeros(1, np.int64)
    if not fits or ends[0] < 0 or ends[-1] > len(samples) or (np.diff(ends) < 0).any():
        raise DataError(
            f"{where}: samples are [total] with offsets [{number + 1}] that rise from 0 to their "
            f"number, got {list(samples.shape)} and {list(offsets.shape)}"
        )
    return [samples[a:b] for a, b in pairwise(ends.tolist())]
