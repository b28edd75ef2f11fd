"""The examples run as they stand, on a small budget."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.long
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(example: Path, tmp_path: Path) -> None:
    """Runs the file as a user would, in a fresh folder, and expects figures."""
    if "keras" in example.stem and importlib.util.find_spec("keras") is None:
        pytest.skip("Keras is not installed: pip install 'metaloop[keras]'")
    budget = "300steps" if "regression" in example.stem else "20steps"
    done = subprocess.run(
        [sys.executable, str(example), "--budget", budget],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert any(character.isdigit() for character in done.stdout)


def test_there_are_examples() -> None:
    """Fails when the folder is moved and the test above would run nothing."""
    assert [path.name[:3] for path in EXAMPLES] == ["01_", "02_", "03_", "04_", "05_", "06_"]
