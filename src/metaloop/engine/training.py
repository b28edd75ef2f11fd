"""`train`: meta-train a learner on a family under a budget, as a stream of events.

    for event in train(learner, family, plan, budget, spec): ...

The last event is `Finished`. Nothing is printed, written (unless a checkpoint file is given) or
called back. Wall seconds count from the first step to the last; reading data is outside.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from metaloop.core.budget import Budget
from metaloop.core.errors import DivergenceError
from metaloop.core.examples import Batch
from metaloop.core.learner import (
    AfterTraining,
    EmbeddingLearner,
    Learner,
    MetaParams,
    trained,
)
from metaloop.core.randomness import seeded_modules, torch_stream
from metaloop.core.records import CurvePoint, Plan, TrialStatus
from metaloop.core.spec import TaskSpec
from metaloop.core.team import LostProcessError, Team
from metaloop.engine.batches import BatchSource
from metaloop.engine.beginning import initial_state, mean_feature
from metaloop.engine.damping import damped
from metaloop.engine.evaluation import FeatureCache, evaluate
from metaloop.engine.events import Checkpointed, Evaluated, Event, Finished, Progressed
from metaloop.engine.memory import keep_large_blocks
from metaloop.engine.optimisation import descend, make_optimisers, rate_factor
from metaloop.engine.preparing import after_meta_stage
from metaloop.engine.state import (
    Checkpoints,
    TrainState,
    optimiser_tensors,
    restore_optimisers,
    save_state,
)
from metaloop.engine.strategy import (
    Strategy,
    Timing,
    fixed_strategy,
    parse_strategy,
    possible_strategies,
)
from metaloop.nets.norm import batch_parted
from metaloop.tasks.family import TaskFamily

_SECONDS_BETWEEN_EVENTS = 0.5


def train(
    learner: Learner,
    family: TaskFamily,
    plan: Plan,
    budget: Budget,
    spec: TaskSpec,
    *,
    seed: int = 0,
    state: TrainState | None = None,
    evaluations: int = 3,
    evaluation_episodes: int = 60,
    checkpoints: Checkpoints | None = None,
    stop: Callable[[], bool] = lambda: False,
    team: Team | None = None,
) -> Iterator[Event]:
    """Yields events until the budget is spent, training diverges or `stop()` becomes true.

    `spec` is the evaluated task (early figures on `search`: `evaluations` of them, spread over the
    budget and paid from it). `state` is where to go on; its spent steps or seconds count. Learners
    with nothing to train finish at once, or after their meta-stage. All processes of a `team` get
    the same parameters; where one is lost, the others save the state and raise `LostProcessError`.
    """
    keep_large_blocks()
    state = initial_state(learner, family, spec, seed, "", plan) if state is None else state.copy()
    if plan.style == "none" or not trained(state.meta_params):
        yield _after_meta_stage(learner, state, family, spec, seed)
        return
    run = _Run(learner, family, plan, budget, spec, seed, state, team)
    due = [(index + 1) / max(evaluations, 1) for index in range(evaluations)]
    due = [share for share in due if share > run.spent]
    last_event, last_saved = time.perf_counter(), time.perf_counter()
    try:
        while run.goes_on(stop):
            run.step()
            now = time.perf_counter()
            if now - last_event > _SECONDS_BETWEEN_EVENTS:
                last_event = now
                yield run.progress()
            if len(due) > 1 and run.spent >= due[0]:
                due.pop(0)
                yield run.early_figure(evaluation_episodes)
            if checkpoints and _is_due(checkpoints, run, now - last_saved):
                last_saved = now
                save_state(run.snapshot(), checkpoints.path)
                yield Checkpointed(run.steps, str(checkpoints.path))
    except DivergenceError as error:
        yield Finished("diverged", run.result(), run.snapshot(), str(error))
        return
    except LostProcessError as error:
        raise _with_the_state_kept(error, run, checkpoints) from error
    yield from _ended(run, checkpoints, evaluation_episodes if due else 0)


def _ended(run: _Run, checkpoints: Checkpoints | None, num_episodes: int) -> Iterator[Event]:
    """Saves the last state; measures it on so many episodes, if any and if the budget is spent."""
    snapshot = run.snapshot()
    if checkpoints:
        save_state(snapshot, checkpoints.path)
        yield Checkpointed(run.steps, str(checkpoints.path))
    if num_episodes and run.spent >= 1:
        try:
            figure = run.early_figure(num_episodes)
        except DivergenceError as error:  # by the very last step
            yield Finished("diverged", run.result(), snapshot, str(error))
            return
        yield figure
        snapshot = replace(snapshot, curve=tuple(run.curve))
    status: TrialStatus = "finished" if run.spent >= 1 else "interrupted"
    yield Finished(status, run.result(), snapshot)


def _with_the_state_kept(
    error: LostProcessError, run: _Run, checkpoints: Checkpoints | None
) -> LostProcessError:
    if checkpoints is None:
        return error
    save_state(run.snapshot(), checkpoints.path)
    return LostProcessError(
        f"{error} after {run.steps:,} steps; they are in '{checkpoints.path}': go on with "
        "--resume, with as many processes as you like"
    )


def _after_meta_stage(
    learner: Learner, state: TrainState, family: TaskFamily, spec: TaskSpec, seed: int
) -> Finished:
    wall, cpu = time.perf_counter(), time.process_time()
    with torch.no_grad():
        meta_params = after_meta_stage(learner, state.meta_params, family, spec, seed)
    state = replace(
        state,
        meta_params=meta_params,
        wall_seconds=time.perf_counter() - wall,
        cpu_seconds=time.process_time() - cpu,
    )
    return Finished("finished", meta_params, state)


def _is_due(checkpoints: Checkpoints, run: _Run, seconds_since: float) -> bool:
    if checkpoints.every_steps is not None:
        return run.steps % checkpoints.every_steps == 0
    return seconds_since > checkpoints.every_seconds


class _Run:
    """The mutable middle of `train`: leaves, optimiser, clocks."""

    def __init__(
        self,
        learner: Learner,
        family: TaskFamily,
        plan: Plan,
        budget: Budget,
        spec: TaskSpec,
        seed: int,
        state: TrainState,
        team: Team | None = None,
    ) -> None:
        if state.base_steps:  # warm already
            plan = replace(plan, warmup=0.0)
        self.learner, self.family, self.plan, self.budget = learner, family, plan, budget
        self.team, self._agreed = team, 0.0
        # Dropout and the like: each process of a team has random numbers of its own.
        self._of_rank = () if team is None or team.leads else (team.rank,)
        self.spec, self.seed, self.origin = spec, seed, state
        self.leaves = dict(state.meta_params)
        for tensor in trained(self.leaves).values():
            tensor.requires_grad_()
        self.optimisers = make_optimisers(plan, self.leaves)
        if state.optimiser:
            restore_optimisers(self.optimisers, state.optimiser)
        self.source = BatchSource(family, plan, seed)
        self.average, self.num_averaged = dict(state.average), state.num_averaged
        self.steps, self.curve = state.step, list(state.curve)
        self.strategy: Strategy | None = parse_strategy(state.strategy) if state.strategy else None
        self.timing: Timing | None = None  # while strategies are compared
        self.flops_per_step = state.flops_per_step
        self.loss, self.device = math.nan, family.device
        self._wall_start = time.perf_counter() - state.wall_seconds
        self._cpu_start = time.process_time() - state.cpu_seconds

    @property
    def wall_seconds(self) -> float:
        return time.perf_counter() - self._wall_start

    @property
    def spent(self) -> float:
        """The fraction of this segment's budget that is gone; of a team, as they agreed on it."""
        agreed = self.team is not None and self.budget.wall_seconds is not None
        return self._agreed if agreed else self._own_spent()

    def _own_spent(self) -> float:
        seconds = self.wall_seconds - self.origin.base_seconds
        return self.budget.spent(seconds, self.steps - self.origin.base_steps)

    def goes_on(self, stop: Callable[[], bool]) -> bool:
        """Returns whether there is another step to take, and nobody has asked to stop."""
        if self.team is None:
            return self.spent < 1 and not stop()
        self._agreed, stopped = self.team.agreed(self._own_spent(), stop(), self.device)
        return self.spent < 1 and not stopped

    def step(self) -> None:
        """Takes one step; raises `DivergenceError` on a loss that is not finite."""
        factor = rate_factor(self.plan, self.spent)
        batches = self.source.batches(self.steps)
        self.loss = self._counted(batches) if self.flops_per_step is None else self._timed(batches)
        if not math.isfinite(self.loss):
            raise DivergenceError(f"the loss became {self.loss} at step {self.steps}")
        descend(self.optimisers, factor, self.plan)
        self.steps += 1
        if self.plan.averaging and self.spent >= 1 - self.plan.averaging:
            self._accumulate()

    def _backward(self, batches: list[tuple[float, Batch]], strategy: Strategy) -> float:
        total = torch.zeros(())
        found: dict[str, Tensor] = {}
        leaves, share, parted = dict(self.leaves), 1.0, None
        for index, (weight, batch) in enumerate(batches):
            if self.team is not None:
                batch, share, apart = self.team.share(batch, self.spec.objective)
                parted = self.team.total if apart else None
            rng = torch_stream(self.seed, "loss", self.steps, index)
            names: tuple[str | int, ...] = ("modules", self.steps, index, *self._of_rank)
            with seeded_modules(self.seed, *names, device=self.device), batch_parted(parted):
                outcome = strategy.meta_loss(self.learner, leaves, batch, rng)
            (weight * share * outcome.loss).backward()  # type: ignore[no-untyped-call]
            leaves.update({name: b.detach() for name, b in outcome.buffers.items()})
            found |= {name: share * leaves[name] for name in outcome.buffers}
            total = total + weight * share * outcome.loss.detach().cpu()
        if self.team is not None:
            total = total.to(self.device, torch.float64)
            self.team.put_together(leaves, found, total)
        self.leaves = leaves
        return float(total)

    def _counted(self, batches: list[tuple[float, Batch]]) -> float:
        """Counts the operations of a step while it is taken, in a loop: not so under `vmap`."""
        usual = self.strategy or fixed_strategy(self.learner, self.leaves)
        with FlopCounterMode(display=False) as counter:
            loss = self._backward(batches, replace(usual, tasks="loop"))
        flops = torch.tensor(float(counter.get_total_flops()), device=self.device)
        if self.team is not None:
            self.team.add_up([flops])
        self.flops_per_step = float(flops)
        return loss

    def _timed(self, batches: list[tuple[float, Batch]]) -> float:
        """Takes a step, by the quickest strategy as soon as that is known."""
        if self.strategy is None and self.timing is None:
            # What is timed differs from run to run, and from one process of a team to another.
            if self.budget.wall_seconds is None or self.team is not None:
                self.strategy = fixed_strategy(self.learner, self.leaves)
            else:
                every = possible_strategies(self.learner, [b for _, b in batches], self.plan)
                self.timing = Timing(every)
        if self.timing is None:
            assert self.strategy is not None
            return self._backward(batches, self.strategy)
        strategy, start = self.timing.next, time.perf_counter()
        loss = self._backward(batches, strategy)
        self.timing.took(strategy, time.perf_counter() - start)
        self.strategy = self.timing.quickest
        if self.strategy is not None:
            self.timing = None
        return loss

    def _accumulate(self) -> None:
        self.num_averaged += 1
        for name, tensor in self.leaves.items():
            if name not in self.average:
                self.average[name] = tensor.detach().clone()
            else:
                self.average[name].lerp_(tensor.detach(), 1 / self.num_averaged)

    def progress(self) -> Progressed:
        return Progressed(
            self.steps, self.spent, self.wall_seconds, self.loss, rate_factor(self.plan, self.spent)
        )

    def early_figure(self, num_episodes: int) -> Evaluated:
        meta_params = self.result()
        learner = self.learner
        cache = (
            FeatureCache(learner, meta_params) if isinstance(learner, EmbeddingLearner) else None
        )
        result, _ = evaluate(
            learner, meta_params, self.family, "search", self.spec, num_episodes, cache
        )
        point = CurvePoint(self.steps, self.wall_seconds, self.loss, result.value)
        self.curve.append(point)
        return Evaluated(point, result)

    def result(self) -> MetaParams:
        """Returns the meta-parameters to use if training ended now."""
        meta_params = dict(self.average) if self.num_averaged else dict(self.leaves)
        meta_params = {name: tensor.detach().clone() for name, tensor in meta_params.items()}
        learner, family = self.learner, self.family.as_classes
        if not isinstance(learner, EmbeddingLearner) or family is None:
            return meta_params
        meta_params = damped(learner, meta_params, family)
        if isinstance(learner, AfterTraining):
            meta_params = learner.finish(meta_params, mean_feature(learner, meta_params, family))
        return meta_params

    def snapshot(self) -> TrainState:
        detached = {name: tensor.detach().clone() for name, tensor in self.leaves.items()}
        return replace(
            self.origin,
            meta_params=detached,
            optimiser={n: t.clone() for n, t in optimiser_tensors(self.optimisers).items()},
            average={name: tensor.clone() for name, tensor in self.average.items()},
            num_averaged=self.num_averaged,
            step=self.steps,
            loss=self.loss,
            wall_seconds=self.wall_seconds,
            cpu_seconds=time.process_time() - self._cpu_start,
            flops_per_step=self.flops_per_step,
            strategy=str(self.strategy) if self.strategy else None,
            curve=tuple(self.curve),
        )
