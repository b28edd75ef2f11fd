"""A recording of each word of a task, to be heard, and what the learner says it is."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator

import numpy as np
from torch import Tensor

from metaloop.core.spec import TaskSpec
from metaloop.models.model import Model
from metaloop.models.showing.shown import Shown, answered, episodes_seen
from metaloop.tasks.family import TaskFamily
from metaloop.tasks.readers.recordings import RATE

_MOST_SOUNDS, _MOST_SECONDS = 6, 3


def show_recordings(model: Model, family: TaskFamily, spec: TaskSpec) -> Iterator[Shown]:
    """Yields WAV files of one task of `search`."""
    assert family.as_classes is not None and family.as_read is not None
    episodes, batch = episodes_seen(model, family.as_classes, spec, 1)
    said = answered(model, batch, 0).argmax(-1).cpu().numpy()
    words = [episodes.store.classes[unit].name for unit in episodes.units[0]]
    labels, mask = episodes.query.labels[0], episodes.query.mask[0]
    for way in range(min(len(words), _MOST_SOUNDS)):
        query = int(np.flatnonzero((labels == way) & mask)[0])
        taken = family.as_read.take(episodes.query.examples[0][query : query + 1])
        assert isinstance(taken, dict)
        values, there = taken["values"], taken["mask"]
        assert isinstance(values, Tensor) and isinstance(there, Tensor)
        samples = values[0][there[0]].cpu().numpy()[: _MOST_SECONDS * RATE]
        caption = f"'{words[way]}' of `search`; the learner says '{words[said[query]]}'"
        yield Shown(f"recording {way + 1}", _wav(samples), caption, "audio/wav")


def _wav(samples: np.ndarray) -> bytes:
    """Returns a file of int16 samples."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    return content.getvalue()
