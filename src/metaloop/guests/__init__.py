"""Other libraries behind metaloop's contracts: one file each, and an extra that installs it.

No guest imports another, and none is imported before it is asked for: what is missing is told with
the extra that brings it.

    metaloop.guests.gensim.as_encoder(word2vec.wv)
    metaloop.guests.keras.as_layer("model.metaloop")
    metaloop.guests.sklearn.as_learner(make_pipeline(StandardScaler(), SVC()))
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_MODULES = ("gensim", "keras", "sklearn")


def __getattr__(name: str) -> Any:
    """Returns a guest's module, loading it (PEP 562); raises `AttributeError`."""
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Returns the names of the guests."""
    return sorted(_MODULES)
