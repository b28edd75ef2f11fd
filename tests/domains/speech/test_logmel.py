"""Spectrograms: what they are by a reference, and what they do not hang on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import fft, signal
from tests.sounds import tune

from metaloop.core.columns import Ragged
from metaloop.core.errors import DataError
from metaloop.domains.speech import logmel


def taken(*sounds: np.ndarray) -> dict[str, torch.Tensor]:
    """Returns recordings as a column of them gives."""
    column = Ragged.of([torch.from_numpy((s * 32768).astype(np.int16)) for s in sounds])
    return column.take(torch.arange(len(sounds)))


def by_scipy(clip: np.ndarray) -> np.ndarray:
    """Returns the log-mel spectrogram of a clip as the formula says, written once more."""
    window = signal.get_window("hann", logmel.WINDOW)
    _, _, spectrum = signal.stft(
        clip, window=window, nperseg=logmel.WINDOW, noverlap=logmel.WINDOW - logmel.HOP,
        nfft=logmel.FFT, boundary=None, padded=False, scaling="spectrum",
    )  # fmt: skip
    power = np.abs(spectrum * window.sum()) ** 2
    edges = np.linspace(*(2595 * np.log10(1 + f / 700) for f in (50, 7600)), 42)
    hertz = 700 * (10 ** (edges / 2595) - 1)
    bins = np.fft.rfftfreq(logmel.FFT, 1 / logmel.RATE)
    mels = np.stack([np.interp(bins, hertz[i : i + 3], [0, 1, 0]) for i in range(40)]) @ power
    return np.asarray(np.log(mels / mels.max() + logmel.FLOOR))


def test_spectrograms_are_those_of_a_reference() -> None:
    clip = tune(1, seconds=3)[: logmel.CLIP]
    clip = (clip * 32768).astype(np.int16) / 32768

    found = logmel._log_mel(torch.from_numpy(clip).float()[None])[0].numpy()

    assert found.shape == (40, 49)
    assert np.abs(found - by_scipy(clip)).max() < 2e-2
    assert np.abs(found - by_scipy(clip)).mean() < 1e-4


def test_filters_are_those_of_transformers() -> None:
    audio = pytest.importorskip("transformers.audio_utils", reason="metaloop[text]")

    wanted = audio.mel_filter_bank(257, 40, 50.0, 7600.0, 16_000, norm=None, mel_scale="htk")

    assert np.abs(logmel.mel_filters(40, 512, 16_000, 50.0, 7600.0).numpy() - wanted.T).max() < 1e-5


def test_the_cepstrum_is_scipys_cosine_transform() -> None:
    spectrogram = np.random.default_rng(0).normal(size=(2, 40, 49)).astype(np.float32)

    found = logmel.cepstrum(torch.from_numpy(spectrogram), 40).numpy()

    assert np.abs(found - fft.dct(spectrogram, axis=1, norm="ortho")).max() < 1e-4


@settings(max_examples=20)
@given(before=st.integers(0, 20_000), after=st.integers(0, 20_000), gain=st.floats(0.05, 1.0))
def test_silence_around_a_word_and_its_loudness_change_little(
    before: int, after: int, gain: float
) -> None:
    word = tune(2)
    around = np.concatenate([np.zeros(before), gain * word, np.zeros(after)])

    found = logmel.mfcc(taken(word, around))

    distance = (found[0] - found[1]).norm() / found[0].norm()
    assert distance < 0.35  # a frame is 20 ms: a shift by half of one is the most
    other = logmel.mfcc(taken(tune(3)))[0]
    assert distance < (found[0] - other).norm() / found[0].norm()


def test_what_a_recording_gives_does_not_hang_on_the_others() -> None:
    sounds = [tune(word, seconds=0.3 + 0.4 * word) for word in range(4)]
    together = logmel.pictures(taken(*sounds))

    for row, sound in enumerate(sounds):
        assert torch.equal(together[row], logmel.pictures(taken(sound))[0])


def test_pictures_are_spectrograms_in_bytes() -> None:
    recordings = taken(tune(0), tune(1))
    pictures = logmel.pictures(recordings)

    assert pictures.shape == (2, 1, 40, 49)
    assert pictures.dtype == torch.uint8
    assert int(pictures.max()) == 255
    spectrograms = logmel.log_mel(recordings)
    restored = (1 - pictures[:, 0] / 255.0) * np.log(logmel.FLOOR)
    assert (restored - spectrograms).abs().max() < 0.024


def test_the_smallest_and_the_silent_recordings_give_finite_numbers() -> None:
    found = logmel.mfcc(taken(np.zeros(500), tune(0)[:1], np.zeros(40_000), tune(0, seconds=9)))

    assert found.shape == (4, logmel.MFCC_FEATURES)
    assert bool(found.isfinite().all())
    assert logmel.mfcc(taken(tune(0))).shape == (1, 180)


def test_of_a_long_recording_the_second_with_the_word_is_seen() -> None:
    word = tune(4)
    long = np.concatenate([np.zeros(60_000), word, np.zeros(1000)])

    near, far = (logmel.mfcc(taken(each))[0] for each in (word, tune(5)))
    found = logmel.mfcc(taken(long))[0]
    assert (found - near).norm() < 0.35 * (far - near).norm()


@pytest.mark.parametrize("wrong", [torch.zeros(2, 3), ("a text",), {"values": torch.zeros(2, 3)}])
def test_other_inputs_are_refused(wrong: object) -> None:
    with pytest.raises(DataError, match="expected recordings"):
        logmel.mfcc(wrong)  # type: ignore[arg-type]
