"""The race as jobs: handed to workers, taken in, written into the archive, and read back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from metaloop.archive import JobId, TrialId
from metaloop.catalogue.pipelines import CLASSIFIER
from metaloop.core.budget import Budget
from metaloop.core.records import Result, Trial, TrialStatus
from metaloop.executors.base import Job, Outcome
from metaloop.jobs.pipelines import PipelineRequest, PipelineResult
from metaloop.loop.breakdowns import Breakdowns
from metaloop.loop.events import LoopEvent, Tried, Trying
from metaloop.loop.run import Earlier, Stopped
from metaloop.modelfile.typed_json import decode, encode
from metaloop.selecting.racing import Entry, Proposal
from metaloop.selecting.run import Selecting, accuracy

WORK = "pipeline"
MEASURED = "measured"  # here, by no worker
_ENDED: dict[str, TrialStatus] = {"timed out": "timed out"}


@dataclass(frozen=True)
class Begun:
    """A job under way, and what it is about."""

    job: JobId
    trial: TrialId
    proposal: Proposal


def race_on(run: Selecting) -> Iterator[LoopEvent]:
    """Yields what happens in the race, until it is over; raises `Stopped` when asked to stop."""
    under_way: dict[int, Begun] = {}
    breakdowns = Breakdowns()
    while True:
        if run.stop():
            raise Stopped
        while run.executor.free and (proposal := run.race.propose()) is not None:
            side = run.settings.proxy_side if proposal.rung == 0 else 1.0
            number, begun = begin(run, proposal, side=side)
            under_way[number] = begun
        if not under_way:
            return
        outcomes = run.executor.wait(run.settings.wait_seconds)
        run.worker_cpu = run.executor.cpu_seconds
        yield from told(run, under_way)
        for outcome in outcomes:
            begun = under_way.pop(outcome.job.number)
            breakdowns.note(run.archive, begun.job, outcome)
            breakdowns.check()
            yield take(run, begun, outcome)


def begin(
    run: Selecting,
    proposal: Proposal,
    *,
    side: float = 1.0,
    kept: bool = False,
    measured: bool = True,
    threads: int = 1,
) -> tuple[int, Begun]:
    """Hands a proposal to a worker; the archive knows of it before."""
    entry, number = proposal.entry, run.next_job
    run.next_job += 1
    asked = {
        "rung": proposal.rung, "amount": proposal.amount, "side": side, "kept": kept,
        "operator": entry.operator,
    }  # fmt: skip
    if run.budget.steps is None:
        budget = Budget(wall_seconds=max(0.1, proposal.amount))
    else:
        budget = Budget(steps=max(1, round(proposal.amount / side**2)))
        run.steps_before += round(proposal.amount)
    archive = run.archive
    with archive.transaction():
        for parent in entry.parents:
            known = run.race.entries[parent]
            archive.add_candidate(known.candidate, known.parents, known.operator, run=run.id)
        identity = archive.add_candidate(entry.candidate, entry.parents, entry.operator, run=run.id)
        job = archive.begin_job(run.id, number, WORK, asked)
        trial = archive.begin_trial(
            run.id, identity, run.labelled.digest, seed=run.seed, rung=proposal.rung, job=job
        )
    request = PipelineRequest(
        number, entry.candidate, budget, run.seed, side=side, kept=kept, measured=measured,
        threads=threads,
    )  # fmt: skip
    settings = run.settings
    allowed = None
    if budget.wall_seconds is not None:
        allowed = settings.patience * budget.wall_seconds + settings.grace_seconds
    run.executor.submit(Job(number, WORK, encode(request), allowed))
    return number, Begun(job, trial, proposal)


def take(run: Selecting, begun: Begun, outcome: Outcome) -> Tried:
    """Takes in what came of a job; the archive knows it when this returns."""
    proposal, entry = begun.proposal, begun.proposal.entry
    result = result_of(outcome)
    right = None
    results = []
    if result is not None and result.right:
        right = np.array([float(one) for one in result.right])
        side = run.settings.proxy_side if proposal.rung == 0 else 1.0
        results.append(accuracy(float(right.mean()), len(right), run.protocol("search", side)))
    status: TrialStatus = _ENDED.get(outcome.status, "failed")
    status = result.status if result is not None else status
    message = result.message if result is not None else outcome.message
    trial = Trial(
        candidate=entry.identity,
        status=status,
        seed=run.seed,
        steps=0 if result is None else result.steps,
        cpu_seconds=outcome.cpu_seconds,
        wall_seconds=outcome.wall_seconds,
        flops=None if result is None else result.flops,
        rung=proposal.rung,
        curve=() if result is None else result.curve,
        results=tuple(results),
        message=message,
    )
    lists = [one.protocol.list_hash for one in results]
    scores = {} if right is None else {lists[0]: right}
    archive = run.archive
    with archive.transaction():
        archive.end_trial(begun.trial, trial, scores)
        ended = "finished" if outcome.status == "done" else outcome.status
        archive.end_job(
            begun.job, ended, {}, outcome.message,
            cpu_seconds=outcome.cpu_seconds, wall_seconds=outcome.wall_seconds,
        )  # fmt: skip
    if proposal.rung < len(run.settings.proxy_spreads):
        run.search_cpu += outcome.cpu_seconds
        run.race.take(proposal, right, message, outcome.cpu_seconds)
    leading = run.race.beliefs()
    best = leading[0] if leading else None
    return Tried(
        entry.candidate.label,
        trial,
        best.candidate.label if best else "",
        last_result(run, best),
        entry.operator,
    )


def record_measured(
    run: Selecting,
    entry: Entry,
    rung: int,
    cpu_seconds: float,
    wall_seconds: float,
    message: str = "",
) -> Trial:
    """Returns the trial of what this process has measured itself, or failed to, now archived."""
    right = entry.right.get(rung)
    results, scores = [], {}
    if right is not None:
        number = len(right)
        results = [accuracy(float(right.mean()), number, run.protocol("search", number=number))]
        scores = {results[0].protocol.list_hash: right}
    trial = Trial(
        candidate=entry.identity, status="failed" if right is None else "finished", seed=run.seed,
        cpu_seconds=cpu_seconds, wall_seconds=wall_seconds, rung=rung, results=tuple(results),
        message=message,
    )  # fmt: skip
    archive, number = run.archive, run.next_job
    run.next_job += 1
    with archive.transaction():
        archive.add_candidate(entry.candidate, entry.parents, entry.operator, run=run.id)
        job = archive.begin_job(run.id, number, MEASURED, {"rung": rung})
        stored = archive.begin_trial(
            run.id, entry.identity, run.labelled.digest, seed=run.seed, rung=rung, job=job
        )
        archive.end_trial(stored, trial, scores)
        archive.end_job(job, "finished", {}, "", cpu_seconds=cpu_seconds, wall_seconds=wall_seconds)
    run.search_cpu += cpu_seconds
    return trial


def told(run: Selecting, under_way: dict[int, Begun]) -> Iterator[LoopEvent]:
    """Yields how far jobs are."""
    said = {progress.job.number: progress.content for progress in run.executor.events()}
    for number, content in said.items():
        if number in under_way:
            proposal = under_way[number].proposal
            seconds = run.budget.wall_seconds
            yield Trying(
                label=proposal.entry.candidate.label,
                stage=proposal.entry.operator,
                spent=run.spent,
                seconds_left=None if seconds is None else max(0.0, seconds - run.wall_seconds),
                step=int(content.get("step", 0)),
                loss=float(content.get("loss", 0.0)),
                round=proposal.rung + 1,
            )


def result_of(outcome: Outcome) -> PipelineResult | None:
    """Returns what a job came back with; None if it did not."""
    if outcome.value is None:
        return None
    result: PipelineResult = decode(PipelineResult, dict(outcome.value), "the result of a job")
    return result


def restored(run: Selecting, earlier: Earlier) -> None:
    """Takes over what earlier tries of a run have measured and spent."""
    run.spent_before, run.cpu_before = earlier.wall, earlier.cpu
    archive, race = run.archive, run.race
    known = {one.identity: one for one in archive.candidates()}
    for number in earlier.tries:
        run.next_job = max([run.next_job, *(job.number + 1 for job in archive.jobs(number))])
        amounts = {job.id: job.asked for job in archive.jobs(number)}
        for stored in archive.trials(number):
            one = known[stored.trial.candidate]
            if one.candidate.learner.name != CLASSIFIER:
                continue  # measured again: it takes no time worth mentioning
            entry = race.entries.setdefault(
                one.identity,
                Entry(one.candidate, one.operator, one.parents, *race.size_of(one.candidate)),
            )
            asked = amounts.get(stored.job) if stored.job is not None else None
            if asked is None or stored.trial.status not in ("finished", "diverged", "failed"):
                continue
            found = archive.results(trial=stored.id, part="search")
            right = archive.episode_scores(found[0].id).values if found else None
            rung = stored.trial.rung
            if run.budget.steps is not None and rung < 2:
                run.steps_before += round(float(asked["amount"]))
            if rung < len(run.settings.proxy_spreads):
                amount = float(asked["amount"])
                proposal = race.again(entry, rung, amount)
                race.take(proposal, right, stored.trial.message, stored.trial.cpu_seconds)
                run.search_cpu += stored.trial.cpu_seconds


def last_result(run: Selecting, entry: Entry | None) -> Result | None:
    """Returns an entry's figure of its last rung on `search`."""
    if entry is None or not entry.right:
        return None
    rung = max(entry.right)
    side = run.settings.proxy_side if rung == 0 else 1.0
    right = entry.right[rung]
    return accuracy(float(right.mean()), len(right), run.protocol("search", side, len(right)))
