"""Small data for calls of the library's functions, and a model that was trained in a moment."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import metaloop as ml
from metaloop.tasks.readers import read_arrays
from metaloop.tasks.store import Reading


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever a call writes goes to the folder of its test."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """SIGINT as it is at a terminal: a shell has what it starts in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def shapes(easy_images: tuple[np.ndarray, np.ndarray]) -> Reading:
    """The data of `learned_run`."""
    return read_arrays(*easy_images, name="shapes", image_size=8, polarity="as_is")


@pytest.fixture(scope="session")
def trained(shapes: Reading, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A small ProtoNet, written to a file."""
    out = tmp_path_factory.mktemp("trained") / "model.metaloop"
    return ml.train(shapes, "protonet", budget="20steps", out=out)
