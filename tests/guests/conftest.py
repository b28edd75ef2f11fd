"""What tests of guests share: Keras on its torch backend, or a reason to skip."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from metaloop.core.guest_process import end_guests
from metaloop.tasks.readers import read_arrays
from metaloop.tasks.store import Reading


@pytest.fixture(scope="session")
def keras() -> Any:
    """Keras on torch; skips where it is not installed, or runs on another backend."""
    if importlib.util.find_spec("keras") is None:
        pytest.skip("Keras is not installed: pip install 'metaloop[keras]'")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    if keras.backend.backend() != "torch":
        pytest.skip(f"Keras runs on {keras.backend.backend()}, these tests are about torch")
    return keras


@pytest.fixture(autouse=True, scope="module")
def no_guest_is_left() -> Iterator[None]:
    """Ends the processes of guests that a module has started."""
    yield
    end_guests()


@pytest.fixture(scope="session")
def images() -> Reading:
    """24 classes of 12 grey images of 12 x 10 pixels: a pattern each, with noise."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(24), 12)
    patterns = np.kron(rng.integers(0, 255, (24, 6, 5)), np.ones((1, 2, 2)))
    pixels = np.clip(patterns[labels] + rng.normal(0, 25, (len(labels), 12, 10)), 0, 255)
    return read_arrays(pixels.astype(np.uint8), labels, name="patterns", image_size=12)


@pytest.fixture(scope="session")
def vectors() -> Reading:
    """24 classes of 12 vectors of 6 numbers."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(24), 12)
    numbers = rng.normal(size=(24, 6))[labels] + 0.3 * rng.normal(size=(len(labels), 6))
    return read_arrays(numbers, labels, name="vectors")
