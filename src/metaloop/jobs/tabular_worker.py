"""A worker process for tables: `python -m metaloop.jobs.tabular_worker FOLDER`; it needs no torch."""  # noqa: E501

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from metaloop.executors.base import Work
from metaloop.executors.worker import serve


def _works(folder: Path) -> Mapping[str, Work]:
    from metaloop.jobs.tabular import table_works  # lazy: libraries may print while they load

    return table_works(folder)


if __name__ == "__main__":
    serve(partial(_works, Path(sys.argv[1])))
