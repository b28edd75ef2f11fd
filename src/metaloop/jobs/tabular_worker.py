"""A worker process for tables: `python -m metaloop.jobs.tabular_worker FOLDER`; it needs no torch."""  # noqa: E501

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from metaloop.executors.base import Work
from metaloop.executors.worker import serve


def _works(folder: Path) -> Mapping[str, Work]:
    # lazy, all of them: libraries may print while they load. What a first fit would wait for is
    # loaded now, for the time of a fit tells that of larger ones.
    for name in ("ensemble", "linear_model", "naive_bayes", "neighbors", "neural_network", "svm"):
        import_module(f"sklearn.{name}")
    if find_spec("skops") is not None:
        import_module("skops.io")  # two seconds: not at the end, when time is short
    from metaloop.jobs.tabular import table_works  # lazy: see above

    return table_works(folder)


if __name__ == "__main__":
    serve(partial(_works, Path(sys.argv[1])))
