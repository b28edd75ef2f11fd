"""Step 3, train: what a worker does with a candidate.

A segment of training keeps the rate and lets it fall to zero at the end, so that the net can be
measured and used. Whoever goes on from this node starts at its state at the full rate again, so
nothing that was trained is thrown away (WSD-S: Wen et al. 2024, arXiv:2410.05192; in LOG.md).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metaloop.core.budget import Budget
from metaloop.core.learner import Learner, MetaParams
from metaloop.core.records import Candidate, Plan, candidate_from_json, to_json
from metaloop.engine.events import Finished, Progressed
from metaloop.engine.state import TrainState, save_state
from metaloop.engine.training import device_of, initial_state, train
from metaloop.executors.base import Report
from metaloop.generators.recipes import shaped
from metaloop.jobs.scoring import score_heads
from metaloop.jobs.workplace import (
    TrainingData,
    kept_state,
    learner_of,
    save_net,
    spec_of,
    state_path,
    training_family,
    with_center,
)
from metaloop.programs.inference import CONSTANT_PREFIX
from metaloop.tasks.family import ClassFamily, TaskFamily

_CLASSIFIER = "classifier.weight"
_POINTS = 20  # of a segment's curve, at most


@dataclass(frozen=True)
class Segment:
    """What to train: `heads` share one training, the first of them is trained.

    `data` is what to train on, as the first head's data recipe says. `start`: the node whose state
    to go on from, None to start anew; `start_recipe`, `start_data`: how and on what it was trained.
    """

    node: int
    heads: tuple[Candidate, ...]
    budget: Budget
    seed: int
    episodes: int
    data: TrainingData
    start: int | None = None
    start_recipe: Candidate | None = None
    start_data: TrainingData | None = None

    def to_arguments(self) -> dict[str, Any]:
        """Returns the segment as JSON values."""
        return {
            "node": self.node,
            "heads": [to_json(candidate) for candidate in self.heads],
            "steps": self.budget.steps,
            "wall_seconds": self.budget.wall_seconds,
            "seed": self.seed,
            "episodes": self.episodes,
            "data": asdict(self.data),
            "start": self.start,
            "start_recipe": to_json(self.start_recipe) if self.start_recipe else None,
            "start_data": asdict(self.start_data) if self.start_data else None,
        }

    @staticmethod
    def from_arguments(arguments: Mapping[str, Any]) -> Segment:
        """Returns the segment that `to_arguments` wrote."""
        start_recipe, start_data = arguments["start_recipe"], arguments["start_data"]
        return Segment(
            arguments["node"],
            tuple(candidate_from_json(text) for text in arguments["heads"]),
            Budget(wall_seconds=arguments["wall_seconds"], steps=arguments["steps"]),
            arguments["seed"],
            arguments["episodes"],
            _data(arguments["data"]),
            arguments["start"],
            candidate_from_json(start_recipe) if start_recipe else None,
            _data(start_data) if start_data else None,
        )


def train_node(folder: Path, arguments: Mapping[str, Any], report: Report) -> Mapping[str, Any]:
    """Trains one segment, measures every head on `search`, keeps trunk and net; returns figures.

    The heads' figures are a list in their order, as `Scorer.figures` returns them; `curve` holds
    `(step, wall seconds, loss)` on the way, where the budget is in seconds: when they are told of
    depends on the clock.
    """
    segment = Segment.from_arguments(arguments)
    family = training_family(folder, segment.data)
    learner = learner_of(folder, segment.heads[0], family)
    start, cpu_start = time.perf_counter(), time.process_time()
    ended, curve = _trained(folder, segment, learner, family, report)
    facts = {
        "steps": ended.state.step,
        "train_wall_seconds": time.perf_counter() - start,
        "train_cpu_seconds": time.process_time() - cpu_start,
        "flops": _operations(ended.state),
        "loss": ended.state.loss if np.isfinite(ended.state.loss) else None,
        "curve": curve,
    }
    if ended.status != "finished":
        return {**facts, "status": ended.status, "message": ended.message, "heads": []}
    save_state(ended.state, state_path(folder, segment.node))
    meta_params = with_center(learner, ended.meta_params, family)
    save_net(folder, segment.node, meta_params)
    heads = score_heads(folder, segment.heads, meta_params, segment.seed, segment.episodes)
    return {**facts, "status": "finished", "message": "", "heads": heads}


def _trained(
    folder: Path, segment: Segment, learner: Learner, family: TaskFamily, report: Report
) -> tuple[Finished, list[tuple[int, float, float]]]:
    recipe = segment.heads[0]
    curve: list[tuple[int, float, float]] = []
    start = time.perf_counter()
    events = train(
        learner,
        family,
        _plan(recipe),
        segment.budget,
        spec_of(folder),
        seed=segment.seed,
        state=_starting_state(folder, segment, learner, family),
        evaluations=0,
    )
    for event in events:
        if isinstance(event, Progressed):
            report({"node": segment.node, "step": event.step, "loss": event.loss})
            if segment.budget.steps is None and np.isfinite(event.loss):
                curve.append((event.step, time.perf_counter() - start, event.loss))
        if isinstance(event, Finished):
            return event, curve[:: 1 + len(curve) // _POINTS]
    raise AssertionError("training ended without a result")


def _plan(recipe: Candidate) -> Plan:
    """Returns the plan of one segment."""
    return replace(shaped(recipe.plan, recipe.data), schedule="trapezoid")


def _starting_state(
    folder: Path, segment: Segment, learner: Learner, family: TaskFamily
) -> TrainState:
    """Returns a fresh state, or that of the node to go on from, made to fit the candidate."""
    spec, recipe = spec_of(folder), segment.heads[0]
    fresh = initial_state(learner, family, spec, segment.seed, f"node {segment.node}")
    if segment.start is None:
        return fresh
    ended = kept_state(state_path(folder, segment.start), device_of(family))
    state = ended.segment()
    earlier = segment.start_recipe
    assert earlier is not None and segment.start_data is not None
    before = class_names(training_family(folder, segment.start_data))
    now = class_names(family)
    old = state.meta_params
    if earlier.program != recipe.program:  # constants are numbered: theirs are others
        old = {n: t for n, t in old.items() if not n.startswith(CONSTANT_PREFIX)}
    meta_params = _taken_over(old, fresh.meta_params, before, now)
    same_shapes = _shapes(meta_params) == _shapes(state.meta_params)
    same_rows = before == now or _CLASSIFIER not in meta_params
    same_optimiser = earlier.plan.optimiser == recipe.plan.optimiser
    same_net = replace(earlier, data=recipe.data, plan=recipe.plan) == recipe
    same_step = same_net and _plan(earlier) == _plan(recipe)
    return replace(
        state,
        identity=f"node {segment.node}",
        meta_params=meta_params,
        optimiser=state.optimiser if same_shapes and same_rows and same_optimiser else {},
        flops_per_step=state.flops_per_step if same_step else None,
        strategy=state.strategy if same_step else None,
    )


def class_names(family: TaskFamily) -> list[tuple[str, str]]:
    """Returns group and name of every training class, in the order of a classifier's rows."""
    if not isinstance(family, ClassFamily):
        return []
    infos = [family.store.classes[index] for index in family.parts["train"]]
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


def _data(fields: Mapping[str, Any]) -> TrainingData:
    return TrainingData(**{**fields, "families": tuple(fields["families"])})


def _shapes(meta_params: MetaParams) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in meta_params.items()}


def _operations(state: TrainState) -> float | None:
    """Returns the counted operations of the segment that ended in this state."""
    if state.flops_per_step is None:
        return None
    return state.flops_per_step * (state.step - state.base_steps)
