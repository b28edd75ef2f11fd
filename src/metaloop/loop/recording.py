"""Writing what the loop does into the archive, and reading it back into a population.

A job is recorded before it begins and when it ends; the trials of its heads with it, in one
transaction. What has been reported is in the archive, whatever happens to the process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from metaloop.archive import JobId, StoredJob, StoredTrial, TrialId
from metaloop.catalogue.programs import on_trunk, program_name
from metaloop.core.records import (
    Candidate,
    CurvePoint,
    Part,
    Trial,
    TrialStatus,
    Verdict,
    candidate_from_json,
    to_json,
)
from metaloop.core.statistics import EpisodeScores, Estimate
from metaloop.executors.base import Outcome
from metaloop.jobs.averaging import AverageResult
from metaloop.jobs.joining import JoinResult
from metaloop.jobs.measured import Found, Measured, measured
from metaloop.jobs.table import FoundResult, NodeResult
from metaloop.jobs.training import TrainResult
from metaloop.jobs.workplace import net_path
from metaloop.loop.arms import CONTINUE
from metaloop.loop.population import Head, Node, Population, net_node
from metaloop.loop.proposal import CATALOGUE, Proposal
from metaloop.loop.run import Run

EARLIER_PROGRAM = "archive: a program of an earlier run"
_OPERATIONS_PER_SECOND = 1e11  # of a core, about: makes counted operations comparable to seconds

_ENDED: Mapping[str, TrialStatus] = {
    "done": "finished",
    "failed": "failed",
    "timed out": "timed out",
    "crashed": "failed",
    "no memory": "failed",
    "machine failed": "interrupted",
}
_TRIED_AGAIN = ("no memory", "machine failed")  # by a resumed run


def begin(run: Run, population: Population, node: Node) -> JobId:
    """Records candidates, job and trials of a node; the population knows it is under way."""
    proposal = node.proposal
    parent = population.nodes.get(node.parent) if node.parent is not None else None
    with run.archive.transaction():
        job = run.archive.begin_job(run.id, node.number, node.kind, asked(node))
        for candidate in proposal.heads if node.kind == "train" else ():
            parents = _parents(candidate, parent, proposal)
            plain = not parents and proposal.operator in (CATALOGUE, CONTINUE)
            operator = _origin(candidate) if plain else proposal.operator
            run.archive.add_candidate(candidate, parents, operator, run=run.id)
            trial = run.archive.begin_trial(
                run.id,
                candidate.identity,
                run.family.digest,
                seed=run.seed,
                rung=proposal.rung,
                continues=_trunk_trial(parent) if node.continues else None,
                job=job,
            )
            head = Head(candidate, "running", trial, generated=is_generated(candidate))
            node.heads.append(head)
    population.begin(node)
    return job


def end(
    run: Run,
    population: Population,
    node: Node,
    job: JobId,
    outcome: Outcome,
    result: NodeResult | None,
) -> tuple[list[Trial], Estimate | None]:
    """Records what came of a job and takes it into the population.

    `result` is what it came back with, None of one that was broken off. Returns the trials and, if
    it had a parent, its paired progress on `search`.
    """
    if result is not None and not isinstance(result, TrainResult):
        _take_found(run, population, node, job, result)
    node.cost = _cost(run, outcome.cpu_seconds, result.flops if result is not None else None)
    _take_figures(node, outcome, result)
    _charge(population, node, outcome.cpu_seconds)
    trials = []
    with run.archive.transaction():
        for head in node.heads:
            head.steps = result.steps if result is not None else 0
            trial = _trial(run, node, head, outcome, result)
            assert head.trial is not None
            run.archive.end_trial(head.trial, trial, _scores(head))
            trials.append(trial)
        status, message = _ended(outcome, result)
        run.archive.end_job(
            job,
            "interrupted" if outcome.status in _TRIED_AGAIN else status,
            _answered(run, node, result),
            message,
            cpu_seconds=outcome.cpu_seconds,
            wall_seconds=outcome.wall_seconds,
        )
        progress = population.end(node)
        if progress is not None and node.parent is not None:
            _add_verdict(run, population, node, progress)
    return trials, progress


def _ended(outcome: Outcome, result: NodeResult | None) -> tuple[str, str]:
    """Returns how a job ended, in the words of the archive, and why."""
    if result is None:
        return outcome.status, outcome.message
    if isinstance(result, TrainResult):
        return result.status, result.message
    return "finished", ""


def _answered(run: Run, node: Node, result: NodeResult | None) -> dict[str, Any]:
    """Returns what is recorded of a job's answer; what depends on the clock in seconds only."""
    steps, flops = (result.steps, result.flops) if result is not None else (0, None)
    answered = {"steps": steps, "flops": flops, "members": node.members}
    if run.budget.steps is None and isinstance(result, TrainResult):
        answered["train_cpu_seconds"] = result.train_cpu_seconds
    return answered


