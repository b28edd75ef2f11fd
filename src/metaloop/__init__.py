"""metaloop learns learning algorithms: tasks in, a learner of new tasks out.

The public names are loaded when they are first used, so that `import metaloop` costs nothing:
torch comes with the first name that needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers and editors; must agree with the table below
    from metaloop.core.errors import MetaloopError as MetaloopError

__version__ = "0.1.0"

_MODULE_OF = {  # public name -> the module that defines it
    "FewShotClassifier": "metaloop.estimators",
    "FewShotRegressor": "metaloop.estimators",
    "MetaloopError": "metaloop.core.errors",
    "learn": "metaloop.loop",
}
_SUBMODULES = ("engine", "learners", "nets", "tasks")

__all__ = ["__version__", *_MODULE_OF, *_SUBMODULES]


def __getattr__(name: str) -> Any:
    """Returns a public name, loading its module (PEP 562); raises `AttributeError`."""
    if name in _MODULE_OF:
        value = getattr(import_module(_MODULE_OF[name]), name)
        globals()[name] = value
        return value
    if name in _SUBMODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Returns the public names, loaded or not."""
    return sorted(__all__)
