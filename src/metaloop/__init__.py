"""metaloop learns learning algorithms: tasks in, a learner of new tasks out.

    import metaloop as ml

    run = ml.learn("my_folder", budget="3m")  # choose, train, test; `ml.stream` yields the events
    run.model.fit(X, y).predict(X2)  # new classes from a few examples each
    run.report()  # a page about who won, by how much, and why

`select` is for one data set whose classes are all known: it chooses a whole pipeline, trains it and
says how good it is. `train` trains one learner, `evaluate` measures one, `load` opens a model file.
What can be chosen by name is in the tables `LEARNERS`, `NETS`, `VIEWS`, `DOMAINS`, `FAMILIES`,
`GENERATORS` and `PROGRAMS`.

The public names are loaded when they are first used, so that `import metaloop` costs nothing:
torch comes with the first name that needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers and editors; must agree with the table below
    from metaloop.api import Figures as Figures
    from metaloop.api import Interrupted as Interrupted
    from metaloop.api import Leaderboard as Leaderboard
    from metaloop.api import LearnResult as LearnResult
    from metaloop.api import SelectResult as SelectResult
    from metaloop.api import TableResult as TableResult
    from metaloop.api import TrainResult as TrainResult
    from metaloop.api import evaluate as evaluate
    from metaloop.api import learn as learn
    from metaloop.api import load as load
    from metaloop.api import select as select
    from metaloop.api import stream as stream
    from metaloop.api import train as train
    from metaloop.catalogue import FAMILIES as FAMILIES
    from metaloop.catalogue import LEARNERS as LEARNERS
    from metaloop.catalogue import NETS as NETS
    from metaloop.catalogue.domains import DOMAINS as DOMAINS
    from metaloop.catalogue.generators import GENERATORS as GENERATORS
    from metaloop.catalogue.programs import PROGRAMS as PROGRAMS
    from metaloop.catalogue.views import VIEWS as VIEWS
    from metaloop.core.errors import MetaloopError as MetaloopError
    from metaloop.estimators import AutoClassifier as AutoClassifier
    from metaloop.estimators import AutoRegressor as AutoRegressor
    from metaloop.estimators import FewShotClassifier as FewShotClassifier
    from metaloop.estimators import FewShotGenerator as FewShotGenerator
    from metaloop.estimators import FewShotRegressor as FewShotRegressor
    from metaloop.estimators import TrainedClassifier as TrainedClassifier
    from metaloop.estimators import TrainedTable as TrainedTable

__version__ = "0.1.0"

_MODULE_OF = {  # public name -> the module that defines it
    "AutoClassifier": "metaloop.estimators",
    "AutoRegressor": "metaloop.estimators",
    "DOMAINS": "metaloop.catalogue.domains",
    "FAMILIES": "metaloop.catalogue",
    "FewShotClassifier": "metaloop.estimators",
    "FewShotGenerator": "metaloop.estimators",
    "FewShotRegressor": "metaloop.estimators",
    "Figures": "metaloop.api",
    "GENERATORS": "metaloop.catalogue.generators",
    "Interrupted": "metaloop.api",
    "LEARNERS": "metaloop.catalogue",
    "Leaderboard": "metaloop.api",
    "LearnResult": "metaloop.api",
    "MetaloopError": "metaloop.core.errors",
    "NETS": "metaloop.catalogue",
    "PROGRAMS": "metaloop.catalogue.programs",
    "SelectResult": "metaloop.api",
    "TableResult": "metaloop.api",
    "TrainResult": "metaloop.api",
    "TrainedClassifier": "metaloop.estimators",
    "TrainedTable": "metaloop.estimators",
    "VIEWS": "metaloop.catalogue.views",
    "evaluate": "metaloop.api",
    "learn": "metaloop.api",
    "load": "metaloop.api",
    "select": "metaloop.api",
    "stream": "metaloop.api",
    "train": "metaloop.api",
}
_SUBMODULES = ("engine", "guests", "learners", "loop", "nets", "tasks")

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
