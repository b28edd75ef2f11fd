"""Step 3, train: what a worker does with a candidate.

A segment of training keeps the rate and lets it fall to zero at the end, so that the net can be
measured and used. Whoever goes on from this node starts at its state at the full rate again, so
nothing that was trained is thrown away (WSD-S: Wen et al. 2024, arXiv:2410.05192; in LOG.md).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from metaloop.core.budget import Budget
from metaloop.core.learner import Learner, MetaParams
from metaloop.core.records import Candidate, CurvePoint, Plan, TrialStatus
from metaloop.engine.beginning import initial_state
from metaloop.engine.events import Finished, Progressed
from metaloop.engine.state import TrainState
from metaloop.engine.training import train
from metaloop.executors.base import Report
from metaloop.generators.recipes import shaped
from metaloop.jobs.measured import Figures
from metaloop.jobs.scoring import score_heads
from metaloop.jobs.workplace import TrainingData, Workplace, with_center
from metaloop.programs.inference import CONSTANT_PREFIX
from metaloop.tasks.family import TaskFamily

_CLASSIFIER = "classifier.weight"
_POINTS = 20  # of a segment's curve, at most


@dataclass(frozen=True)
class Start:
    """A node whose state to go on from: which candidate was trained there, and on what."""

    node: int
    candidate: Candidate
    data: TrainingData


@dataclass(frozen=True)
class TrainRequest:
    """What to train: `heads` share one training, the first of them is trained.

    `data` is what to train on, as the first head's data recipe says. `start`: None to start anew.
    """

    node: int
    heads: tuple[Candidate, ...]
    budget: Budget
    seed: int
    episodes: int
    data: TrainingData
    start: Start | None = None


@dataclass(frozen=True)
class TrainResult:
    """How a segment of training ended, and the figures of every head, in their order.

    `flops`: counted operations; `loss`: the last one, None if it is not finite. `curve`: points on
    the way, where the budget is in seconds: when they are told of depends on the clock.
    """

    status: TrialStatus
    message: str
    steps: int
    train_wall_seconds: float
    train_cpu_seconds: float
    flops: float | None
    loss: float | None
    curve: tuple[CurvePoint, ...]
    heads: tuple[Figures, ...] = ()


def train_node(workplace: Workplace, request: TrainRequest, report: Report) -> TrainResult:
    """Trains one segment, measures every head on `search`, keeps trunk and net; returns figures."""
    family = workplace.training_family(request.data)
    learner = workplace.learner(request.heads[0], family)
    start, cpu_start = time.perf_counter(), time.process_time()
    ended, curve = _trained(workplace, request, learner, family, report)
    result = TrainResult(
        status=ended.status,
        message=ended.message,
        steps=ended.state.step,
        train_wall_seconds=time.perf_counter() - start,
        train_cpu_seconds=time.process_time() - cpu_start,
        flops=_operations(ended.state),
        loss=ended.state.loss if np.isfinite(ended.state.loss) else None,
        curve=tuple(curve),
    )
    if ended.status != "finished":
        return result
    workplace.save_state(request.node, ended.state)
    meta_params = with_center(learner, ended.meta_params, family)
    workplace.save_net(request.node, meta_params)
    heads = score_heads(workplace, request.heads, meta_params, request.seed, request.episodes)
    return replace(result, message="", heads=heads)


def _trained(
    workplace: Workplace,
    request: TrainRequest,
    learner: Learner,
    family: TaskFamily,
    report: Report,
) -> tuple[Finished, list[CurvePoint]]:
    curve: list[CurvePoint] = []
    start = time.perf_counter()
    events = train(
        learner,
        family,
        _plan(request.heads[0]),
        request.budget,
        workplace.spec,
        seed=request.seed,
        state=_starting_state(workplace, request, learner, family),
        evaluations=0,
    )
    for event in events:
        if isinstance(event, Progressed):
            report({"node": request.node, "step": event.step, "loss": event.loss})
            if request.budget.steps is None and np.isfinite(event.loss):
                curve.append(CurvePoint(event.step, time.perf_counter() - start, event.loss))
        if isinstance(event, Finished):
            return event, curve[:: 1 + len(curve) // _POINTS]
    raise AssertionError("training ended without a result")


def _plan(candidate: Candidate) -> Plan:
    """Returns the plan of one segment."""
    return replace(shaped(candidate.plan, candidate.data), schedule="trapezoid")


def _starting_state(
    workplace: Workplace, request: TrainRequest, learner: Learner, family: TaskFamily
) -> TrainState:
    """Returns a fresh state, or that of the node to go on from, made to fit the candidate."""
    candidate, identity = request.heads[0], f"node {request.node}"
    plan = candidate.plan if request.start is None else None
    fresh = initial_state(learner, family, workplace.spec, request.seed, identity, plan)
    if request.start is None:
        return fresh
    ended = workplace.state(request.start.node, family.device)
    state = ended.segment()
    earlier = request.start.candidate
    before = class_names(workplace.training_family(request.start.data))
    now = class_names(family)
    old = state.meta_params
    if earlier.program != candidate.program:  # constants are numbered: theirs are others
        old = {n: t for n, t in old.items() if not n.startswith(CONSTANT_PREFIX)}
    meta_params = _taken_over(old, fresh.meta_params, before, now)
    same_shapes = _shapes(meta_params) == _shapes(state.meta_params)
    same_rows = before == now or _CLASSIFIER not in meta_params
    same_optimiser = earlier.plan.optimiser == candidate.plan.optimiser
    same_net = replace(earlier, data=candidate.data, plan=candidate.plan) == candidate
    same_step = same_net and _plan(earlier) == _plan(candidate)
    return replace(
        state,
        identity=identity,
        meta_params=meta_params,
        optimiser=state.optimiser if same_shapes and same_rows and same_optimiser else {},
        flops_per_step=state.flops_per_step if same_step else None,
        strategy=state.strategy if same_step else None,
    )


def class_names(family: TaskFamily) -> list[tuple[str, str]]:
    """Returns group and name of every training class, in the order of a classifier's rows."""
    classes = family.as_classes
    if classes is None:
        return []
    infos = [classes.store.classes[index] for index in classes.parts["train"]]
    return [(info.group, info.name) for info in infos]


