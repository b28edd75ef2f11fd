"""`VirtualPool`: a clock of its own, on which jobs take as long as they are said to."""

from __future__ import annotations

from typing import Any

from metaloop.executors.base import Job
from metaloop.executors.virtual import VirtualPool


def echo(arguments: Any, report: Any) -> Any:
    report({"seen": arguments["n"]})
    return dict(arguments)


def test_jobs_end_in_the_order_of_the_virtual_clock_which_waits_for_nobody() -> None:
    pool = VirtualPool({"echo": echo}, 3, lambda job: 10.0 * job.number, spent=lambda: 0.0)
    for number in (3, 1, 2):
        pool.submit(Job(number, "echo", {"n": number}))
    assert pool.free == 0
    assert pool.wait(5.0) == [] and pool.clock() == 5.0
    ended = [outcome.job.number for _ in range(3) for outcome in pool.wait(100.0)]
    assert ended == [1, 2, 3] and pool.clock() == 30.0
    assert pool.cpu_seconds == 60.0 and pool.free == 3
    assert [event.content["seen"] for event in pool.events()] == [1, 2, 3]


def test_the_callers_own_time_goes_by_while_workers_wait() -> None:
    spent = [0.0]
    pool = VirtualPool(
        {"echo": echo}, 2, lambda job: 10.0, overhead_seconds=0.5, spent=lambda: spent[0]
    )
    pool.submit(Job(0, "echo", {"n": 0}))
    spent[0] += 4.0  # the caller thinks
    pool.submit(Job(1, "echo", {"n": 1}))
    first, second = pool.spans
    assert (first, second) == ((0.5, 10.5), (5.0, 15.0))
    assert [outcome.job.number for outcome in pool.wait(60.0)] == [0]
    assert pool.clock() == 10.5 and pool.caller_seconds == 5.0
    spent[0] += 60.0
    assert [outcome.job.number for outcome in pool.wait(60.0)] == [1]
    assert pool.clock() == 70.5
