"""Words in long recordings and from the microphone: a line for each word that is heard.

Windows are slid over each file, or over what the microphone hears.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metaloop.api.speaking import warn
from metaloop.cli.inputs import can_listen, model_of
from metaloop.cli.output import print_json
from metaloop.cli.recordings import recording_files
from metaloop.core.errors import DataError, MetaloopError, MissingExtraError, ModelFileError
from metaloop.domains.speech.windows import least_windows, merged, windows_of
from metaloop.estimators import FewShotClassifier
from metaloop.tasks.readers.recordings import RATE

_SECONDS = re.compile(r"(\d+(?:\.\d+)?)(ms|s)?")
_SILENT = 20  # of 32,768: what moves less than that, either way, is no word
_LEAST = 0.5  # confidence of a word in a window, where nothing is rejected


@dataclass(frozen=True)
class Hearing:
    """How `predict` listens: lengths such as `1s`, and the evidence that a window has to exceed."""

    window: str
    step: str
    least_evidence: float | None = None
    skip_unreadable: bool = False

    def tell(
        self, estimator: Any, model: Path, inputs: Sequence[Path] | None, as_json: bool
    ) -> None:
        """Prints the words that are heard in recordings, or by the microphone: a line for each.

        Raises `ModelFileError` for models that take no recordings.
        """
        option = "--microphone" if inputs is None else "--window"
        if not isinstance(estimator, FewShotClassifier) or not can_listen(model_of(estimator)):
            raise ModelFileError(f"'{model}' takes no recordings; leave {option} away")
        if inputs is None:
            if as_json:
                raise DataError("--microphone has no end, so there is no JSON of it; leave it away")
            rows = hear(estimator, microphone(self.step), self.window, _LEAST, self.least_evidence)
        else:
            how = (self.window, self.step, _LEAST, self.least_evidence, self.skip_unreadable)
            rows = listen(estimator, inputs, *how)
        if as_json:
            told = {"classes": estimator.classes_.tolist(), "predictions": list(rows)}
            print_json({"model": str(model), **told})
            return
        for row in rows:
            said = (f"{row['start']:.2f}", f"{row['end']:.2f}", row["label"])
            line = (*said, f"{row['confidence']:.4f}", *([row["input"]] if "input" in row else []))
            sys.stdout.write("\t".join(map(str, line)) + "\n")
            sys.stdout.flush()


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
    skip_unreadable: bool = False,
) -> Iterator[dict[str, Any]]:
    """Gives every word that is heard, one recording after another: `input`, `start`, `end`, ...

    Times are in seconds, `confidence` is the best of the windows in which the word is heard, at
    least `least`. With `least_evidence` windows that have no more are silent, however confident,
    and of the others each counts. A word has to be heard for a third of a window, or in as many
    windows as there are. The words of a recording are told when its end is reached; of it
    nothing is kept but times and scores of windows in which something was heard. Raises
    `MetaloopError` for times that cannot be, and for what is no recording, by its name; with
    `skip_unreadable` such a one is left out, with a warning.
    """
    width, every = seconds("window", window), seconds("step", step)
    classes = estimator.classes_.tolist()
    for name in [name for path in paths for name in recording_files(path)]:
        starts, ends, labels, scores, number = [], [], [], [], 0
        try:
            for some in windows_of(Path(name), width, every):
                number += len(some.starts)
                samples = some.samples.numpy()
                heard = np.flatnonzero(np.ptp(samples.astype(np.int32), axis=1) > 2 * _SILENT)
                if not len(heard):
                    continue
                pieces = [(samples[i][: int(some.full[i])], RATE) for i in heard]
                rows = estimator.predict_proba(pieces)
                if least_evidence is not None:
                    known = estimator.score_known(pieces) > least_evidence
                else:
                    known = rows.max(1) >= least
                heard, rows = heard[known], rows[known]
                starts += some.starts[heard].tolist()
                ends += some.ends[heard].tolist()
                labels += [classes[place] for place in rows.argmax(1).tolist()]
                scores += rows.max(1).astype(float).tolist()
        except DataError as error:
            reason = f"recording '{name}' cannot be used: {error}"
            if not skip_unreadable:
                raise DataError(reason) from error
            warn(f"left out: {reason}")
            continue
        enough = min(number, least_windows(width, every))
        for each in merged(starts, ends, labels, scores, least=enough):
            yield {
                "input": name,
                "start": round(each.start, 3),
                "end": round(each.end, 3),
                "label": each.word,
                "confidence": each.score,
            }


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
    estimator: FewShotClassifier,
    pieces: Iterable[np.ndarray],
    window: str,
    least: float,
    least_evidence: float | None = None,
) -> Iterator[dict[str, Any]]:
    """Gives a word as soon as it is heard in `pieces`, int16 `[samples]` one after the other.

    A row is `start` (of the first window that says it, in seconds), `end` (of the one in which it
    is told, a third of a window later), `label` and `confidence`, at least `least`; with
    `least_evidence` a window that has no more is silent, and of the others each counts. While
    windows overlap that say the same word, it is told once. Memory does not grow.
    """
    length = max(1, round(seconds("window", window) * RATE))
    classes = estimator.classes_.tolist()
    held, total = np.empty(0, np.int16), 0
    ended: dict[str, int] = {}  # where the last window that said the word ended
    begun: dict[str, int] = {}  # where the first one of them began
    times: dict[str, int] = {}  # how many they are
    for piece in pieces:
        held = np.concatenate([held, piece])[-length:]
        total += len(piece)
        if len(held) < length or np.ptp(held.astype(np.int32)) <= 2 * _SILENT:
            continue
        row = estimator.predict_proba([(held, RATE)])[0]
        score, label = float(row.max()), classes[int(row.argmax())]
        if least_evidence is None:
            is_known = score >= least
        else:
            is_known = float(estimator.score_known([(held, RATE)])[0]) > least_evidence
        if not is_known:
            continue
        if total - length > ended.get(label, -1):
            begun[label], times[label] = total - length, 0
        ended[label] = total
        times[label] += 1
        if times[label] == least_windows(length, len(piece)):
            start, end = begun[label] / RATE, total / RATE
            yield {"start": start, "end": end, "label": label, "confidence": score}
