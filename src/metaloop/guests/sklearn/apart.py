"""An estimator in a process of its own: whatever takes too long or crashes ends there.

It goes there pickled, by value where it is of the caller's own program, through a pipe to a child
of this process; no file is ever unpickled. What comes back are numbers, or bytes of `storing.py`.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np
import torch

from metaloop.core.errors import MetaloopError
from metaloop.core.remote_guest import RemoteGuest

try:  # whichever joblib brings, on which scikit-learn stands
    from cloudpickle import dumps
except ImportError:
    from joblib.externals.cloudpickle import dumps

ESTIMATOR = "estimator"
_PROGRAM = "metaloop.guests.sklearn"
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def apart(guest: Any, seed: int, limit_seconds: float) -> RemoteGuest:
    """Returns a guest that a learner of scikit-learn has made, to be fitted in a process apart.

    Raises `MetaloopError` for an estimator that cannot travel.
    """
    try:
        pickled = dumps(guest)
    except Exception as error:  # whatever an estimator of the user's own makes it raise
        reason = " ".join(str(error).split())[:200]
        raise MetaloopError(f"the estimator cannot go to a process apart: {reason}") from error
    arrays = {ESTIMATOR: np.frombuffer(pickled, np.uint8)}
    environment = dict.fromkeys(_THREADS, str(torch.get_num_threads()))
    environment["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
    return RemoteGuest(_PROGRAM, {}, seed, arrays, environment, limit_seconds)
