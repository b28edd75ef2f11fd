"""Used in a parent, then in forked children: it answers there too, or is refused at once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from metaloop.core import forking
from metaloop.core.errors import MetaloopError

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

# several threads in the parent: without, nothing hangs; neighbours bring an OpenMP of their own
SCRIPT = """
import multiprocessing, numpy, torch
from sklearn.neighbors import KNeighborsClassifier
from metaloop.estimators import FewShotClassifier
torch.set_num_threads(2)
rng = numpy.random.default_rng(0)
X = rng.random((1000, 100)).astype("float32")
y = numpy.arange(1000) % 5
estimator, neighbours = FewShotClassifier().fit(X, y), KNeighborsClassifier(1).fit(X, y)

def work(number):
    torch.sort(torch.rand(1_000_000)).values.sum()  # on several threads, where there are
    used = estimator if number % 2 else FewShotClassifier().fit(X, y)
    return used.score(X, y), neighbours.score(X, y)

expected = work(0)
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(work, range(4)) == [expected] * 4, torch.get_num_threads())
"""


def test_a_forked_child_computes_what_its_parent_computed() -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "True 2"  # the parent has its threads still


CHILD = """
import os, threading, time
from metaloop.core.errors import MetaloopError
from metaloop.core.forking import ForkableLock, check_device
import torch
lock, held = ForkableLock(), threading.Event()
def hold():
    with lock:
        held.set()
        time.sleep(600)
threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if not child:
    with lock:
        print("the lock is free", flush=True)
    check_device(torch.device("cpu"))
    try:
        check_device(torch.device("cuda"))
    except MetaloopError as error:
        print(error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
check_device(torch.device("cuda"))  # the parent may use it as before
os._exit(0)
"""


def test_in_a_child_locks_are_free_and_a_device_that_does_not_survive_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    free, refused = done.stdout.splitlines()
    assert free == "the lock is free"
    assert "the model is on cuda" in refused and "spawn" in refused


def test_the_lock_may_be_taken_again_by_the_thread_that_holds_it() -> None:
    lock = forking.ForkableLock()
    with lock, lock:
        pass
    with pytest.raises(MetaloopError), lock:
        raise MetaloopError("the lock is free afterwards")
    with lock:
        pass
