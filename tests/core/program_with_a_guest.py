"""Fits a guest in a process of its own, says which, and waits (with `hang`, until that is done)."""

from __future__ import annotations

import sys
import threading
import time

import numpy as np

from metaloop.core.guest_process import guest_process
from metaloop.core.remote_guest import RemoteGuest

environment = {"PYTHONPATH": sys.argv[1]}
print(guest_process("guest_that_obeys", environment).pid, flush=True)  # noqa: T201
if sys.argv[2] == "hang":
    guest = RemoteGuest("guest_that_obeys", {"does": "hangs"}, 0, environment=environment)
    arguments = (np.zeros((2, 1)), np.zeros((2, 1)), 0)
    threading.Thread(target=guest.adapt, args=arguments, daemon=True).start()
    time.sleep(0.5)
    print("hanging", flush=True)  # noqa: T201
    time.sleep(600)
