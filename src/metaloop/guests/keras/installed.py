"""Which Keras there is, on which backend it runs here, and on which it is to run elsewhere."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Any, Literal

from metaloop.core.errors import MetaloopError, missing_extra

Backend = Literal["auto", "tensorflow", "torch", "jax"]
BACKENDS: tuple[Backend, ...] = ("auto", "tensorflow", "torch", "jax")


def keras_here(what: str) -> Any:
    """Returns the module `keras`, imported here; raises `MissingExtraError` without it."""
    _check_installed("keras", what, "keras")
    if "keras" not in sys.modules and "KERAS_BACKEND" not in os.environ and not _has("tensorflow"):
        os.environ["KERAS_BACKEND"] = "torch"  # its own default is not installed
    import keras  # optional extra

    return keras


def backend_apart(asked: Backend, what: str) -> str:
    """Returns the backend for a process apart: as asked, or that of Keras here, or one there is.

    Raises `MissingExtraError`, naming the extra, if Keras or the backend is not installed.
    """
    if asked not in BACKENDS:
        raise MetaloopError(f"backend must be one of {', '.join(BACKENDS)}, got {asked!r}")
    _check_installed("keras", what, "keras")
    chosen: str = asked
    if asked == "auto":
        known = sys.modules.get("keras")
        chosen = known.backend.backend() if known else os.environ.get("KERAS_BACKEND", "")
        chosen = chosen or ("tensorflow" if _has("tensorflow") else "torch")
    if chosen == "tensorflow":
        _check_installed("tensorflow", f"{what} on TensorFlow", "tensorflow")
    return chosen


def _check_installed(module: str, what: str, extra: str) -> None:
    if not _has(module):
        raise missing_extra(what, extra)


def _has(module: str) -> bool:
    return module in sys.modules or find_spec(module) is not None
