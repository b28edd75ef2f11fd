"""Long recordings: windows slid over a file in bounded memory, and what is found in them.

`windows_of` reads a file of any length by blocks and gives stretches of it, a batch at a time, as
recordings that views and encoders take. `merged` makes words with their times of what a classifier
says of each window: neighbours of one word are one detection, of which the best score counts. It
takes n log n comparisons, so that a day of windows is no matter.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metaloop.core.errors import DataError
from metaloop.tasks.readers.recordings import RATE, Source, blocks, opened_recording

_BATCH = 64  # windows
_BLOCK_SECONDS = 10.0  # of a file, read at a time
_LEAST_SECONDS, _MOST_SECONDS = 0.05, 60.0
_STAYS = 0.3  # of a window: for so long one says a word that fits into it (LOG.md)


@dataclass(frozen=True, eq=False)
class Windows:
    """Some windows of a file: when each starts and ends, in seconds, float64 `[N]`; its samples.

    `samples` int16 `[N, length]`; `full` int64 `[N]`: how many of them are there, as the last
    window of a file may be longer than what is left.
    """

    starts: np.ndarray
    ends: np.ndarray
    samples: Tensor
    full: Tensor

    @property
    def recordings(self) -> dict[str, Tensor]:
        """The windows as a column of recordings gives them."""
        mask = torch.arange(self.samples.shape[1]) < self.full[:, None]
        return {"values": self.samples, "mask": mask}


@dataclass(frozen=True)
class Detection:
    """A word that was heard from `start` to `end`, in seconds, with the best score in between."""

    start: float
    end: float
    word: str
    score: float

    def __str__(self) -> str:
        """Returns the line `start end word score`, apart by tabs."""
        return f"{self.start:.2f}\t{self.end:.2f}\t{self.word}\t{self.score:.3f}"


def windows_of(
    source: Source, window: float | int = 1.0, step: float | int = 0.1, batch: int = _BATCH
) -> Iterator[Windows]:
    """Gives the windows of a file in their order, `batch` at a time; both lengths are in seconds.

    A file that is shorter than a window is one, and what is left behind the last full window by
    more than half a step is one more. Memory does not grow with the file. Raises `DataError` for
    lengths out of range and for what is no recording.
    """
    if not _LEAST_SECONDS <= window <= _MOST_SECONDS or not 0.01 <= step <= window:
        raise DataError(
            f"a window of {window:g} s every {step:g} s; expected a window of {_LEAST_SECONDS:g} "
            f"to {_MOST_SECONDS:g} s and a step of 0.01 s up to the window"
        )
    length, hop = round(window * RATE), round(step * RATE)
    with opened_recording(source) as file:
        held, first, pending, count = np.empty(0, np.int16), 0, [], 0
        for block in blocks(file, _BLOCK_SECONDS):
            held = np.concatenate([held, _int16(block)])
            while len(held) >= length:
                pending.append(held[:length])
                held, count = held[hop:], count + 1
                if len(pending) == batch:
                    yield _batch(pending, first, length, hop)
                    first, pending = first + len(pending), []
    left = len(held) - (length - hop if count else 0)  # what no window holds
    if left > (hop // 2 if count else 0):
        pending.append(held)
    if pending:
        yield _batch(pending, first, length, hop)


def least_windows(window: float | int, step: float | int) -> int:
    """Returns how many windows, one behind the other, have to say a word before it counts.

    A word that fits into a window stays there while that moves on; what is like it in other words
    passes within one or two.
    """
    return 1 + int(_STAYS * window / step + 1e-9)


def merged(
    starts: Sequence[float] | np.ndarray,
    ends: Sequence[float] | np.ndarray,
    words: Sequence[str],
    scores: Sequence[float] | np.ndarray,
    threshold: float | int = -math.inf,
    nothing: str | None = None,
    least: int = 1,
) -> list[Detection]:
    """Returns the words of windows, in the order of time, each once for as long as it is heard.

    Windows that overlap and say the same word are one detection from the first to the last of
    them. Those with a score below `threshold` say nothing, and neither do those whose word is
    `nothing`. A detection of fewer than `least` windows is none. Of detections of different words
    that overlap by more than half of the shorter one, the better score stays.
    """
    found: list[tuple[Detection, int]] = []
    open_: dict[str, tuple[Detection, int]] = {}
    for start, end, word, score in zip(starts, ends, words, scores, strict=True):
        if score < threshold or word == nothing:
            continue
        before, number = open_.get(word, (None, 0))
        if before is not None and start <= before.end:
            longer = Detection(before.start, float(end), word, max(before.score, float(score)))
            open_[word] = longer, number + 1
            continue
        if before is not None:
            found.append((before, number))
        open_[word] = Detection(float(start), float(end), word, float(score)), 1
    found += open_.values()
    kept, long_enough = _Apart(), [each for each, number in found if number >= least]
    for each in sorted(long_enough, key=lambda one: (-one.score, one.start, one.word)):
        kept.add(each)
    return sorted(kept.all, key=lambda one: (one.start, one.end, one.word))


class _Apart:
    """Detections none of which rivals another: of a new one only neighbours are compared.

    Whoever lies within another is its rival. So ends rise as starts do, of those that have a
    length, and no more than a few overlap with a new one that lies around none of them.
    """

    def __init__(self) -> None:
        self.all: list[Detection] = []
        self._starts: list[float] = []  # of those in order
        self._in_order: list[Detection] = []  # that have a length; others rival nobody

    def add(self, new: Detection) -> None:
        """Takes a detection, unless it rivals one that is there."""
        if not new.end > new.start:
            self.all.append(new)
            return
        place = bisect_left(self._starts, new.start)
        if any(_rivals(new, other) for other in self._near(place, new)):
            return
        self.all.append(new)
        self._starts.insert(place, new.start)
        self._in_order.insert(place, new)

    def _near(self, place: int, new: Detection) -> Iterator[Detection]:
        """Those that overlap with it, from its own place outwards."""
        for index in range(place, len(self._in_order)):
            if self._in_order[index].start >= new.end:
                break
            yield self._in_order[index]
        for index in range(place - 1, -1, -1):
            if self._in_order[index].end <= new.start:
                break
            yield self._in_order[index]


def _rivals(one: Detection, other: Detection) -> bool:
    shared = min(one.end, other.end) - max(one.start, other.start)
    return shared > 0.5 * min(one.end - one.start, other.end - other.start)


def _batch(pending: list[np.ndarray], first: int, length: int, hop: int) -> Windows:
    samples = np.zeros((len(pending), length), np.int16)
    for row, piece in zip(samples, pending, strict=True):
        row[: len(piece)] = piece
    full = np.array([len(piece) for piece in pending], np.int64)
    starts = (first + np.arange(len(pending))) * hop / RATE
    return Windows(starts, starts + full / RATE, torch.from_numpy(samples), torch.from_numpy(full))


def _int16(sound: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(sound * 32768.0), -32768, 32767).astype(np.int16)
