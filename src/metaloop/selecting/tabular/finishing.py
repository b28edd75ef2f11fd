"""The end of a race: what its pipelines have told is joined, and fitted to all rows.

Whatever happens something comes out in time: who cannot be fitted is left out, and where nobody can
be the quickest pipeline is fitted to some of the rows.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property

import numpy as np

from metaloop.core.errors import MetaloopError
from metaloop.domains.tables.fitting import FittedPipeline, fit_pipeline
from metaloop.domains.tables.pipelines import filed
from metaloop.domains.tables.scoring import TABLE_METRICS
from metaloop.domains.tables.storing import can_store, restored
from metaloop.executors.base import Job
from metaloop.executors.in_process import InProcess
from metaloop.jobs.tabular import EXPLAIN, FINAL, TableRequest, outputs_of
from metaloop.selecting.tabular.ensembling import (
    CrossFitted,
    Joined,
    Told,
    alone,
    cross_fitted,
    joined,
)
from metaloop.selecting.tabular.racing import TableRace, complete_folds
from metaloop.selecting.tabular.running import WAIT, RaceStopped, TableRun

_SAFETY = 1.3  # times what a fit should take
_QUICK_SHARE = 0.02  # of the budget: who is fitted in it is joined, however late it is
_LAST_ROWS, _LAST_SECONDS = 2000, 2.0  # of a last resort
_EXPLAINED = 0.1  # of the budget
_FEWEST_ROWS = 1000  # that a fit is shortened to
_MOST_JOINED = 24  # pipelines whose answers are looked at
_MOST_NUMBERS = 150_000_000  # of their answers


@dataclass(frozen=True)
class ChosenPipelines:
    """Pipelines joined, one at least, and why these.

    `told`: what all that could be joined have told of all rows; of those that are joined alone,
    once others were left out for time.
    """

    rule: Joined
    reason: str
    told: Told | None = None

    @cached_property
    def crossed(self) -> CrossFitted | None:
        """What it tells of every row by weights of the other folds; None of a short race."""
        return None if self.told is None else cross_fitted(self.told)

    @property
    def weights(self) -> Mapping[str, float]:
        """The share of each pipeline."""
        return self.rule.weights


def choose(run: TableRun) -> ChosenPipelines:
    """Returns the average of pipelines that have told all rows, the best one where few have.

    It keeps the limit of a row: its members together, each as long as its slowest fold says. Raises
    `MetaloopError` where nothing was measured, or nothing keeps the limit.
    """
    race = run.race
    ranking = _quick_enough(run)
    if not ranking:
        raise MetaloopError(_nothing(run))
    able = [name for name in ranking if _in_time(run, name)]
    best, whole = (able or ranking)[0], complete_folds(race, ranking)[: _affordable_number(race)]
    lift = TABLE_METRICS[run.metric].lifts[race.lift(best)]
    plain = ChosenPipelines(alone(None, best, run.metric, lift), _reason(race, ranking, best))
    if not whole:
        return plain
    told = told_by(run, whole)
    if len(whole) == 1 and whole[0] == best:
        return replace(plain, rule=alone(told, best, run.metric, lift), told=told)
    wanted = joined(told) if len(whole) > 1 else None
    rule = None if wanted is None else _affordable(run, wanted)
    if wanted is None or rule is None:
        return plain
    reason = f"{_parts(rule)}, of {len(whole)} that told all rows; the best alone: {ranking[0]}"
    if rule.too_slow:
        reason += f"; with {', '.join(rule.too_slow)} a row would take longer than it may"
    chosen = ChosenPipelines(rule, reason, told)
    late = [name for name in wanted.weights if name not in rule.weights]
    return _without(chosen, rule, late) if late else chosen


def _quick_enough(run: TableRun) -> list[str]:
    """The pipelines that were measured and tell rows in the time that these may take."""
    entries = run.race.entries
    return [n for n in run.race.ranking() if not run.too_slow(entries[n].row_seconds)]


def _nothing(run: TableRun) -> str:
    """Why there is nothing to choose from, and what to do."""
    failed = [f"{name}: {one.failed}" for name, one in run.race.entries.items() if one.failed]
    why = failed[-1] if failed else "no fold could be told in the time given"
    for name in run.race.ranking()[:1]:
        why = f"{name}: {run.too_slow(run.race.entries[name].row_seconds)}"
    mended = "a larger --time-limit-per-row" if "too slow" in why else "a larger --budget"
    return f"no pipeline could be measured on {run.task.name} ({why}); give it {mended}"


def _without(chosen: ChosenPipelines, rule: Joined, late: Sequence[str]) -> ChosenPipelines:
    """What is left of a choice without those that are late, and what is told of it."""
    told = None if chosen.told is None else chosen.told.of(rule.weights)
    reason = f"{_parts(rule)}; no time was left for {', '.join(late)}"
    return ChosenPipelines(rule, reason, told)


def _parts(rule: Joined) -> str:
    return " + ".join(f"{share:.2f} {name}" for name, share in rule.weights.items())


def _in_time(run: TableRun, name: str) -> bool:
    """Whether a pipeline can be fitted to all rows in what is left."""
    needed = run.race.predicted(name, run.race.most_rows(name))
    return run.left is None or needed < run.left - run.kept_back


def _affordable_number(race: TableRace) -> int:
    """How many pipelines' answers are held at once: of many rows and classes few."""
    each = race.rows * max(1, race.classes)
    return int(np.clip(_MOST_NUMBERS // each, 2, _MOST_JOINED))


def _affordable(run: TableRun, rule: Joined) -> Joined | None:
    """The members that can be fitted in what is left, the largest first; None if none can."""
    if run.left is None:
        return rule
    least = _QUICK_SHARE * (run.budget.wall_seconds or 0.0)
    left, spent, kept = max(least, run.left - run.kept_back), 0.0, {}
    workers = run.executor.num_workers
    for name, share in rule.weights.items():
        needed = _SAFETY * run.race.predicted(name, run.race.most_rows(name))
        if needed < left and (spent + needed) / workers < left:
            spent, kept[name] = spent + needed, share
    return _shared(rule, kept) if kept else None


def _shared(rule: Joined, kept: Mapping[str, float]) -> Joined:
    whole = sum(kept.values())
    return replace(rule, weights={name: share / whole for name, share in kept.items()})


def fit_chosen(
    run: TableRun, chosen: ChosenPipelines
) -> tuple[ChosenPipelines, list[FittedPipeline]]:
    """Returns what was chosen, fitted to all known rows; who cannot be fitted in time is left out.

    Where nobody can, the quickest is fitted to some rows.
    """
    fitted = _fits(run, list(chosen.weights), {n: _affordable_rows(run, n) for n in chosen.weights})
    if fitted:
        missing = [name for name in chosen.weights if name not in fitted]
        if not missing:
            return chosen, list(fitted.values())
        run.notes.append(f"left out, for the time was over: {', '.join(missing)}")
        rule = _shared(chosen.rule, {name: chosen.weights[name] for name in fitted})
        return _without(chosen, rule, missing), list(fitted.values())
    name = min(_quick_enough(run), key=lambda n: run.race.predicted(n, _LAST_ROWS))
    rows = min(run.race.rows, _LAST_ROWS)
    fitted = _fits(run, [name], {name: rows}, least=_LAST_SECONDS)
    if not fitted:  # in this process, where nothing is waited for
        fitted = {name: _fitted_here(run, name, min(rows, _LAST_ROWS // 4))}
    run.notes.append(f"no time was left for more than {name} on some of the rows")
    lift = TABLE_METRICS[run.metric].lifts[run.race.lift(name)]
    rule = alone(None, name, run.metric, lift)
    reason = "what could still be fitted when the time was over"
    return ChosenPipelines(rule, reason), [*fitted.values()]


def _affordable_rows(run: TableRun, name: str) -> int:
    """How many rows a last fit may learn from, as many as time allows; 0: all."""
    rows = run.race.most_rows(name)
    if run.left is not None:
        seconds = max(0.3, run.left - run.kept_back)
        while rows > _FEWEST_ROWS and run.race.predicted(name, rows) > seconds / 1.15:
            rows = int(0.8 * rows)
    if rows < run.race.rows:
        run.notes.append(f"{name} learns from {rows:,} of {run.race.rows:,} rows")
    return rows if rows < run.race.rows else 0


def _fits(
    run: TableRun, names: list[str], rows: Mapping[str, int], least: float = 0.5
) -> dict[str, FittedPipeline]:
    """The pipelines that were fitted in what is left.

    What cannot be in a file, and everything without skops, is fitted here, where it cannot be
    ended: one fit is begun whether or not it should end in time, others only where they should.
    """
    afar = () if not can_store() or isinstance(run.executor, InProcess) else filed(names)
    left = None if run.left is None else max(least, run.left - run.kept_back / 2)
    until = None if left is None else time.perf_counter() + left
    found: dict[str, FittedPipeline] = {}
    for name in names:
        needed = run.race.predicted(name, rows[name] or run.race.most_rows(name))
        in_time = until is None or time.perf_counter() + needed < until
        if name not in afar and (in_time or not (found or afar)):
            found[name] = _fitted_here(run, name, rows[name])
    waiting = list(afar)
    under_way: dict[int, str] = {}
    while waiting or under_way:
        if run.stop():
            raise RaceStopped
        while waiting and run.executor.free:
            name = waiting.pop(0)
            number, run.next_job = run.next_job, run.next_job + 1
            request = TableRequest(number, name, run.seed, most=rows[name])
            allowed = None if until is None else max(0.3, until - time.perf_counter())
            run.executor.submit(Job(number, FINAL, asdict(request), allowed))
            under_way[number] = name
        for outcome in run.executor.wait(WAIT):
            name = under_way.pop(outcome.job.number, "")
            if name and outcome.value is not None:
                path = run.folder / f"{outcome.job.number}.skops"
                run.stored[name] = path.read_bytes()
                found[name] = restored(run.stored[name])
    return {name: found[name] for name in names if name in found}


def _fitted_here(run: TableRun, name: str, most: int) -> FittedPipeline:
    known = run.known
    rows = known.order[:most] if most else np.sort(known.order)
    return fit_pipeline(name, known.frame.take(rows), known.targets[rows], known.classes, run.seed)


def told_by(run: TableRun, names: list[str]) -> Told:
    """Returns what pipelines have told of all rows, those of the first round of folds."""
    race, known = run.race, run.known
    rows, folds = [], []
    outputs: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for fold in range(race.folds):
        count = race.entries[names[0]].found[race.last_level, 0, fold].checked
        checked = known.rows(TableRequest(0, names[0], 0, 0, fold, 0, count))[1]
        rows.append(checked)
        folds.append(np.full(len(checked), fold))
        for name in names:
            number = race.entries[name].jobs[race.last_level, 0, fold]
            outputs[name].append(outputs_of(run.folder, number).astype(np.float64))
    whole = {name: np.concatenate(found) for name, found in outputs.items()}
    targets = known.targets[np.concatenate(rows)]
    seconds = {name: race.entries[name].row_seconds for name in names}
    return Told(
        whole, targets, np.concatenate(folds), known.common, run.metric, run.seed, seconds,
        run.per_row,
    )  # fmt: skip


def _reason(race: TableRace, ranking: list[str], best: str) -> str:
    if len(ranking) < 2:
        return "it alone was measured"
    if best != ranking[0]:
        return (
            f"the best that can be fitted to all rows in the time left; {ranking[0]} is believed "
            "to be better: give it a larger --budget"
        )
    known = race.beliefs()
    chance = known.chances(only_tried=True).get(ranking[0], 0.0)
    return (
        f"believed to be the best of {len(ranking)} that were measured, with a chance of "
        f"{100 * chance:.0f} %; next is {ranking[1]}"
    )


def explained(run: TableRun, chosen: ChosenPipelines) -> Mapping[str, object] | None:
    """Returns what the leader of what was chosen goes by; None where no time is left for that."""
    name = max(chosen.weights, key=lambda one: chosen.weights[one])
    whole, left = run.budget.wall_seconds, run.left
    seconds = (
        10.0 if whole is None or left is None else min(_EXPLAINED * whole, left - run.kept_back)
    )
    rows = min(run.race.most_rows(name), round(run.race.rows * (1 - 1 / run.race.folds)))
    fitting = run.race.predicted(name, rows)
    if seconds < 0.3 or (whole is not None and fitting > 0.6 * seconds):
        return None
    number, run.next_job = run.next_job, run.next_job + 1
    lift = chosen.rule.lift
    request = TableRequest(
        number, name, run.seed, 0, 0, rows if rows < run.race.rows else 0, 2000, lift,
        0.9 * seconds,
    )  # fmt: skip
    run.executor.submit(Job(number, EXPLAIN, asdict(request), seconds + 0.5))
    until = time.perf_counter() + seconds + 2
    while time.perf_counter() < until:
        for outcome in run.executor.wait(WAIT):
            if outcome.job.number == number:
                return outcome.value
    return None
