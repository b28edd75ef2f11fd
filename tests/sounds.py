"""Recordings for tests: words as short tunes, of speakers as pitches; written as files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

RATE = 16_000


def tune(word: int, speaker: int = 0, take: int = 0, seconds: float = 0.5) -> np.ndarray:
    """Returns float samples of a word: three tones that tell it, a little of noise."""
    rng = np.random.default_rng((word, speaker, take))
    steps = np.random.default_rng(word).uniform(200, 3000, 3) * (1 + 0.03 * speaker)
    times = np.arange(int(seconds * RATE / 3)) / RATE
    tones = np.concatenate([np.sin(2 * np.pi * step * times) for step in steps])
    return 0.3 * tones + 0.01 * rng.normal(size=len(tones))


def encoded(sound: np.ndarray, rate: int = RATE, **how: Any) -> bytes:
    """Returns a file of these samples; by default a wav of 16 bits."""
    import soundfile  # optional extra

    out = io.BytesIO()
    soundfile.write(out, sound, rate, **{"format": "WAV", **how})
    return out.getvalue()


def write_words(folder: Path, words: int = 8, speakers: int = 1, takes: int = 3) -> Path:
    """Writes `word3/anna02_1.wav` and returns the folder."""
    for word in range(words):
        for speaker in range(speakers):
            for take in range(takes):
                path = folder / f"word{word}" / f"anna{speaker:02d}_{take}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encoded(tune(word, speaker, take)))
    return folder
