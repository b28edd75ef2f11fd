"""`evaluate` knows classes again under other names, and refuses to score what was trained on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load, save

from metaloop.core.errors import ModelFileError
from metaloop.models import load_model

Command = Callable[..., Any]
OWN = {"train": 8, "search": 5, "promotion": 5, "test": 6, "unknown": 0}


@pytest.fixture
def renamed(classes: Path, tmp_path: Path) -> Path:
    """The training folder under other names, one grey level off."""
    for number, folder in enumerate(sorted(classes.iterdir())):
        target = tmp_path / "renamed" / f"{number + 100}"
        target.mkdir(parents=True)
        for file in folder.iterdir():
            pixels = np.asarray(Image.open(file)).astype(int) + 1
            Image.fromarray(np.minimum(pixels, 255).astype(np.uint8)).save(target / file.name)
    return tmp_path / "renamed"


def test_a_folder_under_other_names_is_evaluated_on_its_own_test_classes(
    command: Command, model: Path, classes: Path, renamed: Path
) -> None:
    own = command("evaluate", model, classes, "--episodes", "20", "--json").json
    assert own["recognised"] == OWN
    again = command("evaluate", model, renamed, "--episodes", "20", "--json").json
    assert again["recognised"] == OWN
    assert again["value"] == pytest.approx(own["value"], abs=0.1) and again["units"] == 6
    said = command("evaluate", model, renamed, "--episodes", "20").out
    assert (
        "recognised 8 of train, 5 of search, 5 of promotion, 6 of test; 0 classes are new" in said
    )


def test_examples_that_were_trained_on_are_not_scored_unless_asked_for(
    command: Command, model: Path, classes: Path, new_classes: Path, tmp_path: Path
) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(new_classes, mixed)
    for folder in list(mixed.iterdir()):
        folder.rename(mixed / f"new {folder.name}")
    train = load_model(model).parts["train"]
    shutil.copy(classes / train[0] / "0.png", mixed / "new class00" / "copy.png")
    arguments = ("evaluate", model, mixed, "--ways", "3", "--episodes", "20")
    error = command(*arguments).error
    assert "1 examples of classes that the model has not seen are copies" in error
    assert "--allow-seen" in error
    report = command(*arguments, "--allow-seen", "--json").json
    assert report["recognised"]["unknown"] == 4


def test_fingerprints_of_a_file_are_those_of_its_classes(model: Path, tmp_path: Path) -> None:
    from metaloop.modelfile import read_model
    from metaloop.models.model import model_from_file

    content = read_model(model)
    assert content.fingerprints is not None
    kept = load(save(content.fingerprints))
    for name, change in (
        ("classes", kept["classes"] + 100),
        ("classes", kept["classes"] - 5),
        ("classes", kept["classes"].int()),
        ("prints", kept["prints"][:, :8]),
        ("prints", kept["prints"][:-1]),
        ("mean", kept["prints"].double()),
    ):
        object.__setattr__(content, "fingerprints", {**kept, name: change})
        with pytest.raises(ModelFileError, match="fingerprints"):
            model_from_file(content)
    object.__setattr__(content, "fingerprints", None)
    assert model_from_file(content).seen is None  # a file of the first version
