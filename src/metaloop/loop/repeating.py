"""The loop itself: as long as there is budget, propose, train, learn from it, judge, repeat.

Workers are kept busy one by one, in no common step: whenever one is free it is given the next
proposal, made from all that is known by then. All decisions and all records are made here, in the
coordinator; workers only compute.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from metaloop.archive import JobId
from metaloop.catalogue.learners import embeds
from metaloop.core.budget import Budget
from metaloop.core.objective import objective
from metaloop.executors.base import Executor, Job, Outcome
from metaloop.jobs import baselines
from metaloop.jobs.averaging import AverageRequest
from metaloop.jobs.joining import Joinable, JoinRequest, plain_members
from metaloop.jobs.judging import JudgeResult
from metaloop.jobs.table import Request, arguments_of, name_of, result_of
from metaloop.jobs.workplace import Workplace
from metaloop.loop.breakdowns import Breakdowns
from metaloop.loop.events import LoopEvent, Tried, Trying
from metaloop.loop.heads import heads_to_join
from metaloop.loop.judging import (
    Contestant,
    Judge,
    final_contestants,
    judge_request,
    round_contestants,
    tested_on,
)
from metaloop.loop.population import Node, Population
from metaloop.loop.proposal import Proposal
from metaloop.loop.proposing import Proposer
from metaloop.loop.recording import begin, end
from metaloop.loop.requests import node_request
from metaloop.loop.run import Run, Stopped
from metaloop.loop.settings import USUAL, Settings
from metaloop.loop.shares import at_once

_ASK_AGAIN = 0.005  # of the budget, after which time alone may have brought something to do


@dataclass(frozen=True)
class Begun:
    """A job under way that makes a node."""

    job: JobId
    node: Node


@dataclass(frozen=True)
class Judgement:
    """A judgement under way, and who is judged in it."""

    job: JobId
    contestants: tuple[Contestant, ...]

    @property
    def node(self) -> Node:
        """The node of the first contestant: what is said to be tried meanwhile."""
        return self.contestants[0][0]


@dataclass
class Loop:
    """What the loop goes on with; a resumed run brings its population, judge and next number."""

    run: Run
    workplace: Workplace
    executor: Executor
    proposer: Proposer
    known_programs: tuple[str, ...] = ()
    judge: Judge = field(default_factory=Judge)
    number: int = 0
    settings: Settings = USUAL
    jobs: dict[int, Begun | Judgement] = field(default_factory=dict)
    breakdowns: Breakdowns = field(default_factory=Breakdowns)
    nothing_at: float | None = None  # spent share at which there was nothing to propose

    @property
    def population(self) -> Population:
        """Everything trained so far."""
        return self.proposer.population


def repeat(loop: Loop) -> Iterator[LoopEvent]:
    """Yields what happens until the budget is spent; the judge then holds who won.

    Raises `Stopped` when the run is asked to stop.
    """
    yield from _evolve(loop)
    yield from _join(loop)
    contestants = final_contestants(loop.population, loop.judge)
    yield from _judge(loop, contestants, loop.settings.final_episodes)


def _evolve(loop: Loop) -> Iterator[LoopEvent]:
    run = loop.run
    while True:
        if run.stop():
            raise Stopped
        due = len([at for at in loop.settings.rounds_at if _spent(loop) >= at])
        ready = not (_is_judging(loop) or _awaits_baselines(loop))
        if loop.judge.rounds < due and loop.executor.free and ready:
            contestants = round_contestants(loop.population, loop.judge)
            if len(contestants) > 1:
                _submit_judgement(loop, contestants, loop.settings.round_episodes)
            else:
                loop.judge.rounds += 1
        while loop.executor.free and _may_propose(loop):
            if not _begin_next(loop):
                loop.nothing_at = _spent(loop)
        if not loop.jobs:
            break
        yield from _wait(loop)
    if not loop.population.peaks:  # no net could be trained
        loop.breakdowns.check(most=1)


def _may_propose(loop: Loop) -> bool:
    """Whether there may be something to do: not just after there was nothing, and none ended."""
    return loop.nothing_at is None or _spent(loop) >= loop.nothing_at + _ASK_AGAIN


def _is_judging(loop: Loop) -> bool:
    """Whether a judgement is under way: the next one needs to know its episodes and its winner."""
    return any(isinstance(begun, Judgement) for begun in loop.jobs.values())


def _awaits_baselines(loop: Loop) -> bool:
    """Whether plain baselines are still measured: all are compared with the best of them."""
    pending = loop.population.pending.values()
    return loop.judge.reference is None and any(node.kind == "baselines" for node in pending)


def _begin_next(loop: Loop) -> bool:
    """Gives a free worker the next proposal; returns False if there is nothing to do."""
    if _spent(loop) > 1 - 1e-6:  # shares are added up: ten tenths are a little less than 1
        return False
    proposal = loop.proposer.propose(loop.number, _spent(loop))
    if proposal is None:
        return False
    budget = _budget(loop, proposal)
    if budget is None:
        return False
    population = loop.population
    node = Node(loop.number, proposal, line=loop.number, trained=proposal.share)
    parent = population.nodes.get(proposal.parent) if proposal.parent is not None else None
    if parent is not None and proposal.continues:
        node.line, node.trained = parent.line, parent.trained + proposal.share
    job = begin(loop.run, population, node)
    known = loop.known_programs
    request = node_request(loop.run, population, node, budget, loop.settings, known)
    _submit(loop, Begun(job, node), request, budget)
    return True


def _submit(
    loop: Loop, begun: Begun | Judgement, request: Request, budget: Budget | None = None
) -> None:
    settings, whole = loop.settings, loop.run.budget.wall_seconds
    allowed = settings.seconds_allowed
    if whole is not None:  # joining and judging have what is kept for them
        seconds = settings.finish_share * whole if budget is None else budget.wall_seconds
        assert seconds is not None
        allowed = settings.patience * seconds + settings.grace_seconds
    loop.executor.submit(Job(loop.number, name_of(request), arguments_of(request), allowed))
    loop.jobs[loop.number] = begun
    loop.number += 1


def _wait(loop: Loop) -> Iterator[LoopEvent]:
    """Waits a moment, tells of progress, takes in what has ended."""
    outcomes = loop.executor.wait(loop.settings.wait_seconds)
    loop.run.worker_cpu = loop.executor.cpu_seconds
    said = {progress.job.number: progress.content for progress in loop.executor.events()}
    for number, content in said.items():
        if number in loop.jobs:
            node = loop.jobs[number].node
            yield Trying(
                label=node.candidate.label,
                stage=_stage(node),
                spent=_spent(loop),
                seconds_left=loop.run.seconds_left,
                step=int(content.get("step", 0)),
                loss=float(content.get("loss", 0.0)),
                round=loop.judge.rounds + 1,
            )
    for outcome in outcomes:
        yield from _absorb(loop, outcome)


def _absorb(loop: Loop, outcome: Outcome) -> Iterator[LoopEvent]:
    begun = loop.jobs.pop(outcome.job.number)
    loop.nothing_at = None
    loop.breakdowns.note(loop.run.archive, begun.job, outcome)
    result = None if outcome.value is None else result_of(outcome.job.work, outcome.value)
    if isinstance(begun, Judgement):
        assert result is None or isinstance(result, JudgeResult)
        _conclude(loop, begun, outcome, result)
        return
    assert not isinstance(result, JudgeResult)
    node = begun.node
    trials, progress = end(loop.run, loop.population, node, begun.job, outcome, result)
    loop.proposer.credit(node, progress)
    loop.breakdowns.check()
    best = loop.population.best
    leader = best[1] if best else None
    if node.best is not None or not trials:
        trials = [trial for trial in trials if node.best and trial.results] or trials
        trials = sorted(
            trials,
            key=lambda trial: (
                node.best is not None and trial.candidate != node.best.candidate.identity
            ),
        )[:1]
    for trial in trials[:1]:
        yield Tried(
            label=_label_of(node, trial.candidate),
            trial=trial,
            best=leader.candidate.label if leader else "",
            best_result=leader.search.result if leader and leader.search else None,
            operator=node.proposal.operator,
            progress=progress,
        )


def _join(loop: Loop) -> Iterator[LoopEvent]:
    """Puts the best of several lines together, where that can be: as one net, or as their mean."""
    if not loop.proposer.generates.algorithms:
        return
    reach = loop.settings.joining_reach * loop.population.gain
    peaks = loop.population.peaks
    near = [
        peak
        for peak in peaks
        if embeds(peak.candidate.learner.name)
        and peak.candidate.net.name not in ("custom", "raw")
        and peak.value >= peaks[0].value - reach
    ][: loop.settings.most_joined_from]
    averages = objective(loop.run.spec.objective).averages
    request = _averaging(loop, near) if averages else _joining(loop, near)
    if request is None:
        return
    first, words = near[0], "committee: nets joined"
    node = Node(loop.number, Proposal("join", (first.candidate,), words, parent=first.number))
    job = begin(loop.run, loop.population, node)
    _submit(loop, Begun(job, node), request)
    while loop.jobs:
        if loop.run.stop():
            raise Stopped
        yield from _wait(loop)


def _joining(loop: Loop, near: list[Node]) -> JoinRequest | None:
    """Returns what joins nets of these lines and plain views; good heads are tried on the whole.

    None where there are not several, or tasks have no classes.
    """
    family = loop.run.family
    plain = [
        candidate
        for view in (family.views if near else ())
        for candidate in plain_members(family.seen(view).input_format, view)
    ]
    if not loop.run.spec.ways or len(near) + len(plain) < 2:
        return None
    return JoinRequest(
        node=loop.number,
        nets=(
            *(Joinable(peak.number, peak.candidate) for peak in near),
            *(Joinable(None, candidate) for candidate in plain),
        ),
        heads=heads_to_join(loop.population, loop.settings.most_inventions_joined),
        seed=loop.run.seed,
        episodes=loop.settings.join_episodes,
    )


def _averaging(loop: Loop, near: list[Node]) -> AverageRequest | None:
    """Returns what makes a committee of these lines; None where there are not several of a view."""
    same = [peak for peak in near if peak.candidate.view == near[0].candidate.view]
    if len(same) < 2:
        return None
    learners = tuple(Joinable(peak.number, peak.candidate) for peak in same)
    return AverageRequest(loop.number, learners, loop.run.seed, loop.settings.episodes)


def _judge(loop: Loop, contestants: list[Contestant], episodes: int) -> Iterator[LoopEvent]:
    _submit_judgement(loop, contestants, episodes)
    while loop.jobs:
        if loop.run.stop():
            raise Stopped
        yield from _wait(loop)


def _submit_judgement(loop: Loop, contestants: list[Contestant], episodes: int) -> None:
    run = loop.run
    asked = {
        "episodes": episodes,
        "seed": run.seed,
        "contestants": [head.candidate.identity for _, head in contestants],
        "known": [tested_on(head) for _, head in contestants],
    }
    job = run.archive.begin_job(run.id, loop.number, "judge", asked)
    request = judge_request(contestants, episodes, run.seed)
    _submit(loop, Judgement(job, tuple(contestants)), request)


def _conclude(
    loop: Loop, judgement: Judgement, outcome: Outcome, result: JudgeResult | None
) -> None:
    run = loop.run
    with run.archive.transaction():
        if result is not None:
            loop.judge.conclude(run, judgement.contestants, result.figures)
        else:
            loop.judge.rounds += 1
        status = "finished" if outcome.status == "done" else outcome.status
        run.archive.end_job(
            judgement.job, status, loop.judge.answer, outcome.message,
            cpu_seconds=outcome.cpu_seconds, wall_seconds=outcome.wall_seconds,
        )  # fmt: skip


def _spent(loop: Loop) -> float:
    """Returns the share of the budget that is gone; under one in steps, that is given away."""
    run, population = loop.run, loop.population
    if run.budget.wall_seconds is not None:
        return run.wall_seconds / (run.budget.wall_seconds - _finish_seconds(loop))
    nodes = population.known
    return sum((node.proposal.share for node in nodes), 0.0)


def _budget(loop: Loop, proposal: Proposal) -> Budget | None:
    """Returns a proposal's part of the budget; None if what is left is not worth starting."""
    run = loop.run
    if run.budget.steps is not None:
        return Budget(steps=max(2, round(proposal.share * run.budget.steps)))
    assert run.budget.wall_seconds is not None
    share = baselines.SHARE if proposal.kind == "baselines" else proposal.share
    planned = share * run.budget.wall_seconds * at_once(loop.executor.num_workers)
    left = run.budget.wall_seconds - _finish_seconds(loop) - run.wall_seconds
    if proposal.kind != "baselines" and left < loop.settings.least_segment * planned:
        return None
    return Budget(wall_seconds=max(0.2, min(planned, left)))


def _finish_seconds(loop: Loop) -> float:
    """Returns what is kept of a budget in seconds for joining and the last judgement."""
    assert loop.run.budget.wall_seconds is not None
    most = loop.settings.finish_share * loop.run.budget.wall_seconds
    slowest = max((node.measuring_seconds for node in loop.population.nodes.values()), default=0.0)
    return min(most, loop.settings.measurements_to_finish * slowest or most)


def _stage(node: Node) -> str:
    return node.proposal.operator if node.kind == "train" else node.kind


def _label_of(node: Node, identity: str) -> str:
    for head in node.heads:
        if head.candidate.identity == identity:
            return head.candidate.label
    return node.candidate.label
