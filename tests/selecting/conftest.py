"""Small sets of images whose classes differ in where a square is: mirrored they stay the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from metaloop.tasks.readers import read_arrays
from metaloop.tasks.store import Reading

Images = Callable[..., tuple[np.ndarray, list[str]]]


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever a run writes goes to the folder of its test."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def squares() -> Images:
    """Makes `each` noisy images of each class; `mirrored` ones have the square left or right."""

    def make(
        each: int = 20, seed: int = 0, classes: int = 3, mirrored: bool = False
    ) -> tuple[np.ndarray, list[str]]:
        places = [(4, 0), (4, 8)] if mirrored else [(0, 4), (4, 4), (8, 4), (4, 0)]
        rng = np.random.default_rng(seed)
        names = [f"class {c}" for c in range(classes) for _ in range(each)]
        images = rng.integers(0, 90, (len(names), 12, 12, 3), dtype=np.uint8)
        for row, name in enumerate(names):
            top, left = places[int(name[-1])]
            images[row, top : top + 4, left : left + 4] += 120
        return images, names

    return make


@pytest.fixture(scope="session")
def reading(squares: Images) -> Reading:
    """Three classes of 20 images, in no parts."""
    return read_arrays(*squares(), name="squares", image_size=12)