def _take_found(
    run: Run, population: Population, node: Node, job: JobId, result: FoundResult
) -> None:
    """Records the candidates that a job came back with as heads of its node."""
    if isinstance(result, JoinResult | AverageResult):
        node.members = result.members
    for found in result.found:
        _add_head(run, population, node, job, found)


def _add_head(run: Run, population: Population, node: Node, job: JobId, found: Found) -> None:
    """Records a candidate that a job came back with, begins its trial, makes it the node's."""
    candidate = found.candidate
    with run.archive.transaction():
        parents = _givers(run, population, node, candidate, found.ancestor)
        operator = found.operator or node.proposal.operator
        run.archive.add_candidate(
            candidate, parents, operator, run=run.id, behaviour=found.behaviour
        )
        trial = run.archive.begin_trial(
            run.id, candidate.identity, run.family.digest, seed=run.seed, job=job
        )
    node.heads.append(Head(candidate, "running", trial, generated=is_generated(candidate)))


def asked(node: Node) -> dict[str, Any]:
    """Returns what is recorded of a proposal: with the trials, enough to make the node again."""
    facts = vars(node.proposal) | {"line": node.line, "trained": node.trained}
    names = ("operator", "arm", "parent", "continues", "rung", "share", "filtered_by")
    kept = {name: facts[name] for name in (*names, "line", "trained")}
    return kept | {"recipe": to_json(node.candidate)}


def restore(run: Run, population: Population) -> tuple[int, list[tuple[Node, Estimate | None]]]:
    """Takes the ended jobs of the run's earlier tries into the population, in their order.

    Returns the next free job number, and the nodes with their progress. Nodes whose nets are gone
    are left out: they would have to be trained again.
    """
    trials: dict[int, list[StoredTrial]] = {}
    for stored in run.archive.trials():
        if stored.job is not None:
            trials.setdefault(stored.job, []).append(stored)
    candidates = {stored.identity: stored.candidate for stored in run.archive.candidates()}
    following, ended = 0, []
    jobs = [job for job in run.archive.jobs() if job.run in run.tries]
    for job in sorted(jobs, key=lambda job: (job.ended or "", job.id)):
        following = max(following, job.number + 1)
        if job.status in ("running", "interrupted") or job.work == "judge":
            continue
        node = _node(run, job, trials.get(job.id, []), candidates)
        if _is_lost(run, node):
            continue
        _charge(population, node, job.cpu_seconds)
        ended.append((node, population.end(node)))
    return following, ended


def _is_lost(run: Run, node: Node) -> bool:
    """Whether the net that a node's heads are on is gone: the folder of states was removed."""
    number = None if node.best is None else net_node(node, node.best)
    return number is not None and not net_path(run.states, number).exists()


def is_generated(candidate: Candidate) -> bool:
    """Whether a candidate's program was invented, in this run or an earlier one."""
    return candidate.program is not None and program_name(candidate.program) is None


