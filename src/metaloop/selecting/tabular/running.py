"""A race of pipelines for a table from its first fold to fitted pipelines, within a time.

Whoever calls this tells of it and keeps records: `race_on` yields each fold as it ends. Jobs run in
worker processes that are ended when their time is over; under a budget in steps (a fold is one) they
run here, one after another, so that all can be repeated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from metaloop.core.budget import Budget
from metaloop.core.errors import MachineError, MetaloopError
from metaloop.core.randomness import numpy_stream
from metaloop.domains.tables.dealing import deal, strata
from metaloop.domains.tables.fitting import FittedPipeline, fit_pipeline
from metaloop.domains.tables.pipelines import offered
from metaloop.domains.tables.scoring import TABLE_METRICS
from metaloop.domains.tables.storing import can_store, load_storing, restored
from metaloop.domains.tables.task import TableTask
from metaloop.executors.base import Executor, Job, Outcome
from metaloop.executors.in_process import InProcess
from metaloop.executors.local_pool import LocalPool, module_command
from metaloop.jobs.tabular import (
    EXPLAIN,
    FINAL,
    FOLD,
    FoldResult,
    KnownRows,
    TableRequest,
    even_order,
    outputs_of,
    ship_table,
    table_works,
)
from metaloop.selecting.tabular.beliefs import Context, expected_of
from metaloop.selecting.tabular.ensembling import Ensemble, Told, ensemble_of
from metaloop.selecting.tabular.racing import TableRace, complete_folds
from metaloop.selection.prior import Prior

_WAIT = 0.2
_KEPT_BACK = 0.04  # of the budget, and
_KEPT_SECONDS = 0.5  # for what comes after the fits
_SAFETY = 1.3  # times what a fit should take
_GRACE = 1.0
_FINAL_SHARE = 0.25  # of the budget, at most, for fitting what was chosen to all rows
_CHEAP = 0.01  # of the budget: what a fold may cost without being asked for
_LAST_ROWS, _LAST_SECONDS = 2000, 2.0  # of a last resort
_EXPLAINED = 0.1  # of the budget


@dataclass(frozen=True)
class FoldEnded:
    """A fold of a pipeline that ended: what it has, or why it has nothing."""

    request: TableRequest
    context: Context
    number: int
    result: FoldResult | None
    message: str
    outcome: Outcome


@dataclass(frozen=True)
class ChosenPipelines:
    """Weights by pipeline, the lift of their shares, and why these."""

    weights: Mapping[str, float]
    lift: float
    reason: str
    gain: float = 0.0


@dataclass
class TableRun:
    """What a race shares; `begun` is when its budget began, `stop` asks whether to end."""

    folder: Path
    task: TableTask
    metric: str
    budget: Budget
    seed: int
    race: TableRace
    known: KnownRows
    executor: Executor
    begun: float
    stop: Callable[[], bool] = lambda: False
    next_job: int = 0
    steps_taken: int = 0
    per_row: float | None = None  # seconds that telling a row may take
    notes: list[str] = field(default_factory=list)
    stored: dict[str, bytes] = field(default_factory=dict)  # fitted pipelines, by name

    @property
    def left(self) -> float | None:
        """Seconds until the budget is spent; None under one in steps."""
        if self.budget.wall_seconds is None:
            return None
        return self.budget.wall_seconds - (time.perf_counter() - self.begun)

    @property
    def kept_back(self) -> float:
        """Seconds for what comes after the fits."""
        return _KEPT_SECONDS + _KEPT_BACK * (self.budget.wall_seconds or 0.0)


class RaceStopped(Exception):
    """The race was asked to end."""


def open_race(
    folder: Path,
    task: TableTask,
    *,
    metric: str,
    budget: Budget,
    seed: int,
    workers: int,
    begun: float,
    prior: Prior | None = None,
    among: tuple[str, ...] | None = None,
    stop: Callable[[], bool] = lambda: False,
    per_row: float | None = None,
) -> TableRun:
    """Returns a race that can begin: data written for workers, which start meanwhile."""
    in_process = budget.steps is not None
    executor: Executor = (
        InProcess(table_works(folder))
        if in_process
        else LocalPool(module_command("metaloop.jobs.tabular_worker", str(folder)), workers)
    )
    try:
        names = among or offered(bool(task.classes), len(task.classes))
        race = TableRace(
            prior or expected_of(names, bool(task.classes)), len(task.known),
            len(task.frame.schema), len(task.classes), metric, seed,
        )  # fmt: skip
        known = _known(task, race, seed)
        ship_table(known, folder)
        if not in_process:
            load_storing()  # while workers start
        return TableRun(
            folder, task, metric, budget, seed, race, known, executor, begun, stop, per_row=per_row
        )
    except BaseException:
        executor.close()
        raise


def _known(task: TableTask, race: TableRace, seed: int) -> KnownRows:
    rows, classes = task.known, len(task.classes)
    targets = task.target.values[rows]
    layers = strata(targets, classes)
    folds = np.stack([
        deal(layers, task.blocks[rows], race.folds, seed, "fold", repeat)
        for repeat in range(race.repeats)
    ]).astype(np.int8)  # fmt: skip
    order = even_order(layers, numpy_stream(seed, "order"))
    common = task.common if classes else np.ones(1)
    return KnownRows(task.frame.take(rows), targets, order, folds, classes, race.metric, common)


def race_on(run: TableRun) -> Iterator[FoldEnded]:
    """Yields every fold as it ends, until nothing is worth its time; raises `RaceStopped`."""
    under_way: dict[int, tuple[TableRequest, Context]] = {}
    while True:
        if run.stop():
            raise RaceStopped
        while run.executor.free and _has_steps(run):
            request = run.race.propose(_for_one(run), _CHEAP * (run.budget.wall_seconds or 0.0))
            if request is None:
                break
            number, run.next_job = run.next_job, run.next_job + 1
            context = run.race.begin(request, number)
            run.steps_taken += 1
            under_way[number] = request, context
            arguments = {**asdict(request), "number": number}
            allowed = _for_race(run)
            run.executor.submit(
                Job(number, FOLD, arguments, None if allowed is None else max(0.5, allowed))
            )
        if not under_way:
            return
        for outcome in run.executor.wait(_WAIT):
            request, context = under_way.pop(outcome.job.number)
            yield _taken(run, request, context, outcome)
        allowed = _for_race(run)
        if allowed is not None and allowed < -_GRACE and _something(run):
            return  # what is under way is given up


def _taken(run: TableRun, request: TableRequest, context: Context, outcome: Outcome) -> FoldEnded:
    if outcome.status == "machine failed":
        raise MachineError(f"{outcome.message}; mend this, then select again")
    result = None
    if outcome.value is not None:
        content = dict(outcome.value)
        content |= {name: tuple(content[name]) for name in ("values", "deviations")}
        result = FoldResult(**content)
    message = "" if result else outcome.message
    if result is not None and run.per_row is not None:
        each = result.tell_seconds / max(1, result.checked)
        if each > run.per_row:
            message = f"too slow: {1e3 * each:.2g} ms a row, {1e3 * run.per_row:.2g} are allowed"
            result = None
    run.race.take(request.pipeline, context, result, message, outcome.cpu_seconds)
    return FoldEnded(request, context, outcome.job.number, result, message, outcome)


def _has_steps(run: TableRun) -> bool:
    return run.budget.steps is None or run.steps_taken < run.budget.steps


def _something(run: TableRun) -> bool:
    return bool(run.race.ranking())


def _final_seconds(run: TableRun) -> float:
    """What fitting the leader to all rows should take; nothing is known of it: a share."""
    ranking = run.race.ranking()
    whole = run.budget.wall_seconds or 0.0
    if not ranking:
        return 0.15 * whole
    needed = _SAFETY * run.race.predicted(ranking[0], run.race.most_rows(ranking[0]))
    return min(_FINAL_SHARE * whole, needed)


def _for_race(run: TableRun) -> float | None:
    """Seconds that are left for the race."""
    if run.left is None:
        return None
    return run.left - _final_seconds(run) - run.kept_back


def _for_one(run: TableRun) -> float | None:
    """Seconds that one more fold may take: it must end within the race."""
    seconds = _for_race(run)
    if seconds is None:
        return None
    whole = run.budget.wall_seconds or 0.0
    return min(0.9 * seconds, 0.35 * whole)


def choose(run: TableRun) -> ChosenPipelines:
    """Returns the best pipeline, or several joined where that is better; `MetaloopError` if none."""
    race = run.race
    ranking = race.ranking()
    if not ranking:
        failed = [f"{n}: {e.failed}" for n, e in race.entries.items() if e.failed]
        why = failed[-1] if failed else "no fold could be told in the time given"
        raise MetaloopError(
            f"no pipeline could be measured on {run.task.name} ({why}); give it a larger --budget"
        )
    best = ranking[0]
    lifts = TABLE_METRICS[run.metric].lifts
    alone = ChosenPipelines({best: 1.0}, lifts[race.lift(best)], _reason(race, ranking))
    whole = complete_folds(race, ranking)
    if best not in whole or len(whole) < 2:
        return alone
    told = told_by(run, whole)
    found = ensemble_of(told, best)
    if found is None:
        return alone
    affordable = _affordable(run, found)
    if affordable is None:
        return alone
    parts = " + ".join(f"{share:.2f} {name}" for name, share in affordable.weights.items())
    reason = f"{parts}: better than {best} alone on rows that the weights were not chosen on"
    return ChosenPipelines(affordable.weights, affordable.lift, reason, affordable.gain)


def _affordable(run: TableRun, found: Ensemble) -> Ensemble | None:
    """The ensemble if its members can be fitted in what is left."""
    if run.left is None:
        return found
    needed = [_SAFETY * run.race.predicted(n, run.race.most_rows(n)) for n in found.weights]
    longest = max(max(needed), sum(needed) / run.executor.num_workers)
    return found if longest < run.left - run.kept_back else None


def told_by(run: TableRun, names: list[str]) -> Told:
    """Returns what pipelines have told of all rows, those of the first round of folds."""
    race, known = run.race, run.known
    rows, folds = [], []
    outputs: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for fold in range(race.folds):
        request = TableRequest(0, names[0], 0, 0, fold, 0, _checked(run, names[0], fold))
        checked = known.rows(request)[1]
        rows.append(checked)
        folds.append(np.full(len(checked), fold))
        for name in names:
            number = race.entries[name].jobs[race.last_level, 0, fold]
            outputs[name].append(outputs_of(run.folder, number).astype(np.float64))
    joined = {name: np.concatenate(found) for name, found in outputs.items()}
    targets = known.targets[np.concatenate(rows)]
    return Told(joined, targets, np.concatenate(folds), known.common, run.metric)


def _checked(run: TableRun, name: str, fold: int) -> int:
    return run.race.entries[name].found[run.race.last_level, 0, fold].checked


def _reason(race: TableRace, ranking: list[str]) -> str:
    if len(ranking) < 2:
        return "it alone was measured"
    known = race.beliefs()
    chance = known.chances(only_tried=True).get(ranking[0], 0.0)
    return (
        f"believed to be the best of {len(ranking)} that were measured, with a chance of "
        f"{100 * chance:.0f} %; next is {ranking[1]}"
    )


def fit_chosen(
    run: TableRun, chosen: ChosenPipelines
) -> tuple[ChosenPipelines, list[FittedPipeline]]:
    """Returns what was chosen, fitted to all known rows; who cannot be fitted in time is left out.

    Where nobody can, the quickest is fitted to some rows.
    """
    fitted = _fits(run, list(chosen.weights), {n: _affordable_rows(run, n) for n in chosen.weights})
    if fitted:
        weights = {name: chosen.weights[name] for name in fitted}
        whole = sum(weights.values())
        weights = {name: share / whole for name, share in weights.items()}
        lift = chosen.lift if len(weights) == len(chosen.weights) else _lift(run, weights)
        missing = [name for name in chosen.weights if name not in fitted]
        if missing:
            run.notes.append(f"left out, for the time was over: {', '.join(missing)}")
        return ChosenPipelines(weights, lift, chosen.reason, chosen.gain), list(fitted.values())
    name = min(run.race.ranking(), key=lambda n: run.race.predicted(n, _LAST_ROWS))
    rows = min(run.race.rows, _LAST_ROWS)
    fitted = _fits(run, [name], {name: rows}, least=_LAST_SECONDS)
    if not fitted:  # in this process, where nothing is waited for
        fitted = {name: _fitted_here(run, name, min(rows, _LAST_ROWS // 4))}
    run.notes.append(f"no time was left for more than {name} on some of the rows")
    reason = "what could still be fitted when the time was over"
    return ChosenPipelines({name: 1.0}, _lift(run, {name: 1.0}), reason), [*fitted.values()]


def _lift(run: TableRun, weights: Mapping[str, float]) -> float:
    name = max(weights, key=lambda one: weights[one])
    return TABLE_METRICS[run.metric].lifts[run.race.lift(name)]


def _affordable_rows(run: TableRun, name: str) -> int:
    """How many rows a last fit may learn from, as many as time allows; 0: all."""
    rows = run.race.most_rows(name)
    if run.left is not None:
        seconds = max(0.3, run.left - run.kept_back)
        while rows > 1000 and run.race.predicted(name, rows) > seconds / 1.15:
            rows = int(0.8 * rows)
    if rows < run.race.rows:
        run.notes.append(f"{name} learns from {rows:,} of {run.race.rows:,} rows")
    return rows if rows < run.race.rows else 0


def _fits(
    run: TableRun, names: list[str], rows: Mapping[str, int], least: float = 0.5
) -> dict[str, FittedPipeline]:
    """The pipelines that were fitted in what is left."""
    if not can_store() or isinstance(run.executor, InProcess):
        return {name: _fitted_here(run, name, rows[name]) for name in names}
    waiting = list(names)
    under_way: dict[int, str] = {}
    found: dict[str, FittedPipeline] = {}
    left = None if run.left is None else max(least, run.left - run.kept_back / 2)
    until = None if left is None else time.perf_counter() + left
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
        for outcome in run.executor.wait(_WAIT):
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
    lift = chosen.lift
    request = TableRequest(
        number, name, run.seed, 0, 0, rows if rows < run.race.rows else 0, 2000, lift,
        0.9 * seconds,
    )  # fmt: skip
    run.executor.submit(Job(number, EXPLAIN, asdict(request), seconds + 0.5))
    until = time.perf_counter() + seconds + 2
    while time.perf_counter() < until:
        for outcome in run.executor.wait(_WAIT):
            if outcome.job.number == number:
                return outcome.value
    return None
