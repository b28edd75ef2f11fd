"""Words in long recordings and from the microphone: a line for each word that is heard.

Windows are slid over each file, or over what the microphone hears.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metaloop.cli.recordings import recording_inputs
from metaloop.core.errors import DataError, MetaloopError, MissingExtraError
from metaloop.domains.speech.windows import merged, windows_of
from metaloop.tasks.readers.recordings import RATE

if TYPE_CHECKING:
    from metaloop.estimators import FewShotClassifier

_SECONDS = re.compile(r"(\d+(?:\.\d+)?)(ms|s)?")
_SILENT = 20  # of 32,768: what moves less than that, either way, is no word


def seconds(option: str, text: str) -> float:
    """Returns a time such as `1s`, `0.1` or `250ms`; raises `MetaloopError` for others."""
    found = _SECONDS.fullmatch(text.strip())
    if found is None:
        raise MetaloopError(f"--{option} is a time such as 1s or 250ms, got '{text}'")
    return float(found[1]) / (1000 if found[2] == "ms" else 1)


def listen(
    estimator: FewShotClassifier,
    paths: Sequence[Path],
    window: str,
    step: str,
    least: float,
    least_evidence: float | None = None,
) -> list[dict[str, Any]]:
    """Returns every word that is heard in the recordings: `input`, `start`, `end`, `label`, ...

    Times are in seconds, `confidence` is the best of the windows in which the word is heard, at
    least `least`. With `least_evidence` windows that have no more are silent, however confident,
    and of the others each counts. Memory does not grow with a recording. Raises `MetaloopError`
    for times that cannot be, and for what is no recording, by its name.
    """
    width, every = seconds("window", window), seconds("step", step)
    classes = estimator.classes_.tolist()
    accepted = least if least_evidence is None else 0.0
    found: list[dict[str, Any]] = []
    for name in (name for path in paths for name in recording_inputs(path)[0]):
        starts, ends, labels, scores = [], [], [], []
        try:
            for some in windows_of(Path(name), width, every):
                samples = some.samples.numpy()
                heard = np.flatnonzero(np.ptp(samples.astype(np.int32), axis=1) > 2 * _SILENT)
                if not len(heard):
                    continue
                pieces = [(samples[i][: int(some.full[i])], RATE) for i in heard]
                rows = estimator.predict_proba(pieces)
                if least_evidence is not None:
                    known = estimator.score_known(pieces) > least_evidence
                    heard, rows = heard[known], rows[known]
                starts += some.starts[heard].tolist()
                ends += some.ends[heard].tolist()
                labels += [classes[place] for place in rows.argmax(1).tolist()]
                scores += rows.max(1).astype(float).tolist()
        except DataError as error:
            raise DataError(f"recording '{name}' cannot be used: {error}") from error
        found += [
            {
                "input": name,
                "start": round(each.start, 3),
                "end": round(each.end, 3),
                "label": each.word,
                "confidence": each.score,
            }
            for each in merged(starts, ends, labels, scores, accepted)
        ]
    return found


def microphone(step: str) -> Iterator[np.ndarray]:
    """Gives what the microphone hears, int16 `[samples]` at 16 kHz, a `step` at a time, for ever.

    Raises `MissingExtraError` without sounddevice, and `DataError` where there is no microphone.
    """
    every = seconds("step", step)
    try:
        import sounddevice  # optional extra
    except (ImportError, OSError) as error:
        raise MissingExtraError(
            "--microphone needs PortAudio and sounddevice: pip install 'metaloop[microphone]'"
        ) from error
    try:
        with sounddevice.InputStream(samplerate=RATE, channels=1, dtype="int16") as stream:
            while True:
                yield stream.read(max(1, round(every * RATE)))[0][:, 0]
    except sounddevice.PortAudioError as error:
        raise DataError(f"the microphone cannot be used: {' '.join(str(error).split())}") from error


def hear(
    estimator: FewShotClassifier, pieces: Iterable[np.ndarray], window: str, least: float
) -> Iterator[dict[str, Any]]:
    """Gives a word as soon as it is heard in `pieces`, int16 `[samples]` one after the other.

    A row is `start`, `end` (of the window in which it was first heard, in seconds), `label` and
    `confidence`, at least `least`. While windows overlap that say the same word, it is told once.
    Memory does not grow.
    """
    length = max(1, round(seconds("window", window) * RATE))
    classes = estimator.classes_.tolist()
    held, total = np.empty(0, np.int16), 0
    told: dict[str, int] = {}  # where the last window that said the word ended
    for piece in pieces:
        held = np.concatenate([held, piece])[-length:]
        total += len(piece)
        if len(held) < length or np.ptp(held.astype(np.int32)) <= 2 * _SILENT:
            continue
        row = estimator.predict_proba([(held, RATE)])[0]
        score, label = float(row.max()), classes[int(row.argmax())]
        if score < least:
            continue
        is_new = total - length > told.get(label, -1)
        told[label] = total
        if is_new:
            start, end = (total - length) / RATE, total / RATE
            yield {"start": start, "end": end, "label": label, "confidence": score}
