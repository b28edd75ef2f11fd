"""What every executor does: outcomes of jobs that end and fail, progress, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from metaloop.executors.base import Executor, Job


def test_a_value_comes_back_with_the_job_that_it_belongs_to(executor: Executor, tools: Any) -> None:
    outcome = tools.run(executor, "echo", a=(1, 2), b={"c": None}, d=float("inf"))
    assert (outcome.status, outcome.message, outcome.trace) == ("done", "", "")
    assert outcome.value["arguments"] == {"a": [1, 2], "b": {"c": None}, "d": float("inf")}
    assert Path(outcome.value["folder"]).is_dir()
    assert outcome.wall_seconds >= 0 and outcome.cpu_seconds >= 0


def test_an_exception_is_a_failure_told_in_one_line(executor: Executor, tools: Any) -> None:
    outcome = tools.run(executor, "fail", text="two\nlines")
    assert (outcome.status, outcome.value) == ("failed", None)
    assert outcome.message == "ValueError: two lines"
    assert 'raise ValueError(arguments["text"])' in outcome.trace
    assert tools.run(executor, "leave").message == "SystemExit: no way"
    assert tools.run(executor, "echo").status == "done"


def test_a_message_without_end_is_cut(executor: Executor, tools: Any) -> None:
    message = tools.run(executor, "fail", text="x" * 1_000_000).message
    assert message.startswith("ValueError: xxx") and len(message) < 2000


def test_an_unknown_work_is_a_failure_that_names_near_ones(executor: Executor, tools: Any) -> None:
    outcome = tools.run(executor, "ecko")
    assert outcome.status == "failed" and "did you mean 'echo'" in outcome.message


def test_a_value_that_is_no_json_mapping_is_a_failure(executor: Executor, tools: Any) -> None:
    assert tools.run(executor, "wrong", value=1).message.startswith("TypeError: ")
    assert tools.run(executor, "wrong").message == (
        "TypeError: work 'wrong' returned a list, not a mapping"
    )


def test_progress_comes_back_in_order_and_once(executor: Executor, tools: Any) -> None:
    outcome = tools.run(executor, "count", up_to=5)
    events = executor.events()
    assert [event.content for event in events] == [{"number": n} for n in range(5)]
    assert all(event.job is outcome.job for event in events)
    assert executor.events() == []


def test_cpu_seconds_are_those_of_the_job(executor: Executor, tools: Any) -> None:
    outcome = tools.run(executor, "burn", cpu_seconds=0.2)
    assert 0.2 <= outcome.cpu_seconds <= outcome.wall_seconds + 0.05


def test_a_second_job_for_one_worker_is_refused(executor: Executor, tools: Any) -> None:
    assert executor.free == executor.num_workers == 1
    executor.submit(Job(0, "echo", {}))
    assert executor.free == 0
    with pytest.raises(RuntimeError, match="no worker is free"):
        executor.submit(Job(1, "echo", {}))
    assert tools.next_outcome(executor).job.number == 0
    assert executor.free == 1


def test_arguments_that_json_lacks_are_refused_and_the_worker_stays_free(
    executor: Executor,
) -> None:
    with pytest.raises(TypeError, match="JSON"):
        executor.submit(Job(0, "echo", {"value": object()}))
    assert executor.free == 1
    assert executor.wait(0.0) == []


def test_waiting_for_nothing_takes_no_time(executor: Executor) -> None:
    assert executor.wait(1e6) == []


def test_a_closed_executor_takes_no_job(executor: Executor) -> None:
    with executor:
        executor.submit(Job(0, "echo", {}))
    executor.close()
    with pytest.raises(RuntimeError, match="closed"):
        executor.submit(Job(1, "echo", {}))


def test_what_a_job_does_to_its_worker_is_told_and_the_next_one_runs(
    pool: Executor, tools: Any
) -> None:
    outcome = tools.run(pool, "die", code=3)
    assert outcome.status == "crashed" and outcome.value is None
    assert outcome.message == "its worker ended with exit code 3: these are my last words"
    assert tools.run(pool, "die", signal=9).status == "no memory"  # it was tried twice
    outcome = tools.run(pool, "burn", 1.0, cpu_seconds=0.2, hang=True)
    assert (outcome.status, outcome.message) == ("timed out", "ended after 1 s")
    assert outcome.wall_seconds >= 1 and pool.cpu_seconds >= 0.2
    assert tools.run(pool, "echo").value["threads"] == "1"


def test_closing_ends_what_runs_and_what_that_has_started(pool: Executor, tools: Any) -> None:
    pool.submit(Job(0, "hang", {}))
    pids = tools.first_event(pool)["pids"]
    assert all(map(tools.is_alive, pids))
    pool.close()
    tools.wait_until(lambda: not any(map(tools.is_alive, pids)))