def _parents(candidate: Candidate, parent: Node | None, proposal: Proposal) -> tuple[str, ...]:
    """Returns who a head came from: the same head on the parent's net, if that was measured."""
    if parent is None:
        return ()
    method = (candidate.learner, candidate.program)
    measured = [head.candidate for head in parent.heads]
    plain = parent.kind == "baselines"  # of which not all were measured
    other = proposal.candidate if plain else parent.candidate
    same = [c for c in measured if (c.learner, c.program) == method] or [other]
    found = dict.fromkeys((same[0].identity, *proposal.further_parents))
    return tuple(identity for identity in found if identity != candidate.identity)


def _givers(
    run: Run, population: Population, node: Node, candidate: Candidate, ancestor: str | None
) -> list[str]:
    """Returns whose nets a job has put together, and which candidate gave the program."""
    numbers = node.members or ((node.parent,) if node.parent is not None else ())
    givers = [population.nodes[number] for number in numbers]
    nets = [node.candidate if each.kind == "baselines" else each.candidate for each in givers]
    found = list(dict.fromkeys(net.identity for net in nets))
    if ancestor is not None and ancestor != candidate.program:
        found += _inventors(population, ancestor) or [_ancestor(run, nets[0], ancestor)]
    elif is_generated(candidate):
        found += _inventors(population, candidate.program)
    return [identity for identity in found if identity != candidate.identity]


def _inventors(population: Population, program: str | None) -> list[str]:
    """Returns the best candidate of this run that was invented with this program, if any."""
    invented = [head.candidate for head in population.inventions]
    return [one.identity for one in invented if one.program == program][:1]


def _ancestor(run: Run, net: Candidate, program: str) -> str:
    """Records the program that another came from as one on the same net; returns its identity."""
    older = on_trunk(net, program)
    operator = _origin(older) if program_name(program) else EARLIER_PROGRAM
    return run.archive.add_candidate(older, [net.identity], operator, run=run.id)


def _origin(candidate: Candidate) -> str:
    """Returns how a candidate without parents came about; a known program by its name."""
    name = program_name(candidate.program)
    return CATALOGUE if name is None else f"{CATALOGUE}: {name}"


def _node(
    run: Run, job: StoredJob, trials: list[StoredTrial], candidates: Mapping[str, Candidate]
) -> Node:
    asked = dict(job.asked)
    heads = (candidate_from_json(asked.pop("recipe")),)
    place = {name: asked.pop(name) for name in ("line", "trained") if name in asked}
    proposal = Proposal(job.work, heads, **asked)  # type: ignore[arg-type]
    node = Node(job.number, proposal, **place)
    node.members = tuple(job.answered.get("members") or ())
    if node.kind == "train":
        trained = [point.wall_seconds for one in trials for point in one.trial.curve[-1:]]
        node.measuring_seconds = job.wall_seconds - max(trained) if trained else 0.0
    node.cost = _cost(run, job.cpu_seconds, job.answered.get("flops"))
    for stored in trials:
        trial = stored.trial
        candidate = candidates[trial.candidate]
        head = Head(candidate, trial.status, stored.id, message=trial.message)
        head.steps = trial.steps
        head.generated = is_generated(candidate)
        head.search = _last_measured(run, stored, "search")
        head.promotion = _last_measured(run, stored, "promotion")
        node.heads.append(head)
    return node


def _last_measured(run: Run, trial: StoredTrial, part: Part) -> Measured | None:
    """Returns the latest figures of a trial on a part: of `promotion` there may be older ones."""
    found = list(run.archive.results(trial=trial.id, part=part))
    tasks = list(dict.fromkeys(one.result.protocol.shots for one in found))
    if not found:
        return None
    latest = found[-len(tasks) :]
    scores = tuple(run.archive.episode_scores(one.id) for one in latest)
    return Measured(tuple(one.result for one in latest), scores)


