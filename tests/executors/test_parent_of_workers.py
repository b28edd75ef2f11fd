"""What becomes of workers when the program that has them is killed, interrupted, or just ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import metaloop.core

SOURCE = str(Path(metaloop.core.__file__).parents[2])
WORKER = Path(__file__).with_name("worker_with_odd_works.py")
PARENT = Path(__file__).with_name("program_with_a_pool.py")


StartParent = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start_parent(tmp_path: Path) -> Iterator[StartParent]:
    """Starts the program with a pool; it is killed when the test ends."""
    parents: list[subprocess.Popen[str]] = []

    def start(work: str, how: str) -> subprocess.Popen[str]:
        parents.append(
            subprocess.Popen(
                [sys.executable, str(PARENT), str(tmp_path), str(WORKER), work, how],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": SOURCE},
                start_new_session=True,
            )
        )
        return parents[-1]

    yield start
    for parent in parents:
        parent.kill()
        parent.communicate()


def read_line(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


@pytest.mark.parametrize(
    ("work", "how"), [("wait_for", "main"), ("wait_for", "thread"), ("stick", "main")]
)
def test_workers_end_when_their_parent_is_killed(
    start_parent: StartParent, work: str, how: str, tools: Any
) -> None:
    parent = start_parent(work, how)
    pids = read_line(parent)
    assert all(tools.is_alive(pid) for pid in pids)
    parent.kill()
    tools.wait_until(lambda: not any(tools.is_alive(pid) for pid in pids))


def test_a_pool_made_in_a_thread_outlives_that_thread(
    start_parent: StartParent, tmp_path: Path
) -> None:
    parent = start_parent("wait_for", "thread")
    read_line(parent)
    (tmp_path / "go").touch()
    assert read_line(parent) == ["done", "done", 0]


def test_an_interrupt_at_the_terminal_is_the_parents_business(
    start_parent: StartParent, tmp_path: Path
) -> None:
    parent = start_parent("wait_for", "main")
    pids = read_line(parent)
    os.killpg(parent.pid, signal.SIGINT)
    for pid in pids:  # and what is sent to all processes does no harm either
        os.kill(pid, signal.SIGINT)
    time.sleep(0.3)
    (tmp_path / "go").touch()
    assert read_line(parent) == ["done", "done", 1]
    out, err = parent.communicate()
    assert (parent.returncode, out, err) == (0, "", "")


def test_workers_end_with_a_program_that_closes_nothing(
    start_parent: StartParent, tools: Any
) -> None:
    parent = start_parent("wait_for", "exit")
    pids = read_line(parent)
    out, err = parent.communicate()
    assert (parent.returncode, out, err) == (0, "", "")
    assert not any(tools.is_alive(pid) for pid in pids)
