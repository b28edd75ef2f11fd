"""The loop itself: as long as there is budget, propose, train, learn from it, judge, repeat.

Workers are kept busy one by one, in no common step: whenever one is free it is given the next
proposal, made from all that is known by then. All decisions and all records are made here, in the
coordinator; workers only compute.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from metaloop.archive import JobId
from metaloop.catalogue.learners import embeds
from metaloop.core.budget import Budget
from metaloop.core.randomness import derive_seed
from metaloop.core.records import Candidate, candidate_from_json, to_json
from metaloop.executors.base import Executor, Job, Outcome
from metaloop.generators.recipes import recipe_text
from metaloop.jobs import baselines
from metaloop.jobs.joining import plain_members
from metaloop.jobs.training import Segment
from metaloop.jobs.workplace import TrainingData
from metaloop.loop.breakdowns import Breakdowns
from metaloop.loop.events import LoopEvent, Tried, Trying
from metaloop.loop.judging import (
    FINAL_EPISODES,
    ROUND_EPISODES,
    Contestant,
    Judge,
    final_contestants,
    round_contestants,
    tested_on,
)
from metaloop.loop.population import Head, Node, Population
from metaloop.loop.proposal import Proposal
from metaloop.loop.proposing import Proposer
from metaloop.loop.recording import add_head, begin, end, is_generated, take_figures
from metaloop.loop.run import Run, Stopped

RACE_EPISODES = 100
EPISODES = 400
JOIN_EPISODES = 200  # for many features there are many numbers to go through
ROUNDS_AT = (0.35, 0.65)  # spent shares of the budget at which the incumbent is tested again
FINISH_SHARE = 0.12  # of a budget in seconds, at most, for joining and the last judgement
_MEASUREMENTS_TO_FINISH = 8  # what they take, in times that a node takes to be measured
_LEAST_SEGMENT = 0.25  # of what was planned: a shorter one is not worth starting
_WAIT_SECONDS = 0.5
_PATIENCE, _GRACE_SECONDS = 4.0, 60.0  # a job may take so many times its budget, and this on top
_SECONDS_ALLOWED = 1800.0  # of a job, where the budget is in steps
_MOST_JOINED_FROM = 6
_JOINING_REACH = 0.075  # of what can be gained, behind the best line: others only cost time
_MOST_HEADS = 4


@dataclass
class Loop:
    """What the loop goes on with; a resumed run brings its population, judge and next number."""

    run: Run
    executor: Executor
    proposer: Proposer
    known_programs: tuple[str, ...] = ()
    judge: Judge = field(default_factory=Judge)
    number: int = 0
    jobs: dict[int, tuple[Node, JobId, Any]] = field(default_factory=dict)
    breakdowns: Breakdowns = field(default_factory=Breakdowns)

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
    yield from _judge(loop, final_contestants(loop.population, loop.judge), FINAL_EPISODES)


def _evolve(loop: Loop) -> Iterator[LoopEvent]:
    run = loop.run
    while True:
        if run.stop():
            raise Stopped
        due = len([at for at in ROUNDS_AT if _spent(loop) >= at])
        if loop.judge.rounds < due and loop.executor.free and not _is_judging(loop):
            contestants = round_contestants(loop.population, loop.judge)
            if len(contestants) > 1:
                _submit_judgement(loop, contestants, ROUND_EPISODES)
            else:
                loop.judge.rounds += 1
        began = True
        while loop.executor.free and began:
            began = _begin_next(loop)
        if not loop.jobs:
            break
        yield from _wait(loop)
    if not loop.population.peaks:  # no net could be trained
        loop.breakdowns.check(most=1)


def _is_judging(loop: Loop) -> bool:
    """Whether a judgement is under way: the next one needs to know its episodes and its winner."""
    return any("contestants of" in extra for _, _, extra in loop.jobs.values())


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
    node = Node(
        loop.number, proposal.kind, proposal.recipe, proposal.operator, proposal.arm,
        proposal.parent, proposal.continues, proposal.rung, proposal.share,
        filtered_by=proposal.filtered_by,
    )  # fmt: skip
    parent = population.nodes.get(proposal.parent) if proposal.parent is not None else None
    node.line = parent.line if parent is not None and proposal.continues else loop.number
    node.trained = proposal.share + (parent.trained if parent and proposal.continues else 0.0)
    job = begin(loop.run, population, node, proposal)
    _submit(loop, node, job, proposal.kind, _arguments(loop, node, proposal, budget), budget)
    return True


def _arguments(loop: Loop, node: Node, proposal: Proposal, budget: Budget) -> dict[str, Any]:
    population, run = loop.population, loop.run
    parent = population.nodes.get(proposal.parent) if proposal.parent is not None else None
    if proposal.kind == "baselines":
        return {
            "heads": [to_json(head) for head in proposal.heads],
            "seed": run.seed,
            "episodes": baselines.EPISODES,
            "cpu_seconds": budget.wall_seconds,  # of one process, which a worker is
        }
    if proposal.kind == "invent":
        assert parent is not None
        evaluations = None if budget.steps is None else max(20, 5 * budget.steps)
        return {
            "node": node.number,
            "on": parent.number,
            "recipe": to_json(parent.recipe),
            "heads": [to_json(head) for head in proposal.heads],
            "known": _known_programs(loop),
            "wall_seconds": budget.wall_seconds,
            "evaluations": evaluations,
            "seed": run.seed,
            "episodes": EPISODES,
        }
    first = not proposal.continues and proposal.parent is None
    return Segment(
        node=node.number,
        heads=proposal.heads,
        budget=budget,
        seed=_line_seed(run, node),
        episodes=RACE_EPISODES if first else EPISODES,
        data=_training_data(loop, node),
        start=parent.number if parent is not None and proposal.continues else None,
        start_recipe=parent.recipe if parent is not None and proposal.continues else None,
        start_data=_training_data(loop, parent) if parent and proposal.continues else None,
    ).to_arguments()


def _known_programs(loop: Loop) -> list[str]:
    """Returns the sources of programs that were invented before, in earlier runs or this one."""
    here = [head.candidate.program for head in loop.population.inventions]
    return list(dict.fromkeys([*loop.known_programs, *(text for text in here if text is not None)]))


def _line_seed(run: Run, node: Node) -> int:
    """Returns the seed of a line: those of two runs have nothing in common."""
    return derive_seed(run.seed, "line", node.line) % 2**31


def _training_data(loop: Loop, node: Node) -> TrainingData:
    judge = loop.population.nodes.get(-1 if node.filtered_by is None else node.filtered_by)
    return TrainingData(
        families=node.recipe.data.families,
        text=recipe_text(node.recipe.data),
        seed=_line_seed(loop.run, node),
        judge=judge.number if judge is not None else None,
        judge_recipe=to_json(judge.recipe) if judge is not None else "",
    )


def _submit(
    loop: Loop,
    node: Node,
    job: JobId,
    work: str,
    arguments: dict[str, Any],
    budget: Budget | None = None,
) -> None:
    allowed, whole = _SECONDS_ALLOWED, loop.run.budget.wall_seconds
    if whole is not None:  # joining and judging have what is kept for them
        seconds = FINISH_SHARE * whole if budget is None else budget.wall_seconds
        assert seconds is not None
        allowed = _PATIENCE * seconds + _GRACE_SECONDS
    loop.executor.submit(Job(loop.number, work, arguments, allowed))
    loop.jobs[loop.number] = (node, job, arguments)
    loop.number += 1


def _wait(loop: Loop) -> Iterator[LoopEvent]:
    """Waits a moment, tells of progress, takes in what has ended."""
    outcomes = loop.executor.wait(_WAIT_SECONDS)
    loop.run.worker_cpu = loop.executor.cpu_seconds
    said = {progress.job.number: progress.content for progress in loop.executor.events()}
    for number, content in said.items():
        if number in loop.jobs:
            node = loop.jobs[number][0]
            yield Trying(
                label=node.recipe.label,
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
    node, job, extra = loop.jobs.pop(outcome.job.number)
    loop.breakdowns.note(loop.run.archive, job, outcome)
    if outcome.job.work == "judge":
        _conclude(loop, job, extra["contestants of"], outcome)
        return
    if outcome.status == "done" and outcome.job.work in ("baselines", "invent", "join"):
        _take_candidates(loop, node, job, outcome)
    trials, progress = end(loop.run, loop.population, node, job, outcome)
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
            operator=node.operator,
            progress=progress,
        )


def _take_candidates(loop: Loop, node: Node, job: JobId, outcome: Outcome) -> None:
    """Records the candidates that a job came back with as heads of its node."""
    value = outcome.value or {}
    node.members = tuple(value.get("members", ()))
    for entry, figures in zip(value.get("candidates", []), value.get("heads", []), strict=True):
        told = entry if isinstance(entry, dict) else {"candidate": entry}
        candidate = candidate_from_json(told["candidate"])
        operator = told.get("operator", value.get("operator", node.operator))
        head = Head(candidate, "running", generated=is_generated(candidate))
        facts = (operator, told.get("behaviour"), told.get("ancestor"))
        add_head(loop.run, loop.population, node, job, head, *facts)
        take_figures(head, figures)


def _join(loop: Loop) -> Iterator[LoopEvent]:
    """Joins nets of lines, and plain views, where there are several; good heads are tried on it."""
    if not loop.proposer.generates.algorithms:
        return
    lines = [
        line
        for line in loop.population.peaks
        if embeds(line.recipe.learner.name)
        and line.recipe.net.name not in ("custom", "raw")
        and line.value >= loop.population.peaks[0].value - _JOINING_REACH * loop.population.gain
    ][:_MOST_JOINED_FROM]
    plain = plain_members(loop.run.family.input_format) if lines else []
    if loop.run.spec.objective != "classification" or len(lines) + len(plain) < 2:
        return
    heads = _heads_to_join(loop, lines)
    first, words = lines[0], "committee: nets joined"
    node = Node(loop.number, "join", first.recipe, words, parent=first.number)
    proposal = Proposal("join", heads, node.operator)
    job = begin(loop.run, loop.population, node, proposal)
    arguments = {
        "node": node.number,
        "nodes": [line.number for line in lines] + [None for _ in plain],
        "recipes": [to_json(recipe) for recipe in [line.recipe for line in lines] + plain],
        "heads": [to_json(head) for head in heads],
        "seed": loop.run.seed,
        "episodes": JOIN_EPISODES,
    }
    _submit(loop, node, job, "join", arguments)
    while loop.jobs:
        if loop.run.stop():
            raise Stopped
        yield from _wait(loop)


def _heads_to_join(loop: Loop, lines: list[Node]) -> tuple[Candidate, ...]:
    """Returns the best heads of the lines and of what was invented, different methods only."""
    nodes = [*lines, *loop.population.of_kind("invent")]
    measured = [head for node in nodes for head in node.heads if head.search is not None]
    chosen: dict[tuple[str, str | None], Candidate] = {}
    for head in sorted(measured, key=lambda head: head.merit, reverse=True):
        key = (head.candidate.learner.name, head.candidate.program)
        chosen.setdefault(key, head.candidate)
    return tuple(chosen.values())[:_MOST_HEADS]


def _judge(loop: Loop, contestants: list[Contestant], episodes: int) -> Iterator[LoopEvent]:
    _submit_judgement(loop, contestants, episodes)
    while loop.jobs:
        if loop.run.stop():
            raise Stopped
        yield from _wait(loop)


def _submit_judgement(loop: Loop, contestants: list[Contestant], episodes: int) -> None:
    arguments = loop.judge.arguments(contestants, episodes, loop.run.seed)
    asked = {name: value for name, value in arguments.items() if name != "contestants"}
    asked["contestants"] = [head.candidate.identity for _, head in contestants]
    asked["known"] = [tested_on(head) for _, head in contestants]
    job = loop.run.archive.begin_job(loop.run.id, loop.number, "judge", asked)
    node = contestants[0][0]
    number = loop.number
    _submit(loop, node, job, "judge", arguments)
    loop.jobs[number] = (node, job, {"contestants of": contestants})


def _conclude(loop: Loop, job: JobId, contestants: list[Contestant], outcome: Outcome) -> None:
    run = loop.run
    with run.archive.transaction():
        if outcome.value is not None:
            loop.judge.conclude(run, contestants, outcome.value)
        else:
            loop.judge.rounds += 1
        status = "finished" if outcome.status == "done" else outcome.status
        run.archive.end_job(
            job, status, loop.judge.answer, outcome.message,
            cpu_seconds=outcome.cpu_seconds, wall_seconds=outcome.wall_seconds,
        )  # fmt: skip


def _spent(loop: Loop) -> float:
    """Returns the share of the budget that is gone; under one in steps, that is given away."""
    run, population = loop.run, loop.population
    if run.budget.wall_seconds is not None:
        return run.wall_seconds / (run.budget.wall_seconds - _finish_seconds(loop))
    nodes = [*population.nodes.values(), *population.pending.values()]
    return sum((node.share for node in nodes), 0.0)


def _budget(loop: Loop, proposal: Proposal) -> Budget | None:
    """Returns a proposal's part of the budget; None if what is left is not worth starting."""
    run = loop.run
    if run.budget.steps is not None:
        return Budget(steps=max(2, round(proposal.share * run.budget.steps)))
    assert run.budget.wall_seconds is not None
    share = baselines.SHARE if proposal.kind == "baselines" else proposal.share
    planned = share * run.budget.wall_seconds * loop.executor.num_workers
    left = run.budget.wall_seconds - _finish_seconds(loop) - run.wall_seconds
    if proposal.kind != "baselines" and left < _LEAST_SEGMENT * planned:
        return None
    return Budget(wall_seconds=max(0.2, min(planned, left)))


def _finish_seconds(loop: Loop) -> float:
    """Returns what is kept of a budget in seconds for joining and the last judgement."""
    assert loop.run.budget.wall_seconds is not None
    most = FINISH_SHARE * loop.run.budget.wall_seconds
    slowest = max((node.beside for node in loop.population.nodes.values()), default=0.0)
    return min(most, _MEASUREMENTS_TO_FINISH * slowest or most)


def _stage(node: Node) -> str:
    return node.operator if node.kind == "train" else node.kind


def _label_of(node: Node, identity: str) -> str:
    for head in node.heads:
        if head.candidate.identity == identity:
            return head.candidate.label
    return node.recipe.label
