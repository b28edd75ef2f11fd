"""`perform`: runs one job here, whatever becomes of it."""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Mapping

from metaloop.core.errors import (
    MetaloopError,
    is_of_the_machine,
    is_out_of_memory,
    unknown_name,
)
from metaloop.executors.base import Job, Outcome, OutcomeStatus, Report, Work, one_line


def perform(works: Mapping[str, Work], job: Job, report: Report) -> Outcome:
    """Returns the outcome of running the job here: an exception is `failed`.

    Arguments and value pass through JSON, so that a job sees the same wherever it runs. An
    interrupt by the user is not caught.
    """
    wall, cpu = time.perf_counter(), own_cpu_seconds()
    status: OutcomeStatus = "done"
    value, message, trace = None, "", ""
    try:
        if job.work not in works:
            raise unknown_name("work", job.work, works)
        arguments = json.loads(json.dumps(dict(job.arguments)))
        value = json.loads(json.dumps(works[job.work](arguments, report)))
        if not isinstance(value, dict):
            raise TypeError(f"work {job.work!r} returned a {type(value).__name__}, not a mapping")
    except (Exception, SystemExit) as error:
        status, value = _fault(error), None
        message = one_line(f"{type(error).__name__}: {error}")
        if isinstance(error, MetaloopError) and is_of_the_machine(error):
            message = one_line(str(error))
        trace = traceback.format_exc()
    return Outcome(
        job, status, value, message, time.perf_counter() - wall, own_cpu_seconds() - cpu, trace
    )


def _fault(error: BaseException) -> OutcomeStatus:
    if is_of_the_machine(error):
        return "machine failed"
    return "no memory" if is_out_of_memory(error) else "failed"


def own_cpu_seconds() -> float:
    """Returns user and system time of this process and of the children it has waited for."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system