def _take_figures(node: Node, outcome: Outcome, result: NodeResult | None) -> None:
    """Puts what a worker measured into the heads of a node, or why there is nothing."""
    if result is None or (isinstance(result, TrainResult) and result.status != "finished"):
        status = _ENDED[outcome.status] if result is None else result.status
        message = outcome.message if result is None else result.message
        for head in node.heads:
            head.status, head.message = status, message
        return
    if isinstance(result, TrainResult):
        node.measuring_seconds = outcome.wall_seconds - result.train_wall_seconds
        figures = result.heads
    else:
        figures = tuple(found.figures for found in result.found)
    for head, one in zip(node.heads, figures, strict=True):
        head.status, head.message, head.search = one.status, one.message, measured(one)


def _trial(run: Run, node: Node, head: Head, outcome: Outcome, result: NodeResult | None) -> Trial:
    trained = result if isinstance(result, TrainResult) else None
    curve = list(trained.curve) if trained is not None else []
    if head.search is not None and head.steps:
        loss = trained.loss if trained is not None else None
        seconds = trained.train_wall_seconds if trained is not None else 0.0
        value = head.search.result.value
        curve.append(CurvePoint(head.steps, seconds, np.nan if loss is None else loss, value))
    return Trial(
        candidate=head.candidate.identity,
        status=head.status,
        seed=run.seed,
        steps=head.steps,
        cpu_seconds=outcome.cpu_seconds,
        wall_seconds=outcome.wall_seconds,
        flops=result.flops if result is not None else None,
        rung=node.proposal.rung,
        curve=tuple(curve),
        results=() if head.search is None else head.search.results,
        message=head.message,
    )


def _scores(head: Head) -> dict[str, EpisodeScores]:
    if head.search is None:
        return {}
    lists = [result.protocol.list_hash for result in head.search.results]
    return dict(zip(lists, head.search.scores, strict=True))


def _charge(population: Population, node: Node, cpu_seconds: float) -> None:
    """Charges every head of a node what its job took, and what its net had cost before."""
    before = [population.nodes[number].heads[0] for number in _built_on(population, node)]
    for head in node.heads:
        head.cpu_seconds = cpu_seconds + sum(earlier.cpu_seconds for earlier in before)
        head.cost = node.cost + sum(earlier.cost for earlier in before)


def _built_on(population: Population, node: Node) -> list[int]:
    """Returns the nodes whose training was needed for this one."""
    numbers = list(node.members) if node.kind == "join" else []
    if (node.continues or node.kind == "invent") and node.parent is not None:
        numbers = [node.parent]
    return [n for n in numbers if n in population.nodes and population.nodes[n].heads]


def _cost(run: Run, cpu_seconds: float, flops: float | None) -> float:
    """Returns CPU-seconds; under a budget in steps nominal ones, of counted operations."""
    return cpu_seconds if run.budget.steps is None else float(flops or 0.0)


def _trunk_trial(parent: Node | None) -> TrialId | None:
    return parent.heads[0].trial if parent is not None and parent.heads else None


def _add_verdict(run: Run, population: Population, node: Node, progress: Estimate) -> None:
    """Records how a node did against its parent, on the episodes that both were measured on."""
    assert node.parent is not None
    parent = population.nodes[node.parent]
    if node.best is None or parent.best is None:
        return
    child, before = node.best.candidate.identity, parent.best.candidate.identity
    if child == before:
        return
    forward = progress.value > 0
    value = progress.value if forward else -progress.value
    run.archive.add_verdict(
        run.id,
        Verdict(
            winner=child if forward else before,
            loser=before if forward else child,
            part="search",
            difference=value,
            low=value - progress.ci95,
            episodes=progress.episodes,
            reason=_operator(run, node, child),
            low_new=None if progress.ci95_new is None else value - progress.ci95_new,
            units=progress.units,
        ),
    )


def _operator(run: Run, node: Node, candidate: str) -> str:
    """Returns what made a candidate; of several from one job each has a change of its own."""
    if node.kind == "train":
        return node.proposal.operator
    return run.archive.candidate(candidate).operator
