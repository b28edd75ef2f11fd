"""Step 3, train: successive halving over the contenders, judged on `search`.

Rung by rung every contender still in the race trains a segment of its *trunk* at a constant rate;
a *branch* of it then decays the rate to zero and is what gets measured. The trunk of those that
stay goes on where it was, so nothing that was trained is thrown away. The winner has the rest of
the budget, its rate decaying by its own plan.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

from metaloop.core.budget import Budget
from metaloop.core.learner import AfterTraining, EmbeddingLearner, MetaParams
from metaloop.core.objective import higher_is_better
from metaloop.core.records import Plan
from metaloop.engine.evaluation import FeatureCache
from metaloop.engine.events import Finished, Progressed
from metaloop.engine.state import TrainState, load_state, save_state
from metaloop.engine.training import Checkpoints, initial_state, train, training_features
from metaloop.loop.choosing import Contender, Head
from metaloop.loop.events import LoopEvent, Trying
from metaloop.loop.judging import PROMOTION_EPISODES
from metaloop.loop.recording import (
    CANDIDATES_FAULTS,
    Start,
    begin,
    measure,
    one_line,
    record,
    restore,
)
from metaloop.loop.run import Cost, Run, Stopped
from metaloop.tasks.family import ClassFamily

_BRANCH_SHARE = 0.3  # of a segment: the decay that makes a trunk measurable


@dataclass(frozen=True)
class Rung:
    """How many contenders are kept, their joint share of the budget, episodes to judge them on."""

    keep: int
    share: float
    episodes: int


RUNGS = (Rung(keep=3, share=0.15, episodes=60), Rung(keep=1, share=0.15, episodes=200))
FINAL_EPISODES = 400
_BASELINE_EPISODES = 100
_RESERVE = 0.03  # of the budget, for what is not training at its end


def race(run: Run, contenders: list[Contender]) -> Iterator[LoopEvent]:
    """Trains and measures until the budget is spent; the contenders hold what came of it.

    Raises `Stopped` when the run is asked to stop.
    """
    yield from _measure_baselines(run, contenders)
    racing = [contender for contender in contenders if contender.trains]
    dropped: list[Contender] = []
    for number, rung in enumerate(RUNGS):
        if len(racing) <= rung.keep:
            continue
        budget = run.budget.fraction(rung.share / len(racing))
        for contender in racing:
            run.allotted_steps += budget.steps or 0
            yield from _segment(run, contender, number, budget, rung.episodes, contenders)
        racing = sorted(racing, key=lambda c: c.best.merit, reverse=True)
        racing, dropped = racing[: rung.keep], racing[rung.keep :] + dropped
    for contender in [*racing, *dropped]:  # more than the first only if it fails
        run.promotion_seconds = _seconds_to_promote(contender, contenders)
        yield from _segment(run, contender, len(RUNGS), None, FINAL_EPISODES, contenders)
        if contender.best.status == "finished":
            break


def _measure_baselines(run: Run, contenders: list[Contender]) -> Iterator[LoopEvent]:
    for contender in contenders:
        if contender.trains:
            continue
        if run.stop():
            raise Stopped
        start = Start()
        for head in contender.heads:
            state = initial_state(head.learner, run.family, run.spec, run.seed)
            head.meta_params = state.meta_params
        if restore(run, contender, 0):
            continue
        begin(run, contender, 0)
        for head in contender.heads:
            measure(run, head, "search", _BASELINE_EPISODES)
        yield from record(run, contender, state, start, contenders)


def _segment(
    run: Run,
    contender: Contender,
    rung: int,
    budget: Budget | None,
    episodes: int,
    contenders: list[Contender],
) -> Iterator[LoopEvent]:
    """Trains one segment (`budget` None: all that is left), then measures every head."""
    start = Start()
    final = budget is None
    if not final and restore(run, contender, rung):
        return
    begin(run, contender, rung)
    try:
        finished = yield from _train_segment(run, contender, rung, budget)
    except CANDIDATES_FAULTS as error:
        state = contender.state or initial_state(
            contender.heads[0].learner, run.family, run.spec, run.seed
        )
        finished = Finished("failed", {}, state, one_line(error))
    if finished.status == "interrupted":
        raise Stopped
    if finished.status == "finished":
        _measure_heads(run, contender, finished, episodes)
    else:
        for head in contender.heads:
            head.steps = finished.state.step
            head.fail(finished.status, finished.message)
    yield from record(run, contender, finished.state, start, contenders)


def _measure_heads(run: Run, contender: Contender, finished: Finished, episodes: int) -> None:
    """Measures every head on what was trained; one that was better before stays as it was.

    Before: at the end of its last branch, compared on the episodes that both were measured on.
    """
    path = run.state_path(contender.trunk + "-branch")
    before = load_state(path, run.device).meta_params if path.exists() else None
    cache: FeatureCache | None = None
    for head in contender.heads:
        earlier, earlier_scores, steps = head.result, head.scores, head.steps
        head.steps, head.message = finished.state.step, ""
        head.meta_params = _for_head(run, head, finished.meta_params)
        if cache is None and isinstance(head.learner, EmbeddingLearner):
            cache = FeatureCache(head.learner, head.meta_params)
        measure(run, head, "search", episodes, cache)
        if before is None or earlier is None or earlier_scores is None or head.scores is None:
            continue
        common = min(len(head.scores), len(earlier_scores))
        lost = earlier_scores[:common].mean() - head.scores[:common].mean()
        if (lost if higher_is_better(earlier.metric) else -lost) > 0:
            head.meta_params, head.steps = _for_head(run, head, before), steps
            head.message = f"stays as it was after {steps} steps: more training made it worse"
            measure(run, head, "search", episodes)
    kept = max(contender.heads, key=lambda head: head.merit)
    save_state(TrainState(f"{contender.trunk}:branch", kept.meta_params), path)


def _train_segment(
    run: Run, contender: Contender, rung: int, budget: Budget | None
) -> Generator[LoopEvent, None, Finished]:
    """Yields progress; returns what training the trunk, and then its branch, ended with."""
    plan = contender.heads[0].candidate.plan
    state = _taken_up(run, contender, rung)
    if budget is None:
        budget = _rest(run, state)
        return (yield from _train(run, contender, state, plan, budget, "final"))
    trunk_plan = replace(plan, schedule="constant", averaging=0.0)
    stage = f"rung {rung + 1}"
    trunk_budget = budget.fraction(1 - _BRANCH_SHARE)
    trunk = yield from _train(run, contender, state, trunk_plan, trunk_budget, stage)
    contender.state = trunk.state
    if trunk.status != "finished":
        return trunk
    branch_plan = replace(plan, schedule="linear", averaging=0.0)
    branch, branch_budget = trunk.state.segment(), budget.fraction(_BRANCH_SHARE)
    return (
        yield from _train(run, contender, branch, branch_plan, branch_budget, stage, save=False)
    )


def _train(
    run: Run,
    contender: Contender,
    state: TrainState,
    plan: Plan,
    budget: Budget,
    stage: str,
    save: bool = True,
) -> Generator[LoopEvent, None, Finished]:
    head = contender.heads[0]
    events = train(
        head.learner,
        run.family,
        plan,
        budget,
        run.spec,
        seed=run.seed,
        state=state,
        evaluations=0,
        checkpoints=Checkpoints(run.state_path(contender.trunk)) if save else None,
        stop=run.stop,
    )
    for event in events:
        if isinstance(event, Finished):
            return event
        if isinstance(event, Progressed):
            label = ", ".join(h.candidate.learner.name for h in contender.heads)
            yield Trying(label, stage, run.spent, run.seconds_left, event.step, event.loss)
    raise AssertionError("training ended without a result")


def _taken_up(run: Run, contender: Contender, rung: int) -> TrainState:
    """Returns where to go on: in this segment if it was cut off, at the trunk's end, or anew."""
    identity = f"{contender.trunk}:{run.family.digest}:{run.seed}"
    path = run.state_path(contender.trunk)
    if contender.state is None and path.exists():
        saved = load_state(path, run.device)
        if saved.identity == f"{identity}:{rung}":
            wall = saved.wall_seconds - saved.base_seconds
            cpu = wall * saved.cpu_seconds / max(saved.wall_seconds, 1e-9)
            run.carried = Cost(wall, cpu)
            run.spent_before, run.cpu_before = run.spent_before + wall, run.cpu_before + cpu
            return saved
        if saved.identity.rpartition(":")[0] == identity:
            contender.state = saved
    if contender.state is not None:
        return replace(contender.state.segment(), identity=f"{identity}:{rung}")
    learner = contender.heads[0].learner
    return initial_state(learner, run.family, run.spec, run.seed, f"{identity}:{rung}")


