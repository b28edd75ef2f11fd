"""`predict`, `fit` and `data` read real folders as `learn` does, or refuse with a way on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from metaloop.tasks.readers import images

Command = Callable[..., Any]
HEIC_HEAD = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(300)


def labels(out: str) -> list[str]:
    return [line.split("\t")[0] for line in out.splitlines()]


def arrays_of(folder: Path) -> tuple[np.ndarray, list[str]]:
    paths = sorted(folder.glob("*/*.png"))
    pixels = [np.asarray(Image.open(path)) for path in paths]
    return np.stack(pixels), [path.parent.name for path in paths]


@pytest.fixture
def no_heif(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "heif_opener", lambda: False)


@pytest.mark.usefixtures("no_heif")
def test_heic_is_refused_with_the_remedy_by_every_verb(
    command: Command, model: Path, adapted: Path, new_classes: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(new_classes, tmp_path / "phone")
    for path in (folder / "class00").iterdir():
        path.unlink()
        path.with_suffix(".HEIC").write_bytes(HEIC_HEAD)
    remedy = "pip install 'metaloop[heic]'"
    for verb in ("data", "learn"):
        assert remedy in command(verb, folder).error
    said = command("fit", model, "--support", folder, "--out", "a").error
    assert remedy in said and "3 of 12 images" in said
    assert remedy in command("predict", adapted, folder).error
    skipped = command("predict", adapted, folder, "--skip-unreadable")
    assert skipped.code == 0 and len(skipped.out.splitlines()) == 9
    assert skipped.err.count(remedy) == 3


def test_parts_and_sessions_of_a_support_are_no_classes(
    command: Command, model: Path, new_classes: Path, tmp_path: Path
) -> None:
    for path in new_classes.glob("*/*.png"):
        for inner in (f"split/train/{path.parent.name}", f"days/{path.parent.name}/2024-05-01"):
            (tmp_path / inner).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, tmp_path / inner)
    (tmp_path / "split/test").mkdir()
    (tmp_path / "split/train/class03").rename(tmp_path / "split/test/class03")
    names = ["class00", "class01", "class02", "class03"]
    for number, folder in enumerate(("split", "days")):
        outcome = command("fit", model, "--support", folder, "--out", f"{number}", "--json")
        assert outcome.json["classes"] == names
        assert "read so: " in outcome.err
    deep = command("fit", model, "--support", "days", "--out", "d", "--classes-at", "2", "--json")
    assert deep.json["classes"] == [f"{name}/2024-05-01" for name in names]


def test_what_a_support_holds_besides_is_told(
    command: Command, model: Path, new_classes: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(new_classes, tmp_path / "support")
    os.mkfifo(folder / "class00" / "zz.png")
    (folder / "empty").mkdir()
    shutil.copy(folder / "class01" / "0.png", folder / "loose.png")
    outcome = command("fit", model, "--support", folder, "--out", "a")
    assert outcome.out.startswith("4 classes from 12 examples")
    for reason in ("no regular file", "folder without images: empty", "class folder: loose.png"):
        assert reason in outcome.err
    assert all(line.startswith("metaloop: warning: ") for line in outcome.err.splitlines())


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (np.array(["a", "b", "c", "d"]).astype("S"), ["a", "b", "c", "d"]),
        (np.arange(4.0), [0, 1, 2, 3]),
        (np.arange(1, 5, dtype=">u8")[:, None], [1, 2, 3, 4]),
        (np.eye(4), [0, 1, 2, 3]),
        (np.array([False, False, True, True]), [False, True]),
    ],
    ids=["bytes", "floats", "a column", "one-hot", "truth values"],
)
def test_labels_of_every_kind_are_what_they_mean(
    command: Command, model: Path, new_classes: Path, y: np.ndarray, expected: list[Any]
) -> None:
    X, _ = arrays_of(new_classes)
    np.savez("s.npz", X=X, y=np.repeat(y, 3, axis=0))
    outcome = command("fit", model, "--support", "s.npz", "--out", "a", "--json")
    assert outcome.json["classes"] == expected
    assert outcome.err == ""
    predicted = command("predict", "a", "s.npz")
    assert set(labels(predicted.out)) <= {str(name) for name in expected}


def test_class_names_and_arrays_of_parts_are_used(
    command: Command, model: Path, new_classes: Path
) -> None:
    X, _ = arrays_of(new_classes)
    y = np.repeat(np.arange(4), 3)
    names = np.array(["ash", "oak", "elm", "fir"])
    np.savez("named.npz", X=X, y=y, class_names=names)
    np.savez("keras.npz", x_train=X[:9], y_train=y[:9], x_test=X[9:], y_test=y[9:, None])
    named = command("fit", model, "--support", "named.npz", "--out", "a", "--json").json
    assert named["classes"] == sorted(names.tolist())
    keras = command("fit", model, "--support", "keras.npz", "--out", "b", "--json").json
    assert (keras["classes"], keras["examples"]) == ([0, 1, 2, 3], 12)
    assert len(command("predict", "b", "keras.npz").out.splitlines()) == 12
    np.savez("measured.npz", X=X, y=y + 0.5)
    refused = command("fit", model, "--support", "measured.npz", "--out", "c").error
    assert "labels must be ints or strings" in refused
    np.savez("objects.npz", X=X, y=y.astype(object))
    refused = command("fit", model, "--support", "objects.npz", "--out", "c").error
    assert "save numbers or strings instead" in refused


def test_every_page_and_array_file_is_an_input(
    command: Command, model: Path, new_classes: Path, tmp_path: Path
) -> None:
    X, y = arrays_of(new_classes)
    for name in dict.fromkeys(y):
        members = [Image.fromarray(x) for x, label in zip(X, y, strict=True) if label == name]
        for folder in ("stacks", "arrays"):
            (tmp_path / folder / name).mkdir(parents=True)
        members[0].save(f"stacks/{name}/s.tif", save_all=True, append_images=members[1:])
        for number, image in enumerate(members):
            np.save(f"arrays/{name}/{number}.npy", np.asarray(image))
    expected = labels(command("predict", model, "--support", new_classes, new_classes).out)
    for kind in ("stacks", "arrays"):
        outcome = command("predict", model, "--support", kind, kind)
        assert labels(outcome.out) == expected
    assert (
        "\tstacks/class00/s.tif[2]"
        in command("predict", model, "--support", "stacks", "stacks").out
    )


def test_the_range_that_was_declared_at_fit_holds_at_predict(
    command: Command, model: Path, new_classes: Path, tmp_path: Path
) -> None:
    X, y = arrays_of(new_classes)
    for number, (image, name) in enumerate(zip(X, y, strict=True)):
        (tmp_path / "wide" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.astype(np.uint16) * 16).save(f"wide/{name}/{number:02d}.tif")
    arguments = ("fit", model, "--support", "wide", "--out", "a")
    assert "--value-range 0..4095 for 12 bits" in command(*arguments).error
    assert "such as 0..4095; got '4095'" in command(*arguments, "--value-range", "4095").error
    assert command(*arguments, "--value-range", "0..4080").code == 0
    wide = [line.split("\t")[:2] for line in command("predict", "a", "wide").out.splitlines()]
    assert command("fit", model, "--support", new_classes, "--out", "b").code == 0
    plain = command("predict", "b", new_classes).out
    assert wide == [line.split("\t")[:2] for line in plain.splitlines()]


def test_a_few_classes_are_answered_with_the_command_that_uses_them(
    command: Command, new_classes: Path
) -> None:
    for verb in ("data", "learn"):
        said = command(verb, new_classes).error
        assert "4 classes" in said and "needs at least 8" in said
        assert f"metaloop fit MODEL --support {new_classes} --out adapted.metaloop" in said


def test_data_tells_how_folders_were_understood(command: Command, classes: Path) -> None:
    for path in sorted(classes.glob("*/*.png")):
        session = f"data/{path.parent.name}/session{int(path.stem) % 2}"
        Path(session).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, session)
    report = command("data", "data", "--json").json
    assert report["classes"] == 24
    assert "48 folders named after times and takes are sessions" in report["understood"][0]
    assert "read so   48 folders" in command("data", "data").out
    deep = command("data", "data", "--classes-at", "2", "--json").json
    assert (deep["classes"], deep["groups"]) == (48, 24)


def test_a_tilde_is_the_home_folder_wherever_a_path_is_given(
    command: Command,
    model: Path,
    new_classes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    shutil.copytree(new_classes, tmp_path / "home" / "support")
    assert command("fit", model, "--support=~/support", "--out=~/a.metaloop").code == 0
    assert (tmp_path / "home" / "a.metaloop").is_file()
    assert not (tmp_path / "~").exists()
    assert len(command("predict", "~/a.metaloop", "~/support").out.splitlines()) == 12
    assert "of nobody" in command("fit", model, "--support", ".", "--out=~nobody_of_this/x").error
