"""One recording: any file becomes mono int16 at 16 kHz, or is refused with the reason."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sounds import encoded, tune

from metaloop.core.errors import DataError
from metaloop.tasks.readers.recordings import (
    RATE,
    blocks,
    decode_recording,
    is_recording,
    opened_recording,
    samples_of,
)

pytest.importorskip("soundfile", reason="metaloop[speech]")
pytest.importorskip("soxr", reason="metaloop[speech]")

_TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ({"format": "WAV", "subtype": "PCM_16"}, 1e-4),
        ({"format": "WAV", "subtype": "PCM_U8"}, 0.01),
        ({"format": "WAV", "subtype": "PCM_24"}, 1e-4),
        ({"format": "WAV", "subtype": "FLOAT"}, 1e-4),
        ({"format": "WAV", "subtype": "ULAW"}, 0.03),
        ({"format": "FLAC", "subtype": "PCM_24"}, 1e-4),
        ({"format": "AIFF", "subtype": "PCM_16"}, 1e-4),
        ({"format": "OGG", "subtype": "VORBIS"}, 0.06),
        ({"format": "MP3", "subtype": "MPEG_LAYER_III"}, 0.06),
    ],
)
def test_every_format_is_read_as_the_same_sound(how: dict[str, str], error: float) -> None:
    sound = decode_recording(encoded(_TONE, **how)).samples

    assert sound.dtype == np.int16
    assert len(sound) == RATE
    inner = slice(1000, -1000)  # encoders smear the ends
    assert np.abs(sound[inner] / 32768 - _TONE[inner]).max() < error


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_a_tone_of_any_rate_is_the_same_tone_at_16_khz(rate: int) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)

    found = decode_recording(encoded(tone, rate))

    assert found.rate == rate
    assert abs(len(found.samples) - RATE) <= 1
    inner = slice(500, RATE - 500)
    assert np.abs(found.samples[inner] / 32768 - _TONE[inner]).max() < 2e-3


def test_channels_are_averaged_and_opposite_ones_do_not_cancel() -> None:
    other = np.random.default_rng(0).normal(0, 0.1, RATE)
    stereo = decode_recording(encoded(np.stack([_TONE, other], axis=1)))
    opposite = decode_recording(encoded(np.stack([_TONE, -_TONE], axis=1)))

    assert stereo.channels == 2
    assert np.abs(stereo.samples / 32768 - (_TONE + other) / 2).max() < 1e-4
    assert np.abs(opposite.samples / 32768 - _TONE).max() < 1e-4


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"these are words, not sounds", "no recording, or damaged"),
        (b"", "no recording, or damaged"),
        (encoded(_TONE[:0]), "no samples"),
        (encoded(_TONE[:100]), "shorter than 0.03 s"),
        (encoded(0 * _TONE), "silence"),
        (encoded(np.full(RATE, 0.2)), "silence"),
        (encoded(_TONE, 300), "its header says 300 Hz"),
        (encoded(np.where(_TONE > 0.4, np.nan, _TONE), subtype="FLOAT"), "samples that are no"),
    ],
)
def test_what_can_be_no_example_is_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(DataError, match=reason) as error:
        decode_recording(content)
    assert "\n" not in str(error.value)


def test_a_file_that_is_cut_short_gives_what_is_there() -> None:
    whole = encoded(_TONE)

    assert 0 < len(decode_recording(whole[: len(whole) // 2]).samples) <= RATE // 2


def test_clipping_is_told_and_a_loud_recording_is_not_clipped() -> None:
    assert decode_recording(encoded(np.clip(3 * _TONE, -1, 1))).clipped
    assert not decode_recording(encoded(1.99 * _TONE)).clipped


def test_of_a_long_recording_the_loudest_stretch_is_used() -> None:
    quiet = 0.001 * np.random.default_rng(0).normal(size=30 * RATE)
    quiet[21 * RATE : 22 * RATE] += _TONE

    found = decode_recording(encoded(quiet), most_seconds=2.0)

    assert found.cut
    assert len(found.samples) == 2 * RATE
    assert np.square(found.samples / 32768).sum() == pytest.approx(np.square(_TONE).sum(), rel=1e-2)
    assert np.abs(samples_of(quiet, RATE, 2.0).samples - found.samples).max() <= 1
    loud = np.flatnonzero(np.abs(found.samples) > 3000)
    assert loud[0] > RATE // 4  # the word has room on both sides
    assert loud[-1] < 2 * RATE - RATE // 4


def test_a_stretch_of_a_file_is_read_alone() -> None:
    sound = np.concatenate([0 * _TONE, _TONE, 0 * _TONE])

    found = decode_recording(encoded(sound), start=1.0, end=2.0)

    assert np.abs(found.samples / 32768 - _TONE).max() < 1e-4
    with pytest.raises(DataError, match="is not behind its start"):
        decode_recording(encoded(sound), start=2.0, end=1.0)
    with pytest.raises(DataError, match=r"it ends after 3\.0 s"):
        decode_recording(encoded(sound), start=5.0)


def test_ten_hours_take_no_more_memory_than_seconds(tmp_path: Path) -> None:
    path, rate, hours = tmp_path / "long.wav", 2_000, 10
    size = rate * 3600 * hours
    header = bytearray(encoded(np.zeros(1), rate, subtype="PCM_U8")[:44])
    header[4:8] = (size + 36).to_bytes(4, "little")
    header[40:44] = size.to_bytes(4, "little")
    with path.open("wb") as file:  # nearly all of it a hole, which is read as the lowest level
        file.write(header)
        file.seek(44 + 7 * 3600 * rate)
        file.write(np.tile(np.array([0, 255], np.uint8), rate // 2).tobytes())
        file.truncate(44 + size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    found = decode_recording(path)

    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert found.cut
    assert len(found.samples) == 10 * RATE
    assert found.samples.max() > 10_000  # the second that is no silence
    assert grown < 64 * 1024  # KB; the file is 72 MB, at 16 kHz 1.1 GB


def test_a_file_in_blocks_is_the_file() -> None:
    sound = np.concatenate([tune(0, seconds=3), tune(1, seconds=3)])
    for rate in (RATE, 11_025):
        with opened_recording(encoded(sound, rate)) as file:
            pieces = list(blocks(file, 0.25))
        whole = decode_recording(encoded(sound, rate)).samples

        assert len(pieces) > 10
        joined = np.concatenate(pieces)
        assert len(joined) == len(whole)
        assert np.abs(joined - whole / 32768).max() < 1e-3


@given(st.sampled_from(["int16", "int32", "int64", "uint8", "float32", "float64"]))
def test_samples_of_any_kind_are_the_same_sound(kind: str) -> None:
    scale = {"int32": 2**31 - 1, "uint8": 127}.get(kind, 32767)
    sound = _TONE if kind.startswith("float") else _TONE * scale + 128 * (kind == "uint8")

    found = samples_of(np.rint(sound).astype(kind) if "int" in kind else sound.astype(kind), RATE)

    assert np.abs(found.samples / 32768 - _TONE).max() < 0.01


@pytest.mark.parametrize(
    ("sound", "reason"),
    [
        (np.array(["a"]), "expected samples"),
        (np.zeros((2, 3, 4)), "expected samples"),
        (1000 * _TONE, "floats beyond -1 to 1"),
        (np.full(RATE, np.nan), "samples that are no numbers"),
    ],
)
def test_samples_that_are_no_sound_are_refused(sound: np.ndarray, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        samples_of(sound, RATE)


def test_recordings_are_told_by_their_ending() -> None:
    assert is_recording("a/B.WAV")
    assert not is_recording("a/wav")
    assert not is_recording("a.wav.txt")
