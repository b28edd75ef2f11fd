"""Writing what the loop does into the archive, and reading it back into a population.

A job is recorded before it begins and when it ends; the trials of its heads with it, in one
transaction. What has been reported is in the archive, whatever happens to the process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from metaloop.archive import JobId, StoredJob, StoredTrial, TrialId
from metaloop.catalogue.programs import program_name
from metaloop.core.records import (
    Candidate,
    CurvePoint,
    Protocol,
    Result,
    Trial,
    TrialStatus,
    Verdict,
    candidate_from_json,
    to_json,
)
from metaloop.core.statistics import Estimate
from metaloop.loop.executor import Outcome
from metaloop.loop.population import Head, Measured, Node, Population
from metaloop.loop.proposal import Proposal
from metaloop.loop.run import Run

_OPERATIONS_PER_SECOND = 1e11  # of a core, about: makes counted operations comparable to seconds

_ENDED: Mapping[str, TrialStatus] = {
    "done": "finished",
    "failed": "failed",
    "timed out": "timed out",
    "crashed": "failed",
}


def begin(run: Run, population: Population, node: Node, proposal: Proposal) -> JobId:
    """Records candidates, job and trials of a proposal; the population knows it is under way."""
    parent = population.nodes.get(node.parent) if node.parent is not None else None
    parents = () if parent is None else (parent.recipe.identity,)
    with run.archive.transaction():
        job = run.archive.begin_job(run.id, node.number, node.kind, asked(node))
        for candidate in proposal.heads if node.kind in ("train", "baselines") else ():
            from_others = tuple(p for p in parents if p != candidate.identity)
            operator = node.operator if from_others else _origin(candidate)
            run.archive.add_candidate(candidate, from_others, operator, run=run.id)
            trial = run.archive.begin_trial(
                run.id,
                candidate.identity,
                run.family.digest,
                seed=run.seed,
                rung=node.rung,
                continues=_trunk_trial(parent) if node.continues else None,
                job=job,
            )
            node.heads.append(Head(candidate, "running", trial))
    population.begin(node)
    return job


def end(
    run: Run, population: Population, node: Node, job: JobId, outcome: Outcome
) -> tuple[list[Trial], Estimate | None]:
    """Records what came of a job and takes it into the population.

    Returns the trials and, if it had a parent, its paired progress on `search`.
    """
    value: Mapping[str, Any] = outcome.value or {}
    node.cost = _cost(run, outcome.cpu_seconds, value.get("flops"))
    _take_figures(node, outcome)
    _charge(population, node, outcome.cpu_seconds)
    trials = []
    with run.archive.transaction():
        for head in node.heads:
            head.steps = int(value.get("steps", 0))
            trial = _trial(run, node, head, outcome)
            assert head.trial is not None
            run.archive.end_trial(head.trial, trial, _scores(head))
            trials.append(trial)
        status = value.get("status", "finished") if outcome.status == "done" else outcome.status
        run.archive.end_job(
            job,
            status,
            {"steps": value.get("steps", 0), "flops": value.get("flops"), "members": node.members},
            outcome.message or value.get("message", ""),
            cpu_seconds=outcome.cpu_seconds,
            wall_seconds=outcome.wall_seconds,
        )
        progress = population.end(node)
        if progress is not None and node.parent is not None:
            _add_verdict(run, population, node, progress)
    return trials, progress


def add_node(run: Run, job: JobId, head: Head, operator: str, parents: tuple[str, ...],
             behaviour: str | None = None) -> None:  # fmt: skip
    """Records a candidate that a job came back with, and begins its trial."""
    with run.archive.transaction():
        run.archive.add_candidate(
            head.candidate, parents, operator, run=run.id, behaviour=behaviour
        )
        head.trial = run.archive.begin_trial(
            run.id, head.candidate.identity, run.family.digest, seed=run.seed, job=job
        )


def asked(node: Node) -> dict[str, Any]:
    """Returns what is recorded of a proposal: with the trials, enough to make the node again."""
    facts = asdict(node)
    kept = (
        "operator",
        "arm",
        "parent",
        "continues",
        "rung",
        "share",
        "trained",
        "line",
        "filtered_by",
    )
    return {name: facts[name] for name in kept} | {"recipe": to_json(node.recipe)}


def restore(run: Run, population: Population) -> tuple[int, list[tuple[Node, Estimate | None]]]:
    """Takes the ended jobs of the run's earlier tries into the population, in their order.

    Returns the next free job number, and the nodes with their progress.
    """
    trials: dict[int, list[StoredTrial]] = {}
    for stored in run.archive.trials():
        if stored.job is not None:
            trials.setdefault(stored.job, []).append(stored)
    following, ended = 0, []
    jobs = [job for job in run.archive.jobs() if job.run in run.tries]
    for job in sorted(jobs, key=lambda job: (job.ended or "", job.id)):
        following = max(following, job.number + 1)
        if job.status in ("running", "interrupted") or job.work == "judge":
            continue
        node = _node(run, population, job, trials.get(job.id, []))
        _charge(population, node, job.cpu_seconds)
        ended.append((node, population.end(node)))
    return following, ended


def is_generated(population: Population, candidate: Candidate, operator: str) -> bool:
    """Whether a head that a job came back with is of a program that was invented."""
    if candidate.program is None:
        return False
    known = {head.candidate.program for _, head in population.heads() if head.generated}
    return operator.startswith("program:") or candidate.program in known


def _origin(candidate: Candidate) -> str:
    """Returns how a candidate without parents came about; a known program by its name."""
    name = program_name(candidate.program)
    return "catalogue" if name is None else f"catalogue: {name}"


def _node(run: Run, population: Population, job: StoredJob, trials: list[StoredTrial]) -> Node:
    asked = dict(job.asked)
    recipe = candidate_from_json(asked.pop("recipe"))
    node = Node(number=job.number, kind=job.work, recipe=recipe, **asked)  # type: ignore[arg-type]
    node.members = tuple(job.answered.get("members") or ())
    node.cost = _cost(run, job.cpu_seconds, job.answered.get("flops"))
    candidates = {c.identity: c for c in run.archive.candidates()}
    for stored in trials:
        trial = stored.trial
        known = candidates[trial.candidate]
        head = Head(known.candidate, trial.status, stored.id, message=trial.message)
        head.steps = trial.steps
        if node.kind in ("invent", "join"):
            head.generated = is_generated(population, known.candidate, known.operator)
        found = list(run.archive.results(trial=stored.id, part="search"))
        if found:
            scores = np.stack([run.archive.scores(one.id) for one in found])
            head.search = Measured(tuple(one.result for one in found), scores)
        node.heads.append(head)
    return node


def _take_figures(node: Node, outcome: Outcome) -> None:
    value: Mapping[str, Any] = outcome.value or {}
    if outcome.status != "done" or value["status"] != "finished":
        status = value.get("status") or _ENDED[outcome.status]
        for head in node.heads:
            head.status = status
            head.message = outcome.message or value.get("message", "")
        return
    for head, figures in zip(node.heads, value["heads"], strict=True):
        take_figures(head, figures)


def take_figures(head: Head, figures: Mapping[str, Any]) -> None:
    """Puts what a worker measured into a head."""
    head.status, head.message = figures["status"], figures["message"]
    head.search = measured(figures)


def measured(figures: Mapping[str, Any]) -> Measured | None:
    """Returns what `Scorer.figures` wrote; None of a candidate that failed."""
    tasks = figures.get("tasks")
    if not tasks:
        return None
    results = [
        Result(**{**task["result"], "protocol": Protocol(**task["result"]["protocol"])})
        for task in tasks
    ]
    return Measured(tuple(results), np.array([task["scores"] for task in tasks]))


def _trial(run: Run, node: Node, head: Head, outcome: Outcome) -> Trial:
    value: Mapping[str, Any] = outcome.value or {}
    curve: tuple[CurvePoint, ...] = ()
    if head.search is not None and head.steps:
        loss = value.get("loss")
        seconds = float(value.get("train_wall_seconds", 0.0))
        value_then = head.search.result.value
        curve = (CurvePoint(head.steps, seconds, np.nan if loss is None else loss, value_then),)
    return Trial(
        candidate=head.candidate.identity,
        status=head.status,
        seed=run.seed,
        steps=head.steps,
        cpu_seconds=outcome.cpu_seconds,
        wall_seconds=outcome.wall_seconds,
        flops=value.get("flops"),
        rung=node.rung,
        curve=curve,
        results=() if head.search is None else head.search.results,
        message=head.message,
    )


def _scores(head: Head) -> dict[str, np.ndarray]:
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
            reason=node.operator,
        ),
    )
