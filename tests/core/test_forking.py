"""A process that has computed may be forked: its children compute, and hang nowhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from metaloop.core import forking
from metaloop.core.errors import MetaloopError
from metaloop.core.forking import ForkableLock, check_device

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

_LOCKED = """
import os, threading
from metaloop.core.forking import ForkableLock
lock, held, free = ForkableLock(), threading.Event(), threading.Event()

def hold():
    with lock:
        held.set()
        free.wait()

threading.Thread(target=hold).start()
held.wait()
child = os.fork()
if not child:
    with lock, lock:
        os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
free.set()
"""

# Both OpenMPs, torch's and scikit-learn's, have threads before the fork.
_COMPUTED = """
import os, numpy, torch
import metaloop.core.forking
from sklearn.metrics import pairwise_distances_argmin

torch.set_num_threads(2)
numbers = torch.rand(600, 600)
images = torch.rand(8, 3, 64, 64)
weights = torch.rand(16, 3, 3, 3)

def compute():
    convolved = torch.nn.functional.conv2d(images, weights).sum()
    nearest = pairwise_distances_argmin(numbers.numpy(), numbers.numpy()[::-1])
    return float(convolved + (numbers @ numbers).sum() + numbers.exp().sum() + nearest.sum())

expected = compute()
child = os.fork()
if not child:
    alike = abs(compute() - expected) < 1e-3 * abs(expected)
    os._exit(7 if alike and torch.get_num_threads() == 1 else 8)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
assert torch.get_num_threads() == 2
"""


def _run(program: str, folder: Path) -> str:
    """What a program prints; one that hangs is ended, with its children, and fails."""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            printed, errors = process.communicate(timeout=100)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            pytest.fail("it hangs")
    assert process.returncode == 0, errors
    return printed.strip()


def test_a_lock_that_another_thread_holds_is_free_in_a_child(tmp_path: Path) -> None:
    assert _run(_LOCKED, tmp_path) == "7"


def test_what_computed_on_threads_computes_on_one_in_a_child(tmp_path: Path) -> None:
    assert _run(_COMPUTED, tmp_path) == "7"


def test_a_lock_is_released_by_an_error_too() -> None:
    lock = ForkableLock()
    with pytest.raises(KeyError), lock:
        raise KeyError
    with lock:
        pass


def test_only_a_child_must_not_use_an_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    check_device(torch.device("cuda"))
    monkeypatch.setattr(forking, "_forked", True)
    check_device(torch.device("cpu"))
    with pytest.raises(MetaloopError, match="a forked process cannot use; start processes by"):
        check_device(torch.device("cuda"))


def test_a_lock_may_be_taken_again_by_the_thread_that_holds_it() -> None:
    lock = ForkableLock()
    with lock, lock:
        pass
    with lock:
        pass
