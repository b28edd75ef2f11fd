"""The loop: choose, train, judge; and its single steps for those who choose by themselves.

Names are loaded when they are used: a worker process takes hold of its pipes before torch loads.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metaloop.loop.events import Learned as Learned
    from metaloop.loop.events import LoopEvent as LoopEvent
    from metaloop.loop.events import Noted as Noted
    from metaloop.loop.events import Promoted as Promoted
    from metaloop.loop.events import Tried as Tried
    from metaloop.loop.events import Trying as Trying
    from metaloop.loop.learning import learn as learn
    from metaloop.loop.proposal import Generates as Generates
    from metaloop.models.evaluating import evaluate_model as evaluate_model
    from metaloop.models.evaluating import open_for as open_for
    from metaloop.models.events import DataRead as DataRead
    from metaloop.models.training import train_model as train_model

_MODULE_OF = {  # public name -> the module that defines it
    "DataRead": "metaloop.models.events",
    "Generates": "metaloop.loop.proposing",
    "Learned": "metaloop.loop.events",
    "LoopEvent": "metaloop.loop.events",
    "Noted": "metaloop.loop.events",
    "Promoted": "metaloop.loop.events",
    "Tried": "metaloop.loop.events",
    "Trying": "metaloop.loop.events",
    "evaluate_model": "metaloop.models.evaluating",
    "learn": "metaloop.loop.learning",
    "open_for": "metaloop.models.evaluating",
    "train_model": "metaloop.models.training",
}

__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> Any:
    """Returns a public name, loading its module (PEP 562); raises `AttributeError`."""
    if name in _MODULE_OF:
        return getattr(import_module(_MODULE_OF[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
