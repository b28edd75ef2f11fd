"""Windows over long recordings, and the words with times that are made of them."""

from __future__ import annotations

import time
import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.sounds import RATE, encoded, tune

from metaloop.core.errors import DataError
from metaloop.domains.speech import logmel
from metaloop.domains.speech.windows import Detection, least_windows, merged, windows_of

pytest.importorskip("soundfile", reason="metaloop[speech]")
pytest.importorskip("soxr", reason="metaloop[speech]")


@pytest.mark.parametrize("seconds", [0.4, 1.0, 1.04, 1.3, 25.27])
@pytest.mark.parametrize("rate", [RATE, 8_000])
def test_windows_cover_a_file_once_every_step(seconds: float, rate: int) -> None:
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, round(seconds * RATE))
    file = encoded(sound if rate == RATE else sound[::2], rate)

    found = list(windows_of(file, window=1.0, step=0.1, batch=7))

    starts = np.concatenate([each.starts for each in found])
    ends = np.concatenate([each.ends for each in found])
    assert starts == pytest.approx(np.arange(len(starts)) * 0.1)
    assert np.allclose(ends[:-1] - starts[:-1], 1.0)
    assert abs(ends[-1] - seconds) <= 0.051
    assert all(len(each.samples) <= 7 for each in found)
    if rate == RATE:
        samples = torch.cat([each.samples for each in found]).numpy()
        for start, row in zip(starts, samples, strict=True):
            piece = sound[round(start * RATE) :][:RATE]
            assert np.abs(row[: len(piece)] / 32768 - piece).max() < 1e-4
            assert not row[len(piece) :].any()


def test_windows_are_recordings_that_views_take() -> None:
    found = next(windows_of(encoded(tune(0, seconds=3))))

    assert logmel.mfcc(found.recordings).shape == (len(found.starts), logmel.MFCC_FEATURES)


def test_an_hour_is_read_in_the_memory_of_a_minute(tmp_path: Path) -> None:
    size = 8_000 * 3600
    header = bytearray(encoded(np.zeros(1), 8_000, subtype="PCM_U8")[:44])
    header[4:8], header[40:44] = (size + 36).to_bytes(4, "little"), size.to_bytes(4, "little")
    path = tmp_path / "hour.wav"
    with path.open("wb") as file:
        file.write(header)
        file.truncate(44 + size)
    tracemalloc.start()

    number = sum(len(each.starts) for each in windows_of(path, window=2.0, step=1.0))

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert number == 3599
    assert peak < 16 << 20  # an hour at 16 kHz is 110 MB


@pytest.mark.parametrize(("window", "step"), [(0.0, 0.1), (1.0, 0.0), (1.0, 2.0), (100.0, 1.0)])
def test_lengths_out_of_range_are_refused(window: float, step: float) -> None:
    with pytest.raises(DataError, match="expected a window of"):
        next(windows_of(encoded(tune(0)), window, step))


def test_what_is_no_recording_is_refused() -> None:
    with pytest.raises(DataError, match="no recording, or damaged"):
        next(windows_of(b"text"))


def test_neighbouring_windows_of_a_word_are_one_detection() -> None:
    starts = np.arange(8) * 0.5
    words = ["yes", "yes", "none", "none", "no", "no", "yes", "none"]
    scores = [0.5, 0.9, 1.0, 1.0, 0.7, 0.1, 0.8, 1.0]

    found = merged(starts, starts + 1, words, scores, threshold=0.2, nothing="none")

    assert found == [
        Detection(0.0, 1.5, "yes", 0.9),
        Detection(2.0, 3.0, "no", 0.7),
        Detection(3.0, 4.0, "yes", 0.8),
    ]
    assert str(found[0]) == "0.00\t1.50\tyes\t0.900"


def test_a_word_that_too_few_windows_say_is_none() -> None:
    starts = np.arange(6) / 10
    words = ["yes", "no", "yes", "yes", "no", "yes"]
    scores = [0.6, 0.9, 0.7, 0.8, 0.9, 0.6]
    assert [d.word for d in merged(starts, starts + 0.05, words, scores)] == words
    found = merged(starts, starts + 1, words, scores, least=4)
    assert [(d.word, d.start, d.end, d.score) for d in found] == [("yes", 0.0, 1.5, 0.8)]
    assert [d.word for d in merged(starts, starts + 1, words, scores, least=1)] == ["no"]


@pytest.mark.parametrize(
    ("window", "step", "number"), [(1.0, 0.1, 4), (1.0, 0.5, 1), (0.5, 0.1, 2), (1.0, 1.0, 1)]
)
def test_a_word_is_heard_for_a_third_of_a_window(window: float, step: float, number: int) -> None:
    assert least_windows(window, step) == number


def test_of_words_at_the_same_time_the_better_one_stays() -> None:
    found = merged([0.0, 0.1, 0.2], [1.0, 1.1, 1.2], ["yes", "no", "yes"], [0.6, 0.9, 0.5])

    assert [each.word for each in found] == ["no"]


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.floats(0, 1, allow_nan=False)), min_size=1, max_size=30
    ),
    st.floats(0, 1),
)
def test_detections_are_in_order_do_not_rival_and_come_from_windows(
    windows: list[tuple[str, float]], threshold: float
) -> None:
    starts = np.arange(len(windows)) * 0.4
    words, scores = zip(*windows, strict=True)

    found = merged(starts, starts + 1, words, scores, threshold)

    assert [each.start for each in found] == sorted(each.start for each in found)
    assert all(each.score >= threshold for each in found)
    assert all((each.word, each.score) in windows for each in found)
    assert bool(found) == any(score >= threshold for score in scores)
    for first, second in pairwise(found):
        shared = min(first.end, second.end) - second.start
        assert shared <= 0.5 * min(first.end - first.start, second.end - second.start) + 1e-9


@given(
    st.lists(
        st.tuples(
            st.integers(0, 60), st.integers(0, 25), st.sampled_from("abcdef"), st.integers(0, 9)
        ),
        max_size=40,
    )
)
def test_comparing_neighbours_alone_keeps_whom_comparing_all_keeps(
    windows: list[tuple[int, int, str, int]],
) -> None:
    rows = [
        (0.1 * start, 0.1 * (start + length), word, float(score))
        for start, length, word, score in sorted(windows)
    ]

    kept: list[Detection] = []
    alone = [one for word in "abcdef" for one in _merged([row for row in rows if row[2] == word])]
    for each in sorted(alone, key=lambda one: (-one.score, one.start, one.word)):
        if not any(_is_rival(each, other) for other in kept):
            kept.append(each)

    assert _merged(rows) == sorted(kept, key=lambda one: (one.start, one.end, one.word))


def _merged(rows: list[Any]) -> list[Detection]:
    starts, ends, words, scores = zip(*rows, strict=True) if rows else ((), (), (), ())
    return merged(starts, ends, words, scores)


def _is_rival(one: Detection, other: Detection) -> bool:
    shared = min(one.end, other.end) - max(one.start, other.start)
    return shared > 0.5 * min(one.end - one.start, other.end - other.start)


def test_ten_hours_of_words_that_change_all_the_time_are_merged_in_a_moment() -> None:
    starts = np.arange(36_000) * 1.0
    words = [f"word {n % 7}" for n in range(len(starts))]
    began = time.process_time()

    found = merged(starts, starts + 1.4, words, np.tile([0.5, 0.7, 0.6], 12_000))

    assert len(found) == len(starts)
    assert time.process_time() - began < 5  # comparing all of them takes minutes
