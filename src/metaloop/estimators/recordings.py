"""Recordings as inputs: files, or samples with their rate; seen by the model's view in batches."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metaloop.catalogue.views import seen
from metaloop.core.columns import Ragged
from metaloop.core.errors import DataError, InputError
from metaloop.core.fitted_view import FittedView
from metaloop.tasks.readers.names import tidy
from metaloop.tasks.readers.recording_set import odd_recordings
from metaloop.tasks.readers.recordings import RATE, Recording, decode_recording, samples_of

_EXPECTED = (
    "expected a list of audio files (paths or their bytes), of pairs (samples, rate), or of "
    "samples [n] at 16,000 Hz, -1 to 1"
)


@dataclass(frozen=True, eq=False)
class RecordingRows:
    """Recordings int16 `[samples]` each, at 16 kHz, and the view that a model has of them."""

    recordings: tuple[np.ndarray, ...]
    view: FittedView

    def __len__(self) -> int:
        return len(self.recordings)

    def __getitem__(self, rows: slice) -> Tensor:
        chosen = [torch.from_numpy(each) for each in self.recordings[rows]]
        return seen(self.view, Ragged.of(chosen))


def read_recording_rows(X: Any, view: FittedView) -> RecordingRows:
    """Returns `X`, a sequence of recordings, decoded.

    Each is a path, the bytes of a file, a pair of samples and rate, or samples `[n]` at 16 kHz.
    Warns of those that are too long to be used whole, and of clipped ones. Raises `InputError` for
    anything else, and for recordings that cannot be used, by name.
    """
    if isinstance(X, str | bytes | os.PathLike):
        raise InputError(f"X is one file; {_EXPECTED}: [X]")
    if isinstance(X, Iterator) or not isinstance(X, Sequence | np.ndarray):
        raise InputError(f"X is a {type(X).__name__}; {_EXPECTED}")
    if not len(X):
        raise InputError(f"X has no examples; {_EXPECTED}")
    if isinstance(X, np.ndarray) and (X.ndim != 2 or X.dtype.kind not in "iuf"):
        raise InputError(f"X is {X.dtype} {list(X.shape)}; {_EXPECTED}")
    names = [_name(each, row) for row, each in enumerate(X)]
    recordings = [_decoded(each, row, names[row]) for row, each in enumerate(X)]
    for note in odd_recordings(recordings, names):
        warnings.warn(f"recordings: {note}", stacklevel=4)
    return RecordingRows(tuple(each.samples for each in recordings), view)


def _name(each: Any, row: int) -> str:
    return f"'{tidy(str(each))}'" if isinstance(each, str | os.PathLike) else f"X[{row}]"


def _decoded(each: Any, row: int, name: str) -> Recording:
    try:
        if isinstance(each, bytes):
            return decode_recording(each)
        if isinstance(each, str | os.PathLike):
            path = Path(each)
            if not path.is_file():
                raise DataError("there is no such file")
            return decode_recording(path)
        if isinstance(each, tuple) and len(each) == 2:
            return samples_of(each[0], float(each[1]))
        if isinstance(each, np.ndarray | list):
            return samples_of(each, RATE)
    except (DataError, OSError, TypeError, ValueError) as error:
        raise InputError(f"recording {name} cannot be used: {error}") from error
    raise InputError(f"X[{row}] is a {type(each).__name__}; {_EXPECTED}")
