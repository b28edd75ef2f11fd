"""What takes long to make and is only looked at: made once, for all of pytest's workers."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from filelock import FileLock

Made = TypeVar("Made")


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Made]) -> Made:
    """Returns what `make(folder)` made, in this process or in another worker of this session.

    Whoever comes first makes it, in a new folder; the others wait and get what it pickled.
    """
    place = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    folder = place / f"{name}-once"
    kept = folder / "made.pickle"
    with FileLock(place / f"{name}.lock"):
        if not kept.exists():
            folder.mkdir()
            made = make(folder)
            kept.write_bytes(pickle.dumps(made))
            return made
    again: Made = pickle.loads(kept.read_bytes())
    return again
