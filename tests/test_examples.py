"""The examples run as they stand, on a small budget."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from tests.conftest import make_reading

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.long
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(example: Path, tmp_path: Path) -> None:
    """Runs the file as a user would, in a fresh folder, and expects figures."""
    for library in ("keras", "gensim"):
        if library in example.stem and importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed: pip install 'metaloop[{library}]'")
    budget = "300steps" if "regression" in example.stem else "10s"
    arguments = [str(small_images(tmp_path / "images"))] if "images" in example.stem else []
    done = subprocess.run(
        [sys.executable, str(example), *arguments, "--budget", budget],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert any(character.isdigit() for character in done.stdout)


def small_images(folder: Path) -> Path:
    """Returns a folder of 24 classes of 12 images of 8 x 8: those of the example are larger."""
    store = make_reading().store
    for number, (image, label) in enumerate(zip(store.inputs, store.targets, strict=True)):
        place = folder / f"class {label:02d}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0].numpy()).save(place / f"{number}.png")
    return folder


def test_there_are_examples() -> None:
    """Fails when the folder is moved and the test above would run nothing."""
    assert [path.name[:3] for path in EXAMPLES] == [f"0{number}_" for number in range(1, 8)]
