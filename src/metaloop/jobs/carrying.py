"""What of a run's folder workers on other machines need, and which states a job reads."""

from __future__ import annotations

from pathlib import Path

from metaloop.executors.base import Job
from metaloop.executors.luggage import FOLDER, Luggage
from metaloop.jobs.averaging import AverageRequest
from metaloop.jobs.inventing import InventRequest
from metaloop.jobs.joining import JoinRequest
from metaloop.jobs.judging import JudgeRequest
from metaloop.jobs.states import FolderStates
from metaloop.jobs.table import WORK, Request
from metaloop.jobs.training import TrainRequest
from metaloop.jobs.workplace import (
    ALSO,
    DATA,
    DRAWER,
    MADE,
    TASK,
    TrainingData,
    net_path,
    state_path,
)
from metaloop.modelfile.typed_json import decode


def luggage_of(folder: Path) -> Luggage:
    """Returns what workers need of the folder that `workplace.prepare` has filled.

    Data and task go to every machine once; generated families are made on each of them. States
    come back to the folder, whole, before it is told that a job has ended.
    """
    states = FolderStates(folder)
    carried = tuple(name for name in (DATA, ALSO, DRAWER, TASK) if (folder / name).exists())
    arguments = ("-m", "metaloop.jobs", FOLDER)
    return Luggage(arguments, folder, carried, (MADE,), states_read, states.read, states.write)


def states_read(job: Job) -> tuple[str, ...]:
    """Returns the names of the states that a job reads, each once, in order."""
    request: Request = decode(WORK[job.work].request, dict(job.arguments), "the request")
    return tuple(dict.fromkeys(path.name for path in _paths(request)))


def _paths(request: Request) -> list[Path]:
    here = Path()
    if isinstance(request, TrainRequest):
        if request.start is None:
            return _filters(request.data)
        filters = [*_filters(request.data), *_filters(request.start.data)]
        return [state_path(here, request.start.node), *filters]
    nodes: list[int | None] = []
    if isinstance(request, InventRequest):
        nodes = [request.on]
    elif isinstance(request, JoinRequest):
        nodes = [each.node for each in request.nets]
    elif isinstance(request, AverageRequest):
        nodes = [each.node for each in request.learners]
    elif isinstance(request, JudgeRequest):
        nodes = [each.node for each in request.entrants]
    return [net_path(here, node) for node in nodes if node is not None]


def _filters(data: TrainingData) -> list[Path]:
    """The net that says which generated classes are of use."""
    return [] if data.filtered_by is None else [net_path(Path(), data.filtered_by)]