def _rest(run: Run, state: TrainState) -> Budget:
    """Returns what is left of the run's budget, of which `state` may have used some already."""
    if run.budget.steps is not None:
        return Budget(steps=max(1, run.budget.steps - run.allotted_steps))
    assert run.budget.wall_seconds is not None
    reserve = _RESERVE * run.budget.wall_seconds + run.promotion_seconds
    left = run.budget.wall_seconds - reserve - run.wall_seconds
    return Budget(wall_seconds=max(0.5, left + state.wall_seconds - state.base_seconds))


def _seconds_to_promote(winner: Contender, contenders: list[Contender]) -> float:
    """Returns about what the last figures of the winner and the best baseline will take."""
    baselines = [h for c in contenders if not c.trains for h in c.heads if h.result is not None]
    baseline = max(baselines, key=lambda head: head.value, default=None)
    seconds = (FINAL_EPISODES + PROMOTION_EPISODES) * winner.best.seconds_per_episode
    return seconds + (PROMOTION_EPISODES * baseline.seconds_per_episode if baseline else 0.0)


def _for_head(run: Run, head: Head, trained: MetaParams) -> MetaParams:
    """Returns the shared net's tensors with those that only this head has."""
    own = initial_state(head.learner, run.family, run.spec, run.seed).meta_params
    merged = {name: trained.get(name, tensor) for name, tensor in own.items()}
    learner = head.learner
    if (
        isinstance(learner, AfterTraining)
        and isinstance(learner, EmbeddingLearner)
        and isinstance(run.family, ClassFamily)
    ):
        merged = learner.finish(merged, training_features(learner, merged, run.family))
    return merged
