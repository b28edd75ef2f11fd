"""The table of what workers do: a name in a job, what is asked, what comes back, what is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from metaloop.executors.base import Report, Work
from metaloop.executors.local_pool import module_command
from metaloop.jobs.averaging import AverageRequest, AverageResult, average_learners
from metaloop.jobs.baselines import BaselinesRequest, BaselinesResult, measure_baselines
from metaloop.jobs.inventing import InventRequest, InventResult, invent_programs
from metaloop.jobs.joining import JoinRequest, JoinResult, join_nets
from metaloop.jobs.judging import JudgeRequest, JudgeResult, judge
from metaloop.jobs.pipelines import PipelineRequest, PipelineResult, train_pipeline
from metaloop.jobs.training import TrainRequest, TrainResult, train_node
from metaloop.jobs.workplace import Workplace
from metaloop.modelfile.typed_json import decode, encode

Request = (
    TrainRequest | InventRequest | JoinRequest | AverageRequest | JudgeRequest | BaselinesRequest
)
# of jobs that come back with candidates
FoundResult = InventResult | JoinResult | AverageResult | BaselinesResult
NodeResult = TrainResult | FoundResult  # of jobs that make a node of the population
Result = NodeResult | JudgeResult


@dataclass(frozen=True)
class Kind:
    """A kind of job: frozen dataclasses that go through JSON, and the function between them."""

    request: type[Any]
    result: type[Any]
    run: Callable[[Workplace, Any, Report], Any]


WORK: Mapping[str, Kind] = MappingProxyType(
    {
        "baselines": Kind(BaselinesRequest, BaselinesResult, measure_baselines),
        "train": Kind(TrainRequest, TrainResult, train_node),
        "invent": Kind(InventRequest, InventResult, invent_programs),
        "join": Kind(JoinRequest, JoinResult, join_nets),
        "average": Kind(AverageRequest, AverageResult, average_learners),
        "judge": Kind(JudgeRequest, JudgeResult, judge),
        "pipeline": Kind(PipelineRequest, PipelineResult, train_pipeline),
    }
)


def works_in(workplace: Workplace) -> Mapping[str, Work]:
    """Returns the table as executors have it: from JSON to JSON, done in this workplace."""
    return {name: partial(_done, workplace, kind) for name, kind in WORK.items()}


def worker_command(folder: Path) -> list[str]:
    """Returns the command that starts a worker of the run whose states are in this folder."""
    return module_command("metaloop.jobs", str(folder))


def name_of(request: Request) -> str:
    """Returns the name of the kind of job that is asked for."""
    return next(name for name, kind in WORK.items() if isinstance(request, kind.request))


def arguments_of(request: Request) -> dict[str, Any]:
    """Returns a request as JSON values: the arguments of a job."""
    arguments: dict[str, Any] = encode(request)
    return arguments


def result_of(work: str, value: Mapping[str, Any]) -> Result:
    """Returns what a job of this name came back with."""
    result: Result = decode(WORK[work].result, dict(value), f"the result of {work!r}")
    return result


def _done(
    workplace: Workplace, kind: Kind, arguments: Mapping[str, Any], report: Report
) -> Mapping[str, Any]:
    request = decode(kind.request, dict(arguments), "the request")
    value: dict[str, Any] = encode(kind.run(workplace, request, report))
    return value
