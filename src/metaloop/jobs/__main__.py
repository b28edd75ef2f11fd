"""A worker process of a run: `python -m metaloop.jobs FOLDER`, started by `LocalPool`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from metaloop.executors.base import Work
from metaloop.executors.worker import serve


def _work() -> Mapping[str, Work]:
    import torch  # lazy: libraries may print while they load, so the line to the parent comes first

    from metaloop.jobs.table import WORK  # lazy: the same

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    return WORK


if __name__ == "__main__":
    serve(_work, Path(sys.argv[1]))
