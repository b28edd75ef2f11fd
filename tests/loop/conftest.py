"""Small readings for whole runs of the loop, and one finished run that many tests look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metaloop.loop import Learned, learn
from metaloop.loop.events import LoopEvent
from metaloop.tasks.readers import read_arrays
from metaloop.tasks.store import Reading

BUDGET = "60steps"


def make_reading(side: int = 8, shuffled: bool = False) -> Reading:
    """Returns 24 classes x 12 images; `shuffled`: labels mean nothing.

    Patterns that all classes share drown the prototypes: raw pixels do badly, nets can learn.
    """
    rng = np.random.default_rng(0)
    prototypes = rng.normal(size=(24, 1, side, side))
    patterns = rng.normal(size=(4, side * side))
    nuisance = (rng.normal(size=(24 * 12, 4)) @ patterns).reshape(24, 12, side, side)
    images = prototypes + 1.5 * nuisance + 0.3 * rng.normal(size=(24, 12, side, side))
    labels = np.repeat(np.arange(24), 12)
    if shuffled:
        labels = rng.permutation(labels)
    pixels = np.clip(images.reshape(-1, side, side) * 14 + 128, 0, 255).astype(np.uint8)
    return read_arrays(pixels, labels, name="prototypes", polarity="as_is", image_size=side)


def run_to_end(events: Iterator[LoopEvent]) -> tuple[list[LoopEvent], dict[str, Any]]:
    """Returns all events and the report of the last one."""
    seen = list(events)
    assert isinstance(seen[-1], Learned)
    return seen, seen[-1].report


def stop_after(polls: int) -> Callable[[], bool]:
    """Returns a `stop` that becomes true when it is asked for the time after `polls`."""
    left = iter(range(polls))
    return lambda: next(left, None) is None


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[LoopEvent], Any]:
    """A run that was never interrupted: its folder, its events, its report."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    return folder, *run_to_end(learn(make_reading(), out=folder, budget=BUDGET, queries=5))


@pytest.fixture
def reading() -> Reading:
    """The reading of `finished`."""
    return make_reading()


@pytest.fixture
def tools() -> Any:
    """`make_reading`, `run_to_end` and `stop_after`."""
    from types import SimpleNamespace

    return SimpleNamespace(
        make_reading=make_reading, run_to_end=run_to_end, stop_after=stop_after, budget=BUDGET
    )
