"""From a folder of recordings to a learner that is shown others: the whole way."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from tests.sounds import RATE, encoded, tune, write_words
from typer.testing import CliRunner

from metaloop.api import learn, load, train
from metaloop.cli import app, listening
from metaloop.cli.listening import hear
from metaloop.core.errors import DataError, InputError
from metaloop.domains.speech.windows import Windows, windows_of
from metaloop.estimators import FewShotClassifier
from metaloop.loop.settings import Settings

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
    assert isinstance(damaged.exception, DataError) or damaged.exit_code == 2


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


def ran(*arguments: object) -> Result:
    """Returns what the command did with these words."""
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, Path]:
    """The same two words as folder, zip, npz, and as tables: of files, and of stretches."""
    sounds, words = new_words()
    paths = []
    for number, (sound, word) in enumerate(zip(sounds, words, strict=True)):
        path = tmp_path / "mine" / word / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(sound))
        paths.append(path.relative_to(tmp_path))
    (tmp_path / "all.wav").write_bytes(encoded(np.concatenate(sounds)))
    ends = np.cumsum([len(sound) for sound in sounds]) / RATE
    rows = [f"{path},{word}" for path, word in zip(paths, words, strict=True)]
    (tmp_path / "files.csv").write_text("\n".join(["path,label", *rows]))
    cut = [
        json.dumps({"path": "all.wav", "label": word, "start": end - len(sound) / RATE, "end": end})
        for sound, word, end in zip(sounds, words, ends.tolist(), strict=True)
    ]
    (tmp_path / "cut.jsonl").write_text("\n".join(cut))
    samples = np.stack([sound[: min(map(len, sounds))] for sound in sounds])
    np.savez(tmp_path / "words.npz", X=samples, y=words, rate=RATE)
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as packed:
        for path in paths:
            packed.write(tmp_path / path, path.relative_to("mine"))
    return {name: tmp_path / name for name in ("mine", *WAYS)}


WAYS = ("mine.zip", "files.csv", "cut.jsonl", "words.npz")


@pytest.mark.parametrize("name", ["mine", *WAYS])
def test_fit_and_predict_take_what_learn_reads(
    model: Path, tables: dict[str, Path], tmp_path: Path, name: str
) -> None:
    mine = tmp_path / "mine.metaloop"
    fitted = ran("fit", model, "--support", tables[name], "--out", mine, "--json")
    assert fitted.exit_code == 0, fitted.output
    assert json.loads(fitted.stdout)["examples"] == 6

    done = ran("predict", mine, tables[name], "--json")

    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [row["label"] for row in told["predictions"]] == ["a"] * 3 + ["b"] * 3
    again = ran("predict", model, "--support", tables[name], tables[name])
    assert [line.split("\t")[0] for line in again.stdout.splitlines()] == ["a"] * 3 + ["b"] * 3


def test_inputs_in_a_table_need_no_labels_and_bad_ones_are_named(
    model: Path, tables: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "asked.csv").write_text("path\nmine/b/5.wav\nmine/a/0.wav\n")
    (tmp_path / "gone.csv").write_text("path,label\nmine/b/5.wav,b\ngone.wav,a\n")
    np.savez(tmp_path / "no_rate.npz", X=np.zeros((2, 50)), y=["a", "b"])
    support = ("--support", tables["files.csv"])

    done = ran("predict", model, *support, tmp_path / "asked.csv")

    assert [line.split("\t")[::2] for line in done.stdout.splitlines()] == [
        ["b", "mine/b/5.wav"],
        ["a", "mine/a/0.wav"],
    ]
    for words, message in (
        ((*support, tmp_path / "gone.csv"), "'gone.wav' cannot be used: there is no such file"),
        (("--support", tmp_path / "gone.csv", tmp_path / "asked.csv"), "there is no such file"),
        (("--support", tmp_path / "no_rate.npz", tmp_path / "asked.csv"), "has no rate"),
        ((*support, tmp_path / "no_rate.npz"), "has no rate"),
    ):
        refused = ran("predict", model, *words)
        assert refused.exit_code != 0
        assert re.search(message, f"{refused.output}{refused.exception}")


def test_rows_of_a_table_that_cannot_be_used_are_left_out_if_asked(
    model: Path, tables: dict[str, Path], tmp_path: Path
) -> None:
    asked = tmp_path / "asked.csv"
    asked.write_text("path\ngone.wav\nmine/b/5.wav\n")
    words = ("predict", model, "--support", tables["mine"], asked)
    done = ran(*words, "--skip-unreadable")
    assert [line.split("\t")[::2] for line in done.stdout.splitlines()] == [["b", "mine/b/5.wav"]]
    assert "left out: recording 'gone.wav' cannot be used: there is no such file" in done.stderr
    refused = ran(*words)
    assert "--skip-unreadable" in f"{refused.output}{refused.exception}"


def test_a_zip_of_anything_else_holds_no_recordings(
    model: Path, tables: dict[str, Path], tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "notes.zip", "w") as packed:
        packed.writestr("a.txt", "text")
    done = ran("predict", model, "--support", tables["mine"], tmp_path / "notes.zip")
    assert "holds no recordings" in f"{done.output}{done.exception}"


def test_of_a_long_recording_the_loudest_part_is_used_and_that_is_said(
    model: Path, tables: dict[str, Path], tmp_path: Path
) -> None:
    long = np.zeros(12 * RATE)
    word = tune(51, 0, 7)
    long[5 * RATE : 5 * RATE + len(word)] = word
    (tmp_path / "long.wav").write_bytes(encoded(long))
    done = ran("predict", model, "--support", tables["mine"], tmp_path / "long.wav")
    assert done.exit_code == 0, done.output
    assert "1 are longer than 10 s: the loudest 10 s of each are used" in done.stderr
    estimator = load(model).fit(*new_words())
    with pytest.warns(UserWarning, match="longer than 10 s"):
        estimator.predict([str(tmp_path / "long.wav")])
    (tmp_path / "mine" / "b" / "9.wav").write_bytes(encoded(long))
    fitted = ran("fit", model, "--support", tmp_path / "mine", "--out", tmp_path / "mine.metaloop")
    assert fitted.exit_code == 0 and "longer than 10 s" in " ".join(fitted.output.split())


def test_a_single_word_is_learned_and_told_from_others(
    model: Path, tables: dict[str, Path], tmp_path: Path
) -> None:
    mine = tmp_path / "mine.metaloop"
    shutil.rmtree(tables["mine"] / "b")
    fitted = ran("fit", model, "--support", tables["mine"], "--out", mine)
    assert fitted.exit_code == 0 and "1 class from 3 examples" in fitted.stdout, fitted.output
    done = ran("predict", mine, tables["words.npz"])
    assert {line[0] for line in done.stdout.splitlines()} == {"a"}
    assert "give --reject" in done.stderr
    rejecting = ran("predict", mine, tables["words.npz"], "--reject", "5%")
    assert rejecting.exit_code == 0 and "give --reject" not in rejecting.stderr
    assert {line[0] for line in rejecting.stdout.splitlines()} <= {"a", "-"}


def test_speakers_in_the_folders_of_a_support_are_no_words(
    model: Path, tables: dict[str, Path], tmp_path: Path
) -> None:
    for number, path in enumerate(sorted(tables["mine"].rglob("*.wav"))):
        moved = tmp_path / "spoken" / f"s{number % 2}" / path.parent.name / path.name
        moved.parent.mkdir(parents=True, exist_ok=True)
        moved.write_bytes(path.read_bytes())

    done = ran("predict", model, "--support", tmp_path / "spoken", tables["mine"], "--json")

    assert json.loads(done.stdout)["classes"] == ["a", "b"]


def test_recordings_that_cannot_be_read_are_left_out_if_asked(
    model: Path, tables: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "text.wav").write_text("text")
    asked = ("predict", model, "--support", tables["mine"], tmp_path / "text.wav", tables["mine"])

    for how in ((), ("--window", "0.5s")):
        skipped = ran(*asked, *how, "--skip-unreadable")
        assert skipped.exit_code == 0, skipped.output
        assert "text.wav" not in skipped.stdout and "mine" in skipped.stdout
        assert ran(*asked, *how).exit_code != 0


def test_words_are_printed_as_soon_as_their_file_is_done(
    model: Path, tables: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    estimator = load(model)
    assert isinstance(estimator, FewShotClassifier)
    estimator.fit(*new_words())
    read: list[str] = []

    def noted(path: Path, *lengths: float) -> Iterator[Windows]:
        read.append(path.name)
        return windows_of(path, *lengths)

    monkeypatch.setattr(listening, "windows_of", noted)
    rows = listening.listen(estimator, [tables["mine"]], "0.5s", "0.1s", 0.0)

    assert Path(next(rows)["input"]).name == "0.wav" and read == ["0.wav"]
    assert {Path(row["input"]).name for row in rows} == {f"{n}.wav" for n in range(1, 6)}


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
    rejecting = CliRunner().invoke(app, [*asked, "--window", "500ms", "--reject", "5%"])
    silent = CliRunner().invoke(app, [*asked, "--window", "500ms", "--reject", "0.1%"])
    stepping = CliRunner().invoke(app, [*asked, "--step", "0.2s"])

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
    assert "leave --step away" in str(stepping.exception) + stepping.output
    assert rejecting.exit_code == 0, rejecting.output
    assert len(silent.stdout.splitlines()) <= len(rejecting.stdout.splitlines())


def test_a_word_from_the_microphone_is_told_once_as_soon_as_two_windows_say_it(model: Path) -> None:
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
    assert all(0.59 < row["end"] - row["start"] < 1.11 for row in found)
    pieces = np.array_split(samples, len(samples) // 1600)
    assert not list(hear(estimator, pieces, "0.5s", 0.0, least_evidence=np.inf))
    assert len(list(hear(estimator, pieces, "0.5s", 1.1, least_evidence=-np.inf))) >= len(found)


def test_what_cannot_be_heard_is_refused_in_one_line(model: Path) -> None:
    for arguments, message in (
        ([], "or listen to the microphone alone"),
        (["some.wav", "--microphone"], "or listen to the microphone alone"),
    ):
        done = CliRunner().invoke(app, ["predict", str(model), *arguments])
        assert done.exit_code != 0 and message in f"{done.output}{done.exception}"


@pytest.mark.long
def test_learn_races_views_of_recordings_and_its_model_hears_new_words(tmp_path: Path) -> None:
    data = write_words(tmp_path / "words", words=20, takes=7)
    few: dict[str, Any] = dict.fromkeys(("episodes", "race_episodes", "round_episodes"), 40)
    learners = ("nearest_centroid", "protonet", "simpleshot")
    settings = Settings(learners=learners, **few, final_episodes=60, test_episodes=60)

    run = learn(
        data, out=tmp_path / "run", budget="40steps", ways=3, queries=3, workers=1,
        backbone="none", settings=settings, progress=False,
    )  # fmt: skip

    assert run.test is not None and run.test.value > 0.5
    assert any("log_mel" in str(row) for row in run.leaderboard.table)
    fitted = load(run.path).fit(*new_words())
    assert fitted.predict([tune(51, 0, 9), tune(50, 0, 9)]).tolist() == ["b", "a"]
