"""A worker process of a run: `python -m metaloop.jobs FOLDER`, started by `LocalPool`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from metaloop.executors.base import Work
from metaloop.executors.worker import serve


def _works(folder: Path) -> Mapping[str, Work]:
    import torch  # lazy: libraries may print while they load, so the line to the parent comes first

    from metaloop.jobs.table import works_in  # lazy: the same
    from metaloop.jobs.workplace import Workplace  # lazy: the same

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    return works_in(Workplace(folder))


if __name__ == "__main__":
    serve(partial(_works, Path(sys.argv[1])))
