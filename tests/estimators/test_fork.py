"""Used in a parent, then in forked children: it answers there too, or is refused at once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

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
X = rng.random((2000, 200)).astype("float32")
y = numpy.arange(2000) % 5
X[:, 0] += 100 * y
estimator, neighbours = FewShotClassifier().fit(X, y), KNeighborsClassifier(1).fit(X, y)

def work(number):
    many = torch.sort(torch.rand(2_000_000)).values.sum()  # on several threads, where there are
    new = FewShotClassifier().fit(X, y).score(X, y) if number else estimator.score(X, y)
    return new == estimator.score(X, y) == neighbours.score(X, y) and bool(many > 0)

assert work(0)
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(work, range(4)), "threads in the parent:", torch.get_num_threads())
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
    assert done.stdout.strip() == "[True, True, True, True] threads in the parent: 2"


def _in_child(action: str) -> str:
    script = f"""
import os, threading, time
from metaloop.core.errors import MetaloopError
from metaloop.core.forking import ForkableLock, check_device
import torch
lock = ForkableLock()
def hold():
    with lock:
        time.sleep(30)
holder = threading.Thread(target=hold, daemon=True)
holder.start()
time.sleep(0.2)
child = os.fork()
if not child:
    try:
        {action}
    except MetaloopError as error:
        print(error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
os._exit(0)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        timeout=25,
        check=True,
    )
    return done.stdout.strip()


def test_a_lock_that_a_thread_of_the_parent_held_is_free_in_the_child() -> None:
    assert _in_child("lock.__enter__(); print('free', flush=True)") == "free"


def test_a_device_whose_driver_does_not_survive_a_fork_is_refused_in_one_line() -> None:
    refused = _in_child("check_device(torch.device('cuda'))")
    assert "the model is on cuda" in refused and "spawn" in refused and "\n" not in refused
    assert _in_child("print(check_device(torch.device('cpu')))") == "None"
    forking.check_device(torch.device("cuda"))  # nothing was forked here


def test_the_lock_may_be_taken_again_by_the_thread_that_holds_it() -> None:
    lock = forking.ForkableLock()
    with lock, lock:
        pass
    with pytest.raises(MetaloopError), lock:
        raise MetaloopError("the lock is free afterwards")
    with lock:
        pass
