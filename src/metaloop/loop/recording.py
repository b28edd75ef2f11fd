"""Measuring heads and keeping what was measured, so that an interrupted race can go on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from metaloop.core.errors import DivergenceError, EpisodeError
from metaloop.core.records import CurvePoint, Part, Trial
from metaloop.engine.evaluation import FeatureCache, evaluate
from metaloop.engine.state import TrainState
from metaloop.loop.choosing import Contender, Head
from metaloop.loop.events import LoopEvent, Tried
from metaloop.loop.run import Cost, Run

# What a candidate can do wrong; anything else (a full disk, a damaged archive) ends the run.
CANDIDATES_FAULTS = (
    EpisodeError,
    RuntimeError,
    ValueError,
    TypeError,
    ArithmeticError,
    MemoryError,
)


@dataclass(frozen=True)
class Start:
    """When a segment began, on both clocks."""

    cpu: float = field(default_factory=time.process_time)
    wall: float = field(default_factory=time.perf_counter)


def begin(run: Run, contender: Contender, rung: int) -> None:
    """Writes that the heads' trials of this rung have begun."""
    with run.archive.transaction():
        for head in contender.heads:
            head.rung = rung
            head.trial = run.archive.begin_trial(
                run.id, head.candidate.identity, run.family.digest, seed=run.seed, rung=rung
            )


def one_line(error: BaseException) -> str:
    """Returns the error's kind and text in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def measure(
    run: Run, head: Head, part: Part, episodes: int, cache: FeatureCache | None = None
) -> None:
    """Sets the head's result on the first `episodes` of the part's frozen list.

    `cache` holds features that heads of one trained net share.
    """
    start = time.perf_counter()
    try:
        result, scores = evaluate(
            head.learner, head.meta_params, run.family, part, run.spec, episodes, cache
        )
    except DivergenceError as error:
        head.fail("diverged", str(error))
        return
    except CANDIDATES_FAULTS as error:
        head.fail("failed", one_line(error))
        return
    head.seconds_per_episode = (time.perf_counter() - start) / episodes
    head.status = "finished"
    if part == "search":
        head.result, head.scores = result, scores
    else:
        head.promotion, head.promotion_scores = result, scores


def record(
    run: Run, contender: Contender, state: TrainState, start: Start, contenders: list[Contender]
) -> Iterator[LoopEvent]:
    """Writes the heads' trials in one transaction, then tells about them."""
    cpu = time.process_time() - start.cpu + run.carried.cpu
    wall = time.perf_counter() - start.wall + run.carried.wall
    run.carried = Cost()
    trials = []
    with run.archive.transaction():
        for head in contender.heads:
            head.cpu_seconds += cpu
            trial = _trial(run, head, state, cpu, wall)
            scores = {}
            if head.result is not None and head.scores is not None:
                scores[head.result.protocol.list_hash] = head.scores
            assert head.trial is not None
            run.archive.end_trial(head.trial, trial, scores)
            head.trial = None
            trials.append((head, trial))
    for head, trial in trials:
        leader = max((h for c in contenders for h in c.heads), key=lambda h: h.value)
        value = leader.result.value if leader.result else None
        yield Tried(head.candidate.label, trial, leader.candidate.label, value)


def restore(run: Run, contender: Contender, rung: int) -> bool:
    """Takes the segment's trials from the archive; returns whether all of them were there."""
    found = []
    for head in contender.heads:
        stored = [
            s
            for s in run.archive.trials(candidate=head.candidate.identity)
            if s.trial.rung == rung
            and s.trial.status in ("finished", "diverged", "failed")
            and s.data_hash == run.family.digest
            and s.trial.seed == run.seed
        ]
        if not stored:
            return False
        found.append((head, stored[-1]))
    for head, stored_trial in found:
        trial = stored_trial.trial
        head.rung, head.steps, head.status = rung, trial.steps, trial.status
        head.message = trial.message
        head.cpu_seconds += trial.cpu_seconds
        for result in run.archive.results(trial=stored_trial.id, part="search"):
            head.result = result.result
            head.scores = run.archive.scores(result.id) if result.has_scores else None
    return True


def _trial(run: Run, head: Head, state: TrainState, cpu: float, wall: float) -> Trial:
    assert head.status != "untried"
    flops = state.flops_per_step * state.step if state.flops_per_step is not None else None
    curve = list(state.curve)
    if head.result is not None and state.step:
        point = CurvePoint(state.step, state.wall_seconds, state.loss, head.result.value)
        curve.append(point)
    return Trial(
        candidate=head.candidate.identity,
        status=head.status,
        seed=run.seed,
        steps=state.step,
        cpu_seconds=cpu,
        wall_seconds=wall,
        flops=flops,
        rung=head.rung,
        curve=tuple(curve),
        results=(head.result,) if head.result is not None else (),
        message=head.message,
    )
