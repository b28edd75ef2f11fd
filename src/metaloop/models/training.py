"""Training one chosen learner: what `metaloop train` does, without a race."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from metaloop.catalogue.candidates import (
    build_learner,
    in_usual_form,
    make_candidate,
    own_candidate,
    with_module,
)
from metaloop.catalogue.families import (
    AS_IT_IS,
    DataOptions,
    open_data,
)
from metaloop.catalogue.nets import CUSTOM
from metaloop.catalogue.sights import best_view
from metaloop.core.black_box import BlackBoxLearner
from metaloop.core.budget import Budget, parse_budget
from metaloop.core.errors import DivergenceError, MetaloopError, ModelFileError, OutputError
from metaloop.core.learner import Learner
from metaloop.core.records import Candidate
from metaloop.core.spec import TaskSpec
from metaloop.core.team import Team
from metaloop.engine.beginning import initial_state
from metaloop.engine.devices import best_device
from metaloop.engine.events import Event, Finished
from metaloop.engine.state import Checkpoints, TrainState, load_state
from metaloop.engine.training import train
from metaloop.guests.keras.net import as_net, is_keras_model
from metaloop.modelfile import TrainingRecord, read_model
from metaloop.models.events import DataRead, data_read
from metaloop.models.model import Model
from metaloop.models.rejecting import with_rejection
from metaloop.tasks.family import TaskFamily
from metaloop.tasks.kept import class_parts, examples_seen, view_of


@dataclass(frozen=True)
class Trained:
    """The last event of `train_model`: the model, and whether it was stopped before its time."""

    model: Model
    interrupted: bool


def train_model(
    data: Any,
    learner: str | Candidate | BlackBoxLearner,
    *,
    budget: str | Budget = "3m",
    net: str | nn.Module | None = None,
    ways: int = 5,
    shots: int = 1,
    queries: int = 15,
    seed: int = 0,
    options: DataOptions = AS_IT_IS,
    checkpoint: Path | None = None,
    resume: bool = False,
    stop: Callable[[], bool] = lambda: False,
    team: Team | None = None,
) -> Iterator[DataRead | Event | Trained]:
    """Yields how the data was read, the engine's events and at last `Trained`, with the model.

    `data` and `options` are what `open_data` takes, `learner` is a name of the catalogue, a whole
    candidate or a black box of your own, `net` a name or a module of your own. With `checkpoint`
    the state is kept in that file, and `resume` goes on from it. Raises `DivergenceError` if
    training ends in numbers that are not finite. With a `team` its processes all call this with
    the same arguments, and all get the same weights; only the model of the first has figures and
    knows what to reject. Raises `MetaloopError` for a candidate that cannot be trained so.
    """
    limit = parse_budget(budget) if isinstance(budget, str) else budget
    start = time.perf_counter()
    opened = open_data(data, options)
    whole = opened.family.to(best_device())
    spec = whole.spec(ways, shots, queries)
    view = learner.view if isinstance(learner, Candidate) else best_view(whole, spec)
    family = whole.seen(view)
    spec = replace(spec, input_shape=family.input_format.shape)
    yield data_read(opened, time.perf_counter() - start)
    candidate, method = _chosen(learner, net, family, spec, view)
    identity = _identity(candidate, family.digest, seed, limit)  # whatever number of processes
    if team is not None:
        if isinstance(learner, str):
            candidate = with_a_task_for_each(candidate, team.size)
        check_shared(candidate, team.size)
    state = _resumed(checkpoint, identity) if resume and checkpoint else None
    if state is None:
        state = initial_state(method, family, spec, seed, identity, candidate.plan)
    leads = team is None or team.leads
    events = train(
        method, family, candidate.plan, limit, spec, seed=seed, state=state, stop=stop, team=team,
        checkpoints=Checkpoints(checkpoint) if checkpoint and leads else None,
        **({} if leads else {"evaluations": 0}),
    )  # fmt: skip
    finished = yield from _passed_on(events)
    if finished.status == "diverged":
        raise DivergenceError(
            f"training diverged: {finished.message}; try another seed, learner or net"
        )
    record = training_record(finished, family, seed, limit)
    model = _model(method, candidate, finished, family, spec, record)
    interrupted = finished.status == "interrupted"
    yield Trained(
        with_rejection(model, family) if leads and not interrupted else model, interrupted
    )


def with_a_task_for_each(candidate: Candidate, size: int) -> Candidate:
    """Returns the candidate with at least one task in a step for each of so many processes.

    The usual plan of learners on embeddings is one task of many classes. With one for each process
    a step sees as many tasks more and takes as long: the batch grows with the processes.
    """
    number = max(size, candidate.plan.num_tasks)
    return replace(candidate, plan=replace(candidate.plan, num_tasks=number))


def check_shared(candidate: Candidate, size: int) -> None:
    """Raises `MetaloopError` unless so many processes can share the tasks of a candidate's steps.

    They can where a step's loss is a mean over tasks, as it is of the catalogue's learners on the
    catalogue's nets, and where there are enough tasks. Others are refused by name.
    """
    name, plan = candidate.learner.name, candidate.plan
    if plan.style == "none":
        raise MetaloopError(
            f"{name} has nothing that several processes could train; leave torchrun away"
        )
    if candidate.net.name == CUSTOM:
        raise MetaloopError(
            f"{name} is trained here on a net of your own, whose loss need not be a mean over "
            "tasks; leave torchrun away"
        )
    if plan.style == "episodes" and plan.num_tasks < size:
        raise MetaloopError(
            f"{name} has {plan.num_tasks} task{'s' * (plan.num_tasks > 1)} in a step, which {size} "
            "processes cannot share; start fewer, or train a candidate whose plan has more "
            "(num_tasks)"
        )


def _model(
    learner: Learner,
    candidate: Candidate,
    finished: Finished,
    family: TaskFamily,
    spec: TaskSpec,
    training: TrainingRecord,
) -> Model:
    return Model(
        learner=learner,
        meta_params=finished.meta_params,
        candidate=candidate,
        spec=spec,
        input_format=family.input_format,
        parts=class_parts(family),
        training=training,
        seen=examples_seen(family),
        view=view_of(family),
    )


def check_continues(checkpoint: Path, saved: Path) -> None:
    """Raises `OutputError` unless the model in `saved` is an earlier state of this training.

    Raises `ModelFileError` if one of them cannot be read.
    """
    state, model = load_state(checkpoint), read_model(saved)
    record = model.training
    identity = _identity(model.candidate, record.data_hash, record.seed, record.budget)
    if state.identity != identity or record.steps > state.step:
        raise OutputError(
            f"'{saved}' holds another model than the one that '{checkpoint}' would go on with; "
            "move it away, then --resume"
        )


def _identity(candidate: Candidate, data_hash: str, seed: int, budget: Budget | str) -> str:
    return f"{candidate.identity}:{data_hash}:{seed}:{budget}"


def _passed_on(events: Iterator[Event]) -> Generator[Event, None, Finished]:
    """Yields all events; returns the last one."""
    for event in events:
        yield event
        if isinstance(event, Finished):
            return event
    raise AssertionError("training ended without a result")


def _chosen(
    learner: str | Candidate | BlackBoxLearner,
    net: str | nn.Module | None,
    family: TaskFamily,
    spec: TaskSpec,
    view: str,
) -> tuple[Candidate, Learner]:
    """Returns the candidate that the arguments name, and its learner."""
    if isinstance(learner, BlackBoxLearner):
        if net is not None:
            raise MetaloopError("a learner of your own sees the inputs themselves; leave net away")
        candidate = own_candidate(learner)
        return candidate, build_learner(candidate, family.input_format, spec.objective, own=learner)
    if is_keras_model(net) and not isinstance(net, nn.Module):
        as_net(net, family.input_format.shape)  # says which backend it would need
    module = net if isinstance(net, nn.Module) else None
    if isinstance(learner, Candidate):
        candidate = learner
    else:
        name = net if isinstance(net, str) else None
        candidate = make_candidate(learner, family.input_format, spec, name)
        candidate = replace(candidate, view=view)
        if family.as_classes is not None and family.as_classes.view is not None:
            candidate = in_usual_form(candidate)
    if module is not None:
        candidate = with_module(candidate, module)
    method = build_learner(candidate, family.input_format, spec.objective, module)
    return candidate, method


def training_record(
    finished: Finished, family: TaskFamily, seed: int, budget: Budget
) -> TrainingRecord:
    """Returns what a model file says about how its training went."""
    return TrainingRecord(
        seed=seed,
        budget=str(budget),
        steps=finished.state.step,
        wall_seconds=finished.state.wall_seconds,
        cpu_seconds=finished.state.cpu_seconds,
        data_hash=family.digest,
        data_name=family.name,
    )


def _resumed(checkpoint: Path, identity: str) -> TrainState | None:
    if not checkpoint.exists():
        return None
    state = load_state(checkpoint, best_device())
    if state.identity != identity:
        raise ModelFileError(
            f"checkpoint '{checkpoint}' belongs to another learner, budget, seed or data; give the "
            f"same ones, or remove it to start anew"
        )
    return replace(state, identity=identity)
