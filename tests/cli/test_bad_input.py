"""What a user does wrong is answered in one line, with exit code 2 and nothing changed."""

from __future__ import annotations

import os
import resource
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from metaloop.cli import errors
from metaloop.core.errors import DivergenceError

Command = Callable[..., Any]

MISTAKES = {  # arguments, with what the line must say
    "unknown verb": (["lern"], "Did you mean 'learn'"),
    "unknown option": (["learn", "--bugdet", "3m"], "--budget"),
    "missing argument": (["predict"], "MODEL"),
    "not a number": (["learn", "CLASSES", "--ways", "five"], "--ways"),
    "negative seed": (["list", "nets", "--seed", "-1"], "--seed"),
    "missing path": (["learn", "nowhere/at/all"], "does not exist"),
    "missing name": (["data", "glyps"], "did you mean 'glyphs'"),
    "budget of zero": (["learn", "CLASSES", "--budget", "0s"], "positive time"),
    "budget of nonsense": (["learn", "CLASSES", "--budget", "soon"], "'soon'"),
    "too many ways": (["learn", "CLASSES", "--ways", "50"], "largest possible --ways is 5"),
    "one way": (["learn", "CLASSES", "--ways", "1"], "at least 2 ways"),
    "too many shots": (["learn", "CLASSES", "--shots", "50"], "lower --shots to 5"),
    "too few shots": (["learn", "CLASSES", "--shots", "0"], "at least 1"),
    "absurd image size": (["data", "CLASSES", "--image-size", "99999"], "4 to 1024"),
    "resume without a folder": (["learn", "CLASSES", "--resume"], "--out"),
    "resume nothing": (["learn", "CLASSES", "--resume", "--out", "new"], "no run to resume"),
    "no worker": (["learn", "CLASSES", "--workers", "0"], "--workers"),
    "further data that are missing": (["learn", "CLASSES", "--also", "nowhere"], "nowhere"),
    "further data without classes": (
        ["learn", "CLASSES", "--also", "sinusoid"],
        "sinusoid has no classes to share; leave --also away",
    ),
    "no archive": (["learn", "CLASSES", "--archive", "nothing.sqlite"], "nothing.sqlite"),
    "a model as an archive": (["learn", "CLASSES", "--archive", "MODEL"], "archive"),
    "unknown learner": (
        ["train", "CLASSES", "--learner", "protonte", "--out", "x"],
        "did you mean 'protonet'",
    ),
    "unknown net": (
        ["train", "CLASSES", "--learner", "protonet", "--net", "conv5", "--out", "x"],
        "did you mean 'conv4'",
    ),
    "no folder for the model": (
        ["train", "CLASSES", "--learner", "protonet", "--out", "no/x"],
        "no folder 'no'",
    ),
    "a file above the run": (["learn", "CLASSES", "--out", "MODEL/run"], "cannot write"),
    "a file as the run": (["learn", "CLASSES", "--out", "MODEL"], "is a file"),
    "unknown part": (["evaluate", "MODEL", "CLASSES", "--part", "tset"], "did you mean 'test'"),
    "no interval": (["evaluate", "MODEL", "CLASSES", "--episodes", "1"], "at least 2 episodes"),
    "other kind of task": (["evaluate", "MODEL", "sinusoid"], "regression"),
    "no model": (["evaluate", "nothing.metaloop", "CLASSES"], "no model file"),
    "model is a folder": (["predict", "NEW", "NEW"], "is a folder"),
    "no support": (["predict", "MODEL", "NEW"], "--support"),
    "missing support": (["predict", "MODEL", "NEW", "--support", "nowhere"], "does not exist"),
    "support for an adapted model": (
        ["predict", "ADAPTED", "NEW", "--support", "NEW"],
        "adapted already",
    ),
    "missing input": (["predict", "ADAPTED", "a.png"], "does not exist"),
    "input is no image": (["predict", "ADAPTED", "MODEL"], "is not an image"),
    "unknown list": (["list", "learnrs"], "did you mean 'learners'"),
    "nothing to cite": (["cite", "NEW"], "no model.metaloop"),
    "unwritable adapted model": (
        ["fit", "MODEL", "--support", "NEW", "--out", "MODEL/x"],
        "there is no folder",
    ),
    "existing adapted model": (
        ["fit", "MODEL", "--support", "NEW", "--out", "MODEL"],
        "already exists",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered_in_one_line(
    mistake: str,
    command: Command,
    classes: Path,
    model: Path,
    adapted: Path,
    new_classes: Path,
    tmp_path: Path,
) -> None:
    arguments, expected = MISTAKES[mistake]
    names = {"CLASSES": classes, "MODEL": model, "ADAPTED": adapted, "NEW": new_classes}
    before = model.read_bytes()
    spelled = []
    for argument in arguments:
        first, slash, rest = argument.partition("/")
        spelled.append(f"{names.get(first, first)}{slash}{rest}")
    assert expected in command(*spelled).error
    assert model.read_bytes() == before
    left = [path for path in tmp_path.rglob("*") if path != tmp_path / "runs"]
    assert left == []  # a run in which nothing was tried leaves nothing


def empty(folder: Path) -> None:
    pass


def one_class(folder: Path) -> None:
    (folder / "only").mkdir()
    for name in range(5):
        Image.new("L", (16, 16), 40 * name).save(folder / "only" / f"{name}.png")


def corrupt(folder: Path) -> None:
    for name in ("a", "b", "c"):
        (folder / name).mkdir()
        for number in range(3):
            (folder / name / f"{number}.png").write_bytes(b"no image")


def one_example_each(folder: Path) -> None:
    for name in range(8):
        (folder / str(name)).mkdir()
        Image.new("L", (16, 16), 30 * name).save(folder / str(name) / "0.png")


def evil_zip(folder: Path) -> None:
    with zipfile.ZipFile(folder / "data.zip", "w") as archive:
        archive.writestr("../evil/a.png", b"x")


def not_a_number(folder: Path) -> None:
    X = np.ones((40, 3))
    X[7, 1] = np.nan
    np.savez(folder / "data.npz", X=X, y=np.repeat(np.arange(8), 5))


BAD_DATA = {
    empty: "no images found",
    one_class: "at least 2 such classes",
    corrupt: "none of its 9 images can be read",
    one_example_each: "at least 2 usable examples",
    evil_zip: "points outside of it",
    not_a_number: "NaN",
}


@pytest.mark.parametrize("make", BAD_DATA)
def test_bad_data_is_refused_in_one_line(
    make: Callable[[Path], None], command: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    make(folder)
    assert BAD_DATA[make] in command("data", "data").error
    assert BAD_DATA[make] in command("learn", "data", "--out", "run").error
    assert not (tmp_path / "run").exists()


def test_an_error_with_json_leaves_stdout_empty(command: Command) -> None:
    assert "nowhere" in command("learn", "nowhere", "--json").error


def test_a_cut_model_file_is_refused(command: Command, model: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.metaloop").write_bytes(model.read_bytes()[:-200])
    assert "damaged" in command("cite", "cut.metaloop").error


def test_strict_refuses_what_would_be_left_out(
    command: Command, classes: Path, tmp_path: Path
) -> None:
    shutil.copytree(classes, tmp_path / "data")
    (tmp_path / "data" / "note.txt").touch()
    outcome = command("data", "data")
    assert outcome.code == 0
    assert outcome.err == "metaloop: warning: left out: not an image: note.txt\n"
    assert "left out  1\n  1 x not an image: note.txt" in outcome.out
    assert "note.txt" in command("data", "data", "--strict").error
    arguments = ("train", "data", "--learner", "protonet", "--budget", "1steps", "--out", "m")
    assert "note.txt" in command(*arguments, "--strict").error
    trained = command(*arguments, "--quiet", "--image-size", "8")
    assert trained.code == 0 and trained.err == outcome.err


def test_an_existing_run_is_refused_and_untouched(
    command: Command, classes: Path, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.metaloop").write_text("precious")
    assert "already holds something" in command("learn", classes, "--out", "run").error
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["model.metaloop"]
    assert (tmp_path / "run" / "model.metaloop").read_text() == "precious"


def test_an_existing_model_is_refused_before_training(
    command: Command, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = model.read_bytes()
    monkeypatch.setattr("metaloop.api.training.train_model", None)  # to call it would be an error
    arguments = ("train", "glyphs", "--learner", "protonet", "--out", model)
    assert "already exists" in command(*arguments).error
    assert "finished already" in command(*arguments, "--resume").error
    assert model.read_bytes() == before


def test_a_full_disk_is_one_line_and_keeps_what_was_there(
    start: Callable[..., Any], classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit on the size of files stands for it: writing more fails in the same way.

    No bytecode is kept meanwhile: Python would write a part and later take it for the whole.
    """
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    arguments = ("--learner", "protonet", "--image-size", "8", "--budget", "3steps", "--out", "m")
    process = start(
        "train",
        classes,
        *arguments,
        "--quiet",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2, err
    assert err.splitlines()[-1].startswith("metaloop: error: cannot write")
    assert "Traceback" not in err and len(err.splitlines()) <= 2
    assert out == "" and list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_under_stdout_is_one_line(start: Callable[..., Any]) -> None:
    with open("/dev/full", "w") as full:
        process = start("list", "nets", "--json", stdout=full)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err == "metaloop: error: No space left on device\n"


def test_a_bug_is_one_line_that_says_how_to_see_more(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> object:
        raise KeyError("a\nb")

    assert errors.guarded(broken) == 70
    assert capsys.readouterr().err == (
        "metaloop: error: this is a bug in metaloop, please report it: KeyError: 'a\\nb' "
        "(METALOOP_DEBUG=1 shows where)\n"
    )


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (MemoryError(), 2),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 2),
        (PermissionError(13, "Permission denied", "x"), 2),
        (BrokenPipeError(), 0),
        (KeyboardInterrupt(), 130),
    ],
)
def test_other_endings_have_their_codes(
    raised: BaseException, code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    def ends() -> object:
        raise raised

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(errors, "drop", lambda stream: None)
        assert errors.guarded(ends) == code
    assert len(capfd.readouterr().err.splitlines()) == (code != 0)


def test_a_diverged_training_leaves_nothing_to_resume(
    command: Command, classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverges(*_: Any, checkpoint: Path, **__: Any) -> Any:
        checkpoint.touch()
        raise DivergenceError("training diverged: the loss became nan at step 3")

    monkeypatch.setattr("metaloop.api.training.train_model", diverges)
    outcome = command("train", classes, "--learner", "protonet", "--out", "m")
    assert "diverged" in outcome.error
    assert list(tmp_path.iterdir()) == []
