"""A race of pipelines for a table from its first fold to fitted pipelines, within a time.

Whoever calls this tells of it and keeps records: `race_on` yields each fold as it ends. Jobs run in
worker processes that are ended when their time is over; under a budget in steps (a fold is one)
they run here, one after another, so that all can be repeated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from metaloop.core.budget import Budget
from metaloop.core.errors import MachineError
from metaloop.core.randomness import numpy_stream
from metaloop.domains.tables.dealing import deal, strata
from metaloop.domains.tables.pipelines import offered
from metaloop.domains.tables.scoring import unit_of
from metaloop.domains.tables.storing import load_storing
from metaloop.domains.tables.task import TableTask
from metaloop.executors.base import Executor, Job, Outcome
from metaloop.executors.in_process import InProcess
from metaloop.executors.local_pool import LocalPool, module_command
from metaloop.jobs.tabular import (
    FOLD,
    FoldResult,
    KnownRows,
    TableRequest,
    even_order,
    ship_table,
    table_works,
)
from metaloop.selecting.tabular.beliefs import Context, expected_of
from metaloop.selecting.tabular.racing import TableRace, complete_folds
from metaloop.selection.prior import Prior

WAIT = 0.2
_KEPT_BACK = 0.04  # of the budget, and
_KEPT_SECONDS = 0.5  # for what comes after the fits
_SAFETY = 1.3  # times what a fit should take
_GRACE = 1.0
_LATE = 0.5  # of the budget, after which the best are to tell all rows
_FINAL_SHARE = 0.25  # of the budget, at most, for fitting what was chosen to all rows
_CHEAP = 0.01  # of the budget: what a fold may cost without being asked for
_UNKNOWN_SHARE, _JOINED = 0.15, 5
_UNPROVEN_SHARE = 0.35  # of what is left, for a fold while nobody has told any,
_HANGS, _TIMES_LONGER = 0.15, 6.0  # and later, or so many times as long as it should take
_SLOWEST, _MOST_KEPT = 6.0, 0.15  # times slower than alone; of the budget, kept back at most
_LATE_SECONDS, _LATE_SHARE = 2.0, 0.05  # what a run may be late for what is nice to have
_FEWEST_CPU = 0.3  # seconds, which tell how slow a machine is


@dataclass(frozen=True)
class FoldEnded:
    """A fold of a pipeline that ended: what it has, or why it has nothing."""

    request: TableRequest
    context: Context
    number: int
    result: FoldResult | None
    message: str
    outcome: Outcome


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
    per_row: float | None = None  # seconds that all that is joined may take to tell a row
    notes: list[str] = field(default_factory=list)
    stored: dict[str, bytes] = field(default_factory=dict)  # fitted pipelines, by name
    slowed: float = 1.0  # seconds that a second of this process takes on a machine that is shared

    @property
    def left(self) -> float | None:
        """Seconds until the budget is spent; None under one in steps."""
        if self.budget.wall_seconds is None:
            return None
        return self.budget.wall_seconds - (time.perf_counter() - self.begun)

    @property
    def kept_back(self) -> float:
        """Seconds for what comes after the fits: more of them where others compute as well."""
        whole = self.budget.wall_seconds or 0.0
        usual = _KEPT_SECONDS + _KEPT_BACK * whole
        return max(usual, min(self.slowed * usual, _MOST_KEPT * whole))

    def too_slow(self, row_seconds: float) -> str:
        """Returns what is said of what takes so long to tell a row; "" where it may."""
        if self.per_row is None or row_seconds <= self.per_row:
            return ""
        return f"too slow: {1e3 * row_seconds:.2g} ms a row, {1e3 * self.per_row:.2g} are allowed"

    def has_time_for(self, seconds: float) -> bool:
        """Returns whether what takes so long ends before the run is noticeably late."""
        if self.left is None or self.budget.wall_seconds is None:
            return True
        late = _LATE_SECONDS + _LATE_SHARE * self.budget.wall_seconds
        return self.slowed * seconds < self.left + late


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
    clocks = time.perf_counter(), time.process_time()
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
            blocks=len(np.unique(task.blocks[task.known])),
            unit=unit_of(metric, task.target.values[task.known]),
        )  # fmt: skip
        known = _known(task, race, seed)
        ship_table(known, folder)
        if not in_process:
            load_storing()  # while workers start
        return TableRun(
            folder, task, metric, budget, seed, race, known, executor, begun, stop,
            per_row=per_row, slowed=_slowed(*clocks),
        )  # fmt: skip
    except BaseException:
        executor.close()
        raise


def _slowed(wall_before: float, cpu_before: float) -> float:
    """How many seconds a second of computing has taken since; 1 where too little was computed."""
    wall, cpu = time.perf_counter() - wall_before, time.process_time() - cpu_before
    return min(_SLOWEST, max(1.0, wall / cpu)) if cpu >= _FEWEST_CPU else 1.0


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
            request = _proposed(run)
            if request is None:
                break
            number, run.next_job = run.next_job, run.next_job + 1
            context = run.race.begin(request, number)
            run.steps_taken += 1
            under_way[number] = request, context
            arguments = {**asdict(request), "number": number}
            run.executor.submit(Job(number, FOLD, arguments, _allowed(run, request)))
        if not under_way:
            return
        for outcome in run.executor.wait(WAIT):
            request, context = under_way.pop(outcome.job.number)
            yield _taken(run, request, context, outcome)
        allowed = _for_race(run)
        if allowed is not None and allowed < -_GRACE and _something(run):
            return  # what is under way is given up


def _allowed(run: TableRun, request: TableRequest) -> float | None:
    """Seconds after which a fold is ended: one that hangs must leave time for others."""
    left = _for_race(run)
    if left is None:
        return None
    learned = request.most or round(run.race.rows * (1 - 1 / run.race.folds))
    usual = _TIMES_LONGER * run.race.predicted(request.pipeline, learned)
    if run.race.nothing_found:
        return max(0.5, _UNPROVEN_SHARE * left)
    return max(0.5, min(left, max(usual, _HANGS * left)))


def _proposed(run: TableRun) -> TableRequest | None:
    whole, left = run.budget.wall_seconds, _for_race(run)
    if whole is None or left is None:
        assert run.budget.steps is not None
        return run.race.propose(None, 0.0, run.steps_taken > _LATE * run.budget.steps)
    workers = run.executor.num_workers
    late = left < (1 - _LATE) * whole
    return run.race.propose(_for_one(run), _CHEAP * whole, late, workers * left)


def _taken(run: TableRun, request: TableRequest, context: Context, outcome: Outcome) -> FoldEnded:
    if outcome.status == "machine failed":
        raise MachineError(f"{outcome.message}; mend this, then select again")
    result = None
    if outcome.value is not None:
        content = dict(outcome.value)
        content |= {name: tuple(content[name]) for name in ("values", "deviations")}
        result = FoldResult(**content)
    message = "" if result else outcome.message
    if result is not None:
        message = run.too_slow(run.race.timed(request.pipeline, result))
        result = None if message else result
    run.race.take(request.pipeline, context, result, message, outcome.cpu_seconds)
    return FoldEnded(request, context, outcome.job.number, result, message, outcome)


def _has_steps(run: TableRun) -> bool:
    return run.budget.steps is None or run.steps_taken < run.budget.steps


def _something(run: TableRun) -> bool:
    return bool(run.race.ranking())


def _final_seconds(run: TableRun) -> float:
    """What the last fits of the leaders should take; where nothing is known of it: a share."""
    race, whole = run.race, run.budget.wall_seconds or 0.0
    ranking = race.ranking()
    if not ranking:
        return _UNKNOWN_SHARE * whole
    leaders = complete_folds(race, ranking)[:_JOINED] or ranking[:1]
    needed = [
        race.predicted(name, race.most_rows(name)) * (1 + parts_of(run, name)) for name in leaders
    ]
    longest = max(needed[0], sum(needed) / run.executor.num_workers)
    return min(_FINAL_SHARE * whole, _SAFETY * longest)


def parts_of(run: TableRun, name: str) -> int:
    """Returns how many folds of a pipeline are wanted in its last fit: none where rows have a limit."""  # noqa: E501
    return run.race.parts(name) if run.per_row is None else 0


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
