"""Worker processes: jobs that hang, crash and shout are outcomes; nothing is left of a pool."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from metaloop.core.errors import MetaloopError
from metaloop.executors.base import Job
from metaloop.executors.local_pool import LocalPool
from metaloop.jobs.table import worker_command

StartPool = Callable[..., LocalPool]


@pytest.mark.parametrize("num_workers", [3, pytest.param(16, marks=pytest.mark.long)])
def test_every_job_ends_once_whatever_the_number_of_workers(
    start_pool: StartPool, num_workers: int, tools: Any
) -> None:
    pool = start_pool(num_workers)
    waiting = [Job(number, "echo", {"number": number}) for number in range(4 * num_workers)]
    seen, pids = [], set()
    while len(seen) < 4 * num_workers:
        while waiting and pool.free:
            pool.submit(waiting.pop())
        for outcome in pool.wait(tools.patience):
            assert outcome.value is not None
            assert outcome.value["arguments"] == {"number": outcome.job.number}
            seen.append(outcome.job.number)
            pids.add(outcome.value["pid"])
    assert sorted(seen) == list(range(4 * num_workers))
    assert len(pids) <= num_workers and os.getpid() not in pids
    assert pool.free == num_workers


def test_two_workers_work_at_the_same_time(start_pool: StartPool, tools: Any) -> None:
    pool = start_pool(2)
    pool.submit(Job(0, "meet", {"me": "a", "other": "b"}, tools.patience))
    pool.submit(Job(1, "meet", {"me": "b", "other": "a"}, tools.patience))
    outcomes = pool.wait(tools.patience)
    while len(outcomes) < 2:
        outcomes += pool.wait(tools.patience)
    assert [outcome.status for outcome in outcomes] == ["done", "done"]


def test_a_failure_leaves_the_worker_where_it_is(start_pool: StartPool, tools: Any) -> None:
    pool = start_pool()
    before = tools.run(pool, "echo").value["pid"]
    tools.run(pool, "fail", text="")
    assert tools.run(pool, "echo").value["pid"] == before


@pytest.mark.parametrize("deaf", [False, True])
def test_a_job_that_hangs_is_ended_with_all_that_it_started(
    start_pool: StartPool, deaf: bool, tools: Any, clock: Any
) -> None:
    pool = start_pool()
    pool.submit(Job(0, "hang", {"deaf": deaf}, 50.0))
    worker, child = tools.first_event(pool)["pids"]
    clock.ahead += 60
    outcome = tools.next_outcome(pool)
    assert (outcome.status, outcome.value) == ("timed out", None)
    assert outcome.message == "ended after 50 s"
    assert outcome.wall_seconds >= 50.0
    assert not tools.is_alive(worker)
    tools.wait_until(lambda: not tools.is_alive(child))
    after = tools.run(pool, "echo", tools.patience)
    assert after.status == "done" and after.value["pid"] != worker


def test_the_cpu_time_of_a_job_that_was_ended_is_known(
    start_pool: StartPool, tools: Any, clock: Any
) -> None:
    pool = start_pool()
    pool.submit(Job(0, "burn", {"cpu_seconds": 0.1, "hang": True}, 50.0))
    assert tools.first_event(pool) == {"burnt": 0.1}
    clock.ahead += 60
    outcome = tools.next_outcome(pool)
    assert outcome.status == "timed out"
    assert 0.1 <= outcome.cpu_seconds < 1.0 < outcome.wall_seconds
    pool.close()
    assert pool.cpu_seconds > outcome.cpu_seconds  # two starts as well


def test_the_cpu_time_of_a_job_that_crashed_is_known(start_pool: StartPool, tools: Any) -> None:
    pool = start_pool()
    before = tools.run(pool, "burn", cpu_seconds=0.3).cpu_seconds
    outcome = tools.run(pool, "burn", cpu_seconds=0.2, die=True)
    assert outcome.status == "crashed"
    assert before >= 0.3 > outcome.cpu_seconds >= 0.2


def test_the_start_of_a_worker_is_not_in_the_time_of_its_job(
    start_pool: StartPool, tmp_path: Path, tools: Any, clock: Any
) -> None:
    slow = (
        "import pathlib, sys, time\n"
        "while not (pathlib.Path(sys.argv[1]) / 'go').exists():\n"
        "    time.sleep(0.01)\n"
        f"exec(open({str(tools.worker)!r}).read())"
    )
    pool = start_pool(command=[sys.executable, "-c", slow, str(tmp_path)])
    pool.submit(Job(0, "echo", {}, 50.0))
    clock.ahead += 100  # while it starts
    assert pool.wait(0.0) == []
    (tmp_path / "go").touch()
    assert tools.next_outcome(pool).status == "done"


def test_a_job_that_ended_in_time_is_done_though_nobody_looked(
    start_pool: StartPool, tools: Any, clock: Any
) -> None:
    pool = start_pool()
    tools.run(pool, "echo")
    pool.submit(Job(0, "echo", {}, 50.0))
    time.sleep(0.3)  # by then it has ended, or does so after the clock was set forward
    clock.ahead += 100
    assert tools.next_outcome(pool).status == "done"


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"signal": int(signal.SIGSEGV)}, "died of SIGSEGV"),
        ({"code": 3}, "ended with exit code 3"),
        ({"code": 0}, "ended with exit code 0"),
    ],
)
def test_a_worker_that_dies_is_a_crash_with_its_last_words(
    start_pool: StartPool, how: dict[str, int], words: str, tools: Any
) -> None:
    pool = start_pool()
    before = tools.run(pool, "echo").value["pid"]
    outcome = tools.run(pool, "die", **how)
    assert (outcome.status, outcome.value) == ("crashed", None)
    assert outcome.message.startswith(f"its worker {words}")
    assert outcome.message.endswith(": these are my last words")
    assert pool.free == 1
    assert tools.run(pool, "echo").value["pid"] != before


def test_a_job_whose_worker_is_killed_twice_has_too_little_memory(
    start_pool: StartPool, tools: Any
) -> None:
    pool = start_pool()
    outcome = tools.run(pool, "die", signal=int(signal.SIGKILL))
    assert (outcome.status, outcome.value) == ("no memory", None)
    assert "was killed (SIGKILL), most likely because the machine ran out" in outcome.message
    assert tools.run(pool, "echo").status == "done"


def test_what_a_crashed_worker_has_started_ends_too(start_pool: StartPool, tools: Any) -> None:
    pool = start_pool()
    assert tools.run(pool, "abandon").status == "crashed"
    child = pool.events()[0].content["pid"]
    tools.wait_until(lambda: not tools.is_alive(child))


def test_one_crash_does_not_touch_the_job_beside_it(
    start_pool: StartPool, tmp_path: Path, tools: Any
) -> None:
    pool = start_pool(2)
    pool.submit(Job(0, "wait_for", {"file": "go"}))
    assert tools.run(pool, "die", code=1).status == "crashed"
    (tmp_path / "go").touch()
    assert tools.next_outcome(pool).status == "done"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_worker_that_someone_ended_from_outside_passes_its_job_on(
    start_pool: StartPool, tmp_path: Path, tools: Any, number: int
) -> None:
    pool = start_pool()
    pool.submit(Job(0, "wait_for", {"file": "go"}))
    pid = tools.first_event(pool)["pid"]
    os.kill(pid, number)
    (tmp_path / "go").touch()
    outcome = tools.next_outcome(pool)
    assert outcome.status == "done"
    assert outcome.value is not None and outcome.value["pid"] != pid


def test_a_job_that_no_worker_has_begun_survives_a_failed_start(
    start_pool: StartPool, tmp_path: Path, tools: Any
) -> None:
    unlucky = (
        "import pathlib, sys\n"
        "mark = pathlib.Path(sys.argv[1]) / 'mark'\n"
        "mark.exists() or (mark.touch(), sys.exit(1))\n"
        f"exec(open({str(tools.worker)!r}).read())"
    )
    pool = start_pool(command=[sys.executable, "-c", unlucky, str(tmp_path)])
    assert tools.run(pool, "echo").status == "done"


def test_workers_that_cannot_start_are_an_error_that_says_why(
    start_pool: StartPool, tools: Any
) -> None:
    broken = "import sys; sys.exit('there is no such library')"
    pool = start_pool(2, command=[sys.executable, "-c", broken])
    pool.submit(Job(0, "echo", {}))
    with pytest.raises(MetaloopError, match=r"keep dying, 8 in a row.*code 1: there is no such li"):
        pool.wait(tools.patience)
    with pytest.raises(MetaloopError, match="keep dying"):
        pool.submit(Job(1, "echo", {}))


def test_crashes_are_outcomes_until_there_are_too_many_in_a_row(
    start_pool: StartPool, tools: Any
) -> None:
    pool = start_pool()
    for _ in range(5):
        assert tools.run(pool, "die", code=1).status == "crashed"
    assert tools.run(pool, "echo").status == "done"
    for _ in range(6):
        assert tools.run(pool, "die", code=1).status == "crashed"
    with pytest.raises(MetaloopError, match="6 in a row"):
        pool.wait(0.0)


@pytest.mark.parametrize(
    ("num_workers", "options", "message"),
    [
        (0, {}, "at least one worker"),
        (1, {"threads": 0}, "at least one worker"),
        (1, {"command": ["/there/is/no/such/program"]}, "cannot start a worker"),
    ],
)
def test_pools_that_cannot_be_are_refused(
    start_pool: StartPool, num_workers: int, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(MetaloopError, match=message):
        start_pool(num_workers, **options)


def test_whatever_a_job_prints_does_no_harm(start_pool: StartPool, tools: Any) -> None:
    pool = start_pool()
    outcome = tools.run(pool, "noise")
    assert (outcome.status, outcome.value) == ("done", {"read": ""})
    assert pool.events() == []


def test_a_million_characters_pass_in_every_direction(start_pool: StartPool, tools: Any) -> None:
    pool = start_pool()
    text = "é" * 1_000_000
    assert tools.run(pool, "big", text=text).value == {"text": text * 2}
    assert pool.events()[0].content == {"text": text}


def test_workers_have_the_threads_that_were_asked_for(start_pool: StartPool, tools: Any) -> None:
    assert tools.run(start_pool(threads=2), "echo").value["threads"] == "2"
    assert tools.run(start_pool(), "echo").value["threads"] == "1"


def open_files() -> set[str]:
    """What this process has open; every pipe has a number of its own."""
    found = set()
    for handle in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # that of the list itself
            found.add(os.readlink(f"/proc/self/fd/{handle}"))
    return found


def test_nothing_is_left_of_a_closed_pool(start_pool: StartPool, tools: Any) -> None:
    files, threads = open_files(), set(threading.enumerate())
    pool = start_pool(3)
    pool.submit(Job(0, "hang", {"deaf": True}))
    pids = tools.first_event(pool)["pids"]
    tools.run(pool, "die", code=1)
    tools.run(pool, "stick", 0.1)
    pool.submit(Job(1, "big", {"text": "x" * 1_000_000}))
    pool.close()
    assert pool.wait(1.0) == []  # and starts nothing anew
    assert not tools.is_alive(pids[0])
    tools.wait_until(lambda: not tools.is_alive(pids[1]))
    # what other tests have left may end meanwhile, when Python looks for garbage
    assert set(threading.enumerate()) <= threads
    assert open_files() <= files
    with pytest.raises(ChildProcessError):  # no child of this test is left, not even a zombie
        os.waitpid(pids[0], os.WNOHANG)
    pool.close()


def test_a_pool_that_is_forgotten_ends(start_pool: StartPool, tools: Any) -> None:
    pool = LocalPool([sys.executable, str(tools.worker), "."], 1)
    pid = tools.run(pool, "echo").value["pid"]
    del pool
    assert not tools.is_alive(pid)


def test_the_workers_of_a_run_start_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tools: Any
) -> None:
    (tmp_path / "random.py").write_text("raise SystemExit('not the random of Python')")
    monkeypatch.chdir(tmp_path)
    with LocalPool(worker_command(tmp_path), 1) as pool:
        outcome = tools.run(pool, "there is no such work")
    assert outcome.message.startswith("UnknownNameError: no work is called")
