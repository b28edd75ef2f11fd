"""`select` from data to a classifier: chosen, trained, tested once, and used."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import metaloop as ml
from metaloop.archive import Archive
from metaloop.cli import run as command
from metaloop.core.errors import DataError, MetaloopError, ModelFileError
from metaloop.domains.images.lite0 import packaged_file
from metaloop.modelfile import read_model, write_model
from metaloop.selecting import SelectSettings
from metaloop.tasks.readers import read_arrays
from metaloop.tasks.store import Reading

Images = Callable[..., tuple[np.ndarray, list[str]]]

QUICK = SelectSettings(proxy_steps=8, search_share=0.3)
ASKED: dict[str, Any] = {"budget": "60steps", "workers": 1, "settings": QUICK, "progress": False}


@pytest.fixture(scope="module")
def run(reading: Reading, tmp_path_factory: pytest.TempPathFactory) -> ml.SelectResult:
    """A run that ended."""
    return ml.select(reading, out=tmp_path_factory.mktemp("run") / "out", **ASKED)


def test_easy_images_are_told_apart(run: ml.SelectResult) -> None:
    assert run.status == "finished" and run.test is not None
    assert run.test.value > 0.9 and run.test.better_than_chance
    assert run.test.examples == 12 and run.test.chance == pytest.approx(1 / 3)
    assert run.content["search"]["tried"] >= 2
    assert 0 < run.content["search"]["cpu_seconds"] < run.cpu_seconds


def test_the_figure_is_that_of_the_model_on_the_sealed_examples(
    run: ml.SelectResult, reading: Reading
) -> None:
    from metaloop.tasks.labelled import labelled_set

    inputs, targets = labelled_set(reading)[0].part("test")
    names = np.array([one.name for one in reading.store.classes])[targets.numpy()]
    assert run.test is not None
    images = inputs.permute(0, 2, 3, 1).numpy()
    assert run.model.score(images, names) == pytest.approx(run.test.value)


def test_test_was_opened_once_after_all_was_chosen_and_once_for_each_baseline(
    run: ml.SelectResult,
) -> None:
    with Archive.open(run.archive, read_only=True) as archive:
        openings = archive.openings()
        trials = archive.trials()
    plain = [row["candidate"] for row in run.content["leaderboard"] if row["baseline"]]
    assert [one.subject for one in openings] == [*plain, run.content["best"]["candidate"]]
    trained = [one for one in trials if one.trial.candidate not in plain]
    assert max(one.ended or "" for one in trained) <= openings[0].opened


def test_a_loaded_model_predicts_files_as_the_run_s_own_does(
    run: ml.SelectResult, squares: Images, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, names = squares(each=1, seed=5)
    for name, image in zip(names, images, strict=True):
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    files = [str(tmp_path / f"{name}.png") for name in names]
    loaded = ml.load(run.out)
    assert isinstance(loaded, ml.TrainedClassifier)
    shares = loaded.predict_proba(files)
    assert np.allclose(shares.sum(1), 1)
    assert np.allclose(shares, run.model.predict_proba(images))
    assert loaded.predict(files).tolist() == names
    assert command(["predict", str(run.path), *files]) == 0
    assert [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()] == names


def test_an_image_is_judged_alone_as_in_a_batch(run: ml.SelectResult, squares: Images) -> None:
    images, _ = squares(each=4, seed=6)
    together = run.model.predict_proba(images)
    alone = np.concatenate([run.model.predict_proba(image[None]) for image in images])
    assert np.allclose(together, alone, atol=1e-5)


def test_one_seed_and_one_worker_give_one_model(run: ml.SelectResult, reading: Reading) -> None:
    again = ml.select(reading, out="again", **ASKED)
    one, other = (read_model(each.path).weights for each in (run, again))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert again.test == run.test


def test_mirror_images_are_left_out_where_they_confuse_classes(squares: Images) -> None:
    images = read_arrays(*squares(each=60, classes=2, mirrored=True), image_size=12)
    enough = SelectSettings(proxy_steps=24, search_share=0.5)  # that a proxy can tell
    asked = {**ASKED, "budget": "240steps", "settings": enough}
    run = ml.select(images, out="mirrored", **asked)
    assert run.content["best"]["plan"]["augmentation"]["flip"] is False
    assert run.test is not None and run.test.value > 0.9


def test_shuffled_labels_end_at_chance(squares: Images) -> None:
    images, names = squares(each=100, seed=1)
    shuffled = np.random.default_rng(2).permutation(names)
    run = ml.select(read_arrays(images, shuffled, image_size=12), out="shuffled", **ASKED)
    assert run.test is not None and run.test.examples == 60
    assert abs(run.test.value - 1 / 3) < 3 * (2 / 9 / 60) ** 0.5  # three standard errors


def test_an_interrupted_run_goes_on_without_training_anything_again(reading: Reading) -> None:
    asked_so_often = iter(range(1000))
    first = ml.select(reading, out="run", stop=lambda: next(asked_so_often) > 3, **ASKED)
    assert first.status == "interrupted" and first.test is None
    with pytest.raises(ModelFileError, match="resume=True"):
        _ = first.path
    run = ml.select(reading, out="run", resume=True, **ASKED)
    assert run.status == "finished" and run.test is not None and run.test.value > 0.9
    with Archive.open(run.archive, read_only=True) as archive:
        finished = [t for t in archive.trials() if t.trial.status == "finished"]
    pairs = [(one.trial.candidate, one.trial.rung) for one in finished]
    assert len(set(pairs)) == len(pairs) > 2


def test_data_that_changed_is_not_gone_on_with(reading: Reading) -> None:
    asked_so_often = iter(range(1000))
    ml.select(reading, out="run", stop=lambda: next(asked_so_often) > 3, **ASKED)
    inputs = reading.store.inputs.clone()  # type: ignore[union-attr]
    inputs[0] = 0
    changed = dataclasses.replace(reading, store=dataclasses.replace(reading.store, inputs=inputs))
    with pytest.raises(MetaloopError, match="changed since this run began"):
        ml.select(changed, out="run", resume=True, **ASKED)


def test_what_an_archive_knows_makes_the_next_choice_cheaper(
    run: ml.SelectResult, squares: Images
) -> None:
    other = read_arrays(*squares(seed=9, classes=4), name="others", image_size=12)
    asked = {**ASKED, "settings": dataclasses.replace(QUICK, informed_share=0.15)}
    later = ml.select(other, out="later", archive=run.archive, **asked)
    assert later.content["search"]["tried"] < run.content["search"]["tried"]
    assert later.test is not None and later.test.value > 0.8


def test_two_classes_that_learn_refuses_are_for_select(
    squares: Images, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, names = squares(each=12, classes=2)
    np.savez(tmp_path / "two.npz", X=images, y=names)
    with pytest.raises(DataError, match=r"metaloop select two\.npz"):
        ml.learn("two.npz", out="learned", budget="2steps")
    code = command(["select", "two.npz", "--budget", "30steps", "--workers", "1", "--json"])
    assert code == 0 and '"finished"' in capsys.readouterr().out


def test_the_page_tells_of_classes_and_examples_and_not_of_episodes(run: ml.SelectResult) -> None:
    page = run.report().read_text()
    assert "told 3 classes apart" in page and "12 examples of test" in page
    assert "never seen" not in page and "12 episodes" not in page


@pytest.fixture
def odd(squares: Images) -> Path:
    """Images of 16 bits, CMYK, animated, of one pixel; one is too large to be opened."""
    images, names = squares(each=6, classes=2)
    for row, (name, pixels) in enumerate(zip(names, images, strict=True)):
        folder = Path("odd") / name
        folder.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(pixels)
        if row % 6 == 0:
            image.convert("CMYK").save(folder / f"{row}.jpg")
        elif row % 6 == 1:
            other = Image.fromarray(255 - pixels)
            image.save(folder / f"{row}.gif", save_all=True, append_images=[other])
            with Image.open(folder / f"{row}.gif") as animation:
                assert getattr(animation, "n_frames", 1) == 2
        elif row % 6 == 2:
            image.resize((1, 1)).save(folder / f"{row}.png")
        elif row % 6 == 3:
            Image.fromarray(pixels.mean(2).astype(np.uint16) * 257).save(folder / f"{row}.png")
            with Image.open(folder / f"{row}.png") as deep:
                assert deep.mode == "I;16"
        else:
            image.save(folder / f"{row}.png")
    Image.new("1", (20_000, 20_000)).save(Path("odd") / "class 0" / "huge.png")
    return Path("odd")


@pytest.mark.parametrize(
    "backbone",
    [
        "none",
        pytest.param(
            "lite0@32",
            marks=pytest.mark.skipif(packaged_file() is None, reason="needs 'metaloop[backbones]'"),
        ),
    ],
)
def test_odd_images_are_read_or_left_out_and_counted(
    backbone: str,
    odd: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """From reading to a prediction, on pixels and through a real backbone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    asked = ["--budget", "4steps", "--workers", "1", "--backbone", backbone, "--quiet"]
    assert command(["select", str(odd), *asked, "--out", "run"]) == 0
    printed = capsys.readouterr()
    assert "test: " in printed.out and "unreadable image: class 0/huge.png" in printed.err
    good = sorted(str(path) for path in odd.rglob("[0-9]*.*"))
    assert command(["predict", "run/model.metaloop", *good]) == 0
    told = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[-1] for line in told] == good
    assert {line[0] for line in told} <= {"class 0", "class 1"}
    assert command(["predict", "run/model.metaloop", str(odd / "class 0" / "huge.png")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "million pixels" in line


def test_a_classifier_is_no_learner_of_new_classes(
    run: ml.SelectResult, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelFileError, match="learns no new ones"):
        ml.FewShotClassifier.load(run.path)
    assert command(["evaluate", str(run.path), "glyphs"]) == 2
    assert "learns no new ones" in capsys.readouterr().err


def test_a_file_whose_weights_do_not_fit_its_pipeline_is_refused(run: ml.SelectResult) -> None:
    content = read_model(run.path)
    for changed in (
        {"weights": {**content.weights, "head.weight": torch.zeros(3, 5)}},
        {"weights": {k: v for k, v in content.weights.items() if k != "head.bias"}},
        {"weights": {**content.weights, "head.bias": torch.full((3,), torch.nan)}},
        {"classes": ("a", "b")},
        {"classes": ("a", "b", "b")},
    ):
        write_model("bad.metaloop", dataclasses.replace(content, **changed), overwrite=True)  # type: ignore[arg-type]
        with pytest.raises(ModelFileError, match=r"does not fit|damaged"):
            ml.load("bad.metaloop")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "does not exist"),
        (["glyphs.csv"], "Name it with --target NAME; there are 'label', 'a'"),
        (["two.npz", "--budget", "-1s"], "a positive time"),
        (["two.npz", "--archive", "nowhere.sqlite"], "nowhere.sqlite"),
        (["new.npz"], "its test part has 1 classes that train lacks, first 'class 2'"),
    ],
)
def test_what_a_user_can_mend_is_one_line(
    words: list[str], said: str, squares: Images, capsys: pytest.CaptureFixture[str]
) -> None:
    images, names = squares(each=4)
    np.savez("two.npz", X=images, y=names)
    sealed = np.isin(np.arange(len(names)), [0, 4, 8, 9, 10, 11])  # of the last class, all
    np.savez("new.npz", X=images, y=names, split=np.where(sealed, "test", "train"))
    Path("glyphs.csv").write_text("label,a\n" + "x,1\ny,2\n" * 8)
    assert command(["select", *words, "--out", "out"]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert said in line and line.startswith("metaloop: ")
