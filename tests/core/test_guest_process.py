"""Guests in processes of their own: same answers, and what becomes of them when things go wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metaloop.core.errors import GuestError
from metaloop.core.guest_process import end_guests, guest_process
from metaloop.core.remote_guest import RemoteGuest

HERE = str(Path(__file__).parent)
ENVIRONMENT = {"PYTHONPATH": HERE}


@pytest.fixture(autouse=True, scope="module")
def no_guest_is_left() -> Iterator[None]:
    yield
    end_guests()


def guest(seed: int = 0, limit_seconds: float = 60.0, **recipe: Any) -> RemoteGuest:
    return RemoteGuest(
        "guest_that_obeys", recipe, seed, environment=ENVIRONMENT, limit_seconds=limit_seconds
    )


def fitted(mean: float = 0.0, seed: int = 0) -> RemoteGuest:
    inputs = np.zeros((4, 2), np.float32)
    return guest(seed).adapt(inputs, np.full((4, 1), mean), 0)


def answers(state: RemoteGuest) -> tuple[float, float, float]:
    mean, seed, pid = state.predict(state, np.zeros((1, 2), np.float32))[0].tolist()
    return mean, seed, pid


def wait_until_gone(pid: int) -> None:
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        stat = Path(f"/proc/{pid}/stat")
        if stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return  # dead, and nobody has asked yet
        time.sleep(0.05)
    raise AssertionError(f"process {pid} is still there")


def test_guests_of_one_program_share_a_process_that_is_not_this_one() -> None:
    first, second = answers(fitted(1.0, seed=5)), answers(fitted(2.0, seed=6))
    assert (first[:2], second[:2]) == ((1.0, 5), (2.0, 6))
    assert first[2] == second[2] != os.getpid()


def test_tasks_are_answered_the_same_in_whatever_order_they_come() -> None:
    states = [fitted(float(task), seed=task) for task in range(40)]  # more than are kept there
    in_order = [answers(state) for state in states]
    backwards = [answers(state) for state in reversed(states)]
    assert in_order == backwards[::-1]
    assert [mean for mean, _, _ in in_order] == list(map(float, range(40)))


def test_a_class_that_it_has_not_seen_is_impossible() -> None:
    inputs = np.array([[0.0], [1.0]], np.float32)
    state = guest().adapt(inputs, np.array([0, 2]), 3)
    logits = state.predict(state, inputs)
    assert logits.shape == (2, 3)
    assert logits.argmax(1).tolist() == [0, 2] and logits[:, 1].tolist() == [-np.inf] * 2


def test_what_a_killed_process_had_fitted_is_fitted_again_in_another() -> None:
    state = fitted(3.0)
    before = answers(state)
    process = guest_process("guest_that_obeys", ENVIRONMENT)
    os.kill(process.pid, signal.SIGKILL)
    while process.is_alive:
        time.sleep(0.01)
    after = answers(state)  # fitted again, in another process
    assert before[:2] == after[:2] and before[2] != after[2]


def test_a_crash_while_it_fits_is_one_line_with_its_last_words() -> None:
    with pytest.raises(GuestError, match=r"ended with exit code 3: last words$"):
        guest(does="exits").adapt(np.zeros((1, 1)), np.zeros((1, 1)), 0)
    assert answers(fitted(1.0))[0] == 1.0


def test_one_that_hangs_is_ended_after_its_time() -> None:
    fitted()
    start = time.monotonic()
    with pytest.raises(GuestError, match=r"longer than 0\.5 seconds"):
        guest(does="hangs", limit_seconds=0.5).adapt(np.zeros((1, 1)), np.zeros((1, 1)), 0)
    assert time.monotonic() - start < 20
    assert answers(fitted(1.0))[0] == 1.0


def test_what_it_raises_is_one_line_here_and_it_goes_on() -> None:
    pid = answers(fitted())[2]
    with pytest.raises(GuestError, match=r"^ValueError: no such thing$"):
        guest(does="raises").adapt(np.zeros((1, 1)), np.zeros((1, 1)), 0)
    assert answers(fitted())[2] == pid


def test_a_program_that_does_not_start_says_why() -> None:
    missing = RemoteGuest("no_such_program", {}, 0, environment=ENVIRONMENT)
    with pytest.raises(GuestError, match=r"No module named no_such_program"):
        missing.adapt(np.zeros((1, 1)), np.zeros((1, 1)), 0)


@pytest.mark.parametrize("doing", ["hang", "nothing"])
def test_it_dies_with_its_parent(doing: str) -> None:
    program = Path(HERE) / "program_with_a_guest.py"
    parent = subprocess.Popen(
        [sys.executable, str(program), HERE, doing], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
        if doing == "hang":
            assert parent.stdout.readline() == "hanging\n"
            parent.kill()
    parent.wait()
    wait_until_gone(pid)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_a_process_of_its_own() -> None:
    mine = answers(fitted())[2]
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            own = answers(fitted())[2]
            os.write(writer, f"{int(own)}".encode())
            end_guests()
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        theirs = int(pipe.read())
    assert os.waitpid(child, 0)[1] == 0
    assert theirs != mine
    assert answers(fitted())[2] == mine
