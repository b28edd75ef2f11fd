"""ONNX files as frozen encoders of recordings, run by onnxruntime.

    features of a recording = the output [1, D], or the mean over its times of an output [1, T, D]

The file has one input of samples, float32 `[N, samples]` at 16 kHz, -1 to 1. Recordings go through
one at a time, so that what one becomes hangs on nothing else. Where the file leaves the number of
samples open they go as they are, but for zeros behind one of less than a tenth of a second; where
it does not, they are cut to their middle or filled up with zeros on both sides.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from metaloop.core.encoder import Encoder, EncoderCard
from metaloop.core.errors import DataError
from metaloop.guests.onnx.loading import (
    content_of,
    library_for,
    name_of,
    output_of,
    reason_of,
    session_of,
)
from metaloop.nets.frozen_recordings import RecordingEncoder, features_heard
from metaloop.tasks.readers.recordings import RATE

_SHORTEST = RATE // 10  # samples: below, the first layers of some nets have nothing to look at
_MOST_SAMPLES = 60 * RATE


def onnx_recording_encoder(path: Path, output: str | None = None) -> Encoder:
    """Returns the net of an ONNX file that takes samples.

    Raises `MissingExtraError` without onnxruntime and `DataError` for a file that is damaged, not
    whole, or too large, that has operators nobody knows, no input of samples, or no such output.
    """
    called = name_of(path, output)
    content = content_of(path)
    session = session_of(content, path, called)
    try:
        source, length = _sample_input(session, called)
        target = output_of(session, output, called, (2, 3))
    except UnicodeDecodeError as error:
        raise DataError(f"'{path}' is damaged: it has names that are no text") from error
    hear = _Net(session, source, target, length)
    card = EncoderCard(
        name=called,
        takes="recordings",
        features=features_heard(hear, RATE, called),
        weights=hashlib.sha256(content).hexdigest()[:16],
        version=f"onnxruntime {library_for(called).__version__}",
    )
    return RecordingEncoder(card, hear)


@final
class _Net:
    """What a session makes of one recording; `length` is how many samples it takes, 0 for any."""

    def __init__(self, session: Any, source: str, target: str, length: int) -> None:
        self._session, self._source, self._target = session, source, target
        self._length = length

    def __call__(self, samples: Tensor) -> Tensor:
        """Returns features `[D]` of samples `[length]`; raises `DataError` as the net does."""
        given = self._fitted(samples.numpy())[None]
        try:
            made = self._session.run([self._target], {self._source: given})[0]
        except Exception as error:  # onnxruntime's errors have no common class
            raise DataError(reason_of(error)) from error
        found = np.asarray(made, np.float32)
        if found.ndim == 3 and len(found) == 1:
            found = found.mean(1)
        if found.ndim != 2 or len(found) != 1:
            raise DataError(f"it returns {list(found.shape)} for one recording")
        return torch.from_numpy(found[0])

    def _fitted(self, samples: np.ndarray) -> np.ndarray:
        length = self._length or max(len(samples), _SHORTEST)
        first = max(0, (len(samples) - length) // 2)
        samples = samples[first : first + length]
        missing = length - len(samples)
        before = missing // 2 if self._length else 0
        return np.pad(samples, (before, missing - before))


def _sample_input(session: Any, called: str) -> tuple[str, int]:
    """The name of the input, and how many samples it takes, 0 where that is open."""
    inputs = session.get_inputs()
    shape = inputs[0].shape if len(inputs) == 1 else []
    one = len(shape) == 2 and (shape[0] == 1 or not isinstance(shape[0], int))
    length = shape[1] if one and isinstance(shape[1], int) else 0
    if not one or inputs[0].type != "tensor(float)" or not 0 <= length <= _MOST_SAMPLES:
        found = ", ".join(f"{each.name} {each.type} {each.shape}" for each in inputs)[:200]
        raise DataError(
            f"backbone '{called}' takes no recordings: one input, tensor(float) [N, samples], was "
            f"expected; it has {found}"
        )
    return inputs[0].name, length
