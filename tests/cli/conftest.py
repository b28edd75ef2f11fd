"""A folder of image classes that are easy to tell apart, and models learned from it in a moment."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from metaloop.api import learn
from metaloop.cli import run
from metaloop.loop.settings import Settings

QUICK = ("nearest_centroid", "protonet", "simpleshot")  # the gradient learners take seconds

WORDS = (
    "parcel invoice password refund delivery account card loan flight hotel luggage weather "
    "recipe oven garden tomato piano concert ticket museum dentist fever bicycle tyre"
)
FRAMES = ("where is my {}", "the {} does not work", "I lost my {}", "what does a {} cost")


def write_classes(root: Path, num_classes: int, examples: int, seed: int) -> Path:
    """Writes grey images of 16 pixels: a pattern of 4 by 4 squares for each class, with noise."""
    rng = np.random.default_rng(seed)
    for name in range(num_classes):
        pattern = np.kron(rng.integers(0, 255, (4, 4)), np.ones((4, 4)))
        folder = root / f"class{name:02d}"
        folder.mkdir(parents=True)
        for example in range(examples):
            pixels = np.clip(pattern + rng.normal(0, 40, (16, 16)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{example}.png")
    return root


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        assert self.code in (0, 130), self.err
        content = json.loads(self.out)
        assert isinstance(content, dict)
        return content

    @property
    def error(self) -> str:
        """The one line of a refusal."""
        assert self.code == 2, (self.code, self.err)
        assert self.out == ""
        lines = self.err.splitlines()
        assert len(lines) <= 2, self.err
        assert lines[-1].startswith("metaloop: error: ")
        assert "Traceback" not in self.err and "bug in metaloop" not in self.err
        return lines[-1]


Command = Callable[..., Outcome]


@pytest.fixture
def command(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Command:
    """Runs the command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> Outcome:
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        return Outcome(code, *capfd.readouterr())

    return call


@pytest.fixture
def settle(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets `learn` choose among quick learners by few episodes, and go by further settings."""
    few: dict[str, Any] = dict.fromkeys(("episodes", "race_episodes", "round_episodes"), 40)

    def settle(**others: Any) -> None:
        settings = Settings(**{"learners": QUICK, **few, "final_episodes": 80, **others})
        monkeypatch.setattr("metaloop.api.learn", partial(learn, settings=settings))

    return settle


@pytest.fixture
def quick_catalogue(settle: Callable[..., None]) -> None:
    """Lets `learn` choose among quick learners only."""
    settle()


@pytest.fixture(scope="session")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 24 classes to learn from."""
    return write_classes(tmp_path_factory.mktemp("data") / "shapes", 24, 6, seed=1)


@pytest.fixture(scope="session")
def new_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 4 classes that no learner has seen."""
    return write_classes(tmp_path_factory.mktemp("new") / "support", 4, 3, seed=2)


@pytest.fixture(scope="session")
def model(classes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small ProtoNet of `classes`."""
    out = tmp_path_factory.mktemp("model") / "model.metaloop"
    code = run(
        [
            *("train", str(classes), "--learner", "protonet", "--image-size", "8"),
            *("--budget", "40steps", "--quiet", "--out", str(out)),
        ]
    )
    assert code == 0
    return out


@pytest.fixture(scope="session")
def adapted(model: Path, new_classes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model adapted to `new_classes`."""
    out = tmp_path_factory.mktemp("adapted") / "adapted.metaloop"
    assert run(["fit", str(model), "--support", str(new_classes), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="session")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packed lines of JSON with a text and an intent: 24 classes of 4."""
    path = tmp_path_factory.mktemp("texts") / "questions.jsonl.gz"
    rows = [
        json.dumps({"id": n, "utterance": frame.format(word), "intent": f"ask_{word}"})
        for n, (word, frame) in enumerate((w, f) for w in WORDS.split() for f in FRAMES)
    ]
    path.write_bytes(gzip.compress("\n".join(rows).encode()))
    return path


@pytest.fixture(scope="session")
def model_of_texts(questions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small ProtoNet of texts."""
    out = tmp_path_factory.mktemp("model") / "texts.metaloop"
    asked = ("--learner", "protonet", "--budget", "20steps", "--out", str(out))
    quick = ("--ways", "4", "--queries", "2", "--quiet")
    assert run(["train", str(questions), *asked, *quick]) == 0
    return out


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the real command in the folder of the test; what still runs at its end is killed."""
    started: list[subprocess.Popen[str]] = []

    def call(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "metaloop", *map(str, arguments)],
            cwd=tmp_path,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )
        started.append(process)
        return process

    yield call
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
