"""From a folder of recordings to a learner that is shown others: the whole way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.sounds import RATE, encoded, tune, write_words
from typer.testing import CliRunner

from metaloop.api import load, train
from metaloop.cli import app
from metaloop.cli.listening import hear
from metaloop.core.errors import InputError
from metaloop.estimators import FewShotClassifier

pytest.importorskip("soundfile", reason="metaloop[speech]")
pytest.importorskip("soxr", reason="metaloop[speech]")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A learner trained for some steps on 16 words, without a backbone."""
    folder = tmp_path_factory.mktemp("speech")
    write_words(folder / "words", words=16, takes=7)
    train(
        folder / "words", "protonet", out=folder / "model.metaloop", budget="3 steps",
        ways=4, queries=4, progress=False,
    )  # fmt: skip
    return folder / "model.metaloop"


def new_words() -> tuple[list[np.ndarray], list[str]]:
    """Returns recordings of two words that are in no training data."""
    return [tune(word, 0, take) for word in (50, 51) for take in range(3)], ["a"] * 3 + ["b"] * 3


def test_a_learner_of_words_tells_new_words_apart(model: Path) -> None:
    sounds, words = new_words()
    estimator = load(model)
    assert isinstance(estimator, FewShotClassifier)

    estimator.fit(sounds, words)

    more = [tune(51, 0, 9), (tune(50, 0, 9)[::2], RATE // 2), encoded(tune(51, 0, 8))]
    assert estimator.predict(more).tolist() == ["b", "a", "b"]


def test_the_commands_take_folders_and_files_of_recordings(model: Path, tmp_path: Path) -> None:
    for sound, word in zip(*new_words(), strict=True):
        folder = tmp_path / "mine" / word
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{len(list(folder.iterdir()))}.wav").write_bytes(encoded(sound))
    (tmp_path / "new.flac").write_bytes(encoded(tune(50, 0, 5), format="FLAC"))
    (tmp_path / "text.wav").write_text("text")
    asked = ["predict", str(model), "--support", str(tmp_path / "mine")]

    done = CliRunner().invoke(app, [*asked, str(tmp_path / "new.flac")])
    damaged = CliRunner().invoke(app, [*asked, str(tmp_path / "text.wav")])

    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("a\t")
    assert isinstance(damaged.exception, InputError) or damaged.exit_code == 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("a.wav", r"X is one file"),
        ([], "X has no examples"),
        ([3.0], r"X\[0\] is a float"),
        (["no/such.wav"], "recording 'no/such.wav' cannot be used: there is no such file"),
        ([b"text"], r"recording X\[0\] cannot be used: no recording, or damaged"),
        ([np.zeros(RATE)], r"recording X\[0\] cannot be used: silence"),
        ([(np.ones(RATE), "fast")], r"recording X\[0\] cannot be used"),
        (np.zeros((2, 2, 2)), r"X is float64 \[2, 2, 2\]"),
    ],
)
def test_what_is_no_recording_is_refused_in_one_line(model: Path, wrong: Any, message: str) -> None:
    estimator = load(model).fit(*new_words())

    with pytest.raises(InputError, match=message) as error:
        estimator.predict(wrong)
    assert "\n" not in str(error.value)


def test_data_tells_speakers_by_the_pattern_and_that_they_are_kept_apart(tmp_path: Path) -> None:
    write_words(tmp_path / "words", words=16, speakers=4, takes=6)

    done = CliRunner().invoke(
        app, ["data", str(tmp_path / "words"), "--speaker-pattern", r"(anna\d+)_"]
    )

    assert done.exit_code == 0, done.output
    assert "4 speakers are known" in done.output
    assert "'test' has speakers of its own" in " ".join(done.output.split())


def test_predict_tells_which_word_is_heard_when_in_a_long_recording(
    model: Path, tmp_path: Path
) -> None:
    for sound, word in zip(*new_words(), strict=True):
        folder = tmp_path / "mine" / word
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{len(list(folder.iterdir()))}.wav").write_bytes(encoded(sound))
    long = np.zeros(10 * RATE)
    for word, at in ((50, 2.0), (51, 6.0)):
        sound = tune(word, 0, 7)
        long[int(at * RATE) : int(at * RATE) + len(sound)] = sound
    (tmp_path / "long.wav").write_bytes(encoded(long))
    asked = ["predict", str(model), "--support", str(tmp_path / "mine"), str(tmp_path / "long.wav")]

    done = CliRunner().invoke(app, [*asked, "--window", "500ms", "--step", "0.1s"])
    refused = CliRunner().invoke(app, [*asked, "--window", "soon"])

    assert done.exit_code == 0, done.output
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    best = {
        word: max((x for x in lines if x[2] == word), key=lambda x: float(x[3])) for word in "ab"
    }
    for word, at in (("a", 2.0), ("b", 6.0)):
        start, end = float(best[word][0]), float(best[word][1])
        assert start <= at + 0.3 < end
        assert end - start < 2.0
    assert "a time such as 1s or 250ms" in str(refused.exception) + refused.output


def test_a_word_from_the_microphone_is_told_once_and_at_once(model: Path) -> None:
    sounds, words = new_words()
    estimator = load(model)
    assert isinstance(estimator, FewShotClassifier)
    estimator.fit(sounds, words)
    pause = np.zeros(RATE)
    heard = np.concatenate([pause, tune(51, 0, 7), pause, pause, tune(50, 0, 7), pause])
    samples = (heard * 32767).astype(np.int16)

    found = list(hear(estimator, np.array_split(samples, len(samples) // 1600), "0.5s", 0.5))

    assert 2 <= len(found) < 12  # of some twenty windows in which there is sound
    for label, first, last in (("b", 1.0, 2.1), ("a", 3.4, 4.6)):
        assert any(first < row["end"] < last for row in found if row["label"] == label)
    assert all(row["end"] - row["start"] == pytest.approx(0.5) for row in found)


def test_what_cannot_be_heard_is_refused_in_one_line(model: Path) -> None:
    for arguments, message in (
        ([], "name inputs to be told apart, or listen"),
        (["some.wav", "--microphone"], "name inputs to be told apart, or listen"),
    ):
        done = CliRunner().invoke(app, ["predict", str(model), *arguments])
        assert done.exit_code != 0 and message in f"{done.output}{done.exception}"
