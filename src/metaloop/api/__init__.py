"""metaloop from Python: one function for each job, which the verbs of the command line call, too.

`learn`, `select` and `train` run to the end and return a result; `stream` yields the events of
`learn` instead; `evaluate` returns figures, `load` an estimator. They are reached as
`metaloop.learn` and so on. Names are loaded when they are used, for most need torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metaloop.api.evaluating import evaluate as evaluate
    from metaloop.api.figures import Figures as Figures
    from metaloop.api.learned import Leaderboard as Leaderboard
    from metaloop.api.learned import LearnResult as LearnResult
    from metaloop.api.learning import learn as learn
    from metaloop.api.learning import stream as stream
    from metaloop.api.loading import load as load
    from metaloop.api.selected import SelectResult as SelectResult
    from metaloop.api.selecting import select as select
    from metaloop.api.stopping import Interrupted as Interrupted
    from metaloop.api.tabular import TableResult as TableResult
    from metaloop.api.trained import TrainResult as TrainResult
    from metaloop.api.training import train as train

_MODULE_OF = {  # public name -> the module that defines it
    "Figures": "metaloop.api.figures",
    "Interrupted": "metaloop.api.stopping",
    "Leaderboard": "metaloop.api.learned",
    "LearnResult": "metaloop.api.learned",
    "SelectResult": "metaloop.api.selected",
    "TableResult": "metaloop.api.tabular",
    "TrainResult": "metaloop.api.trained",
    "evaluate": "metaloop.api.evaluating",
    "learn": "metaloop.api.learning",
    "load": "metaloop.api.loading",
    "select": "metaloop.api.selecting",
    "stream": "metaloop.api.learning",
    "train": "metaloop.api.training",
}

__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> Any:
    """Returns a public name, loading its module (PEP 562); raises `AttributeError`."""
    if name in _MODULE_OF:
        return getattr(import_module(_MODULE_OF[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