def _taken_over(
    old: MetaParams,
    fresh: MetaParams,
    before: Sequence[tuple[str, str]],
    now: Sequence[tuple[str, str]],
) -> MetaParams:
    """Returns the fresh tensors with all that the old ones have: a classifier's row by class name.

    `before`, `now`: the training classes then and now. Raises `ValueError` where a net of another
    shape would have to take over weights.
    """
    taken = dict(fresh)
    for name, tensor in old.items():
        if name == _CLASSIFIER and name in fresh:
            taken[name] = _rows_by_class(tensor, fresh[name], before, now)
        elif name in fresh:
            if fresh[name].shape != tensor.shape:
                raise ValueError(f"'{name}' has shape {tuple(tensor.shape)}, another is needed")
            taken[name] = tensor
    return taken


def _rows_by_class(
    old: Tensor, fresh: Tensor, before: Sequence[tuple[str, str]], now: Sequence[tuple[str, str]]
) -> Tensor:
    place = {named: row for row, named in enumerate(before)}
    rows = np.array([place.get(named, -1) for named in now])
    known = torch.from_numpy(np.flatnonzero(rows >= 0)).to(fresh.device)
    taken = fresh.clone()
    taken[known] = old[torch.from_numpy(rows[rows >= 0]).to(old.device)]
    return taken


def _shapes(meta_params: MetaParams) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in meta_params.items()}


def _operations(state: TrainState) -> float | None:
    """Returns the counted operations of the segment that ended in this state."""
    if state.flops_per_step is None:
        return None
    return state.flops_per_step * (state.step - state.base_steps)
