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
from metaloop.domains.tables.fitting import FittedPipeline
from metaloop.domains.tables.pipelines import filed
from metaloop.domains.tables.scoring import TABLE_METRICS
from metaloop.domains.tables.storing import can_store, restored
from metaloop.executors.base import Job
from metaloop.executors.in_process import InProcess
from metaloop.jobs.tabular import (
    EXPLAIN,
    FINAL,
    TableRequest,
    last_fit,
    last_fit_in,
    outputs_of,
)
from metaloop.selecting.tabular.ensembling import (
    CrossFitted,
    Joined,
    Told,
    alone,
    cross_fitted,
    joined,
)
from metaloop.selecting.tabular.racing import TableRace, complete_folds, complete_rounds
from metaloop.selecting.tabular.running import WAIT, RaceStopped, TableRun, parts_of

_SAFETY = 1.3  # times what a fit should take
_QUICK_SHARE = 0.02  # of the budget: who is fitted in it is joined, however late it is
_LAST_ROWS, _LAST_SECONDS = 2000, 2.0  # of a last resort
_EXPLAINED = 0.1  # of the budget
_FOLDS = 0.7  # of what is left, for the folds of one
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
        most = min(rows, _LAST_ROWS // 4)
        fitted = {name: last_fit(run.known, TableRequest(0, name, run.seed, most=most))}
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
            rest = names[names.index(name) + 1 :]
            found[name] = last_fit(run.known, _last(run, 0, name, rows[name], until, rest))
    waiting = list(afar)
    under_way: dict[int, str] = {}
    while waiting or under_way:
        if run.stop():
            raise RaceStopped
        while waiting and run.executor.free:
            name = waiting.pop(0)
            number, run.next_job = run.next_job, run.next_job + 1
            request = _last(run, number, name, rows[name], until, waiting)
            allowed = None if until is None else max(0.3, until - time.perf_counter())
            run.executor.submit(Job(number, FINAL, asdict(request), allowed))
            under_way[number] = name
        for outcome in run.executor.wait(WAIT):
            name = under_way.pop(outcome.job.number, "")
            path = last_fit_in(run.folder, outcome.job.number)
            if name and path.is_file():
                run.stored[name] = path.read_bytes()
                found[name] = restored(run.stored[name])
    return {name: found[name] for name in names if name in found}


def _last(
    run: TableRun, number: int, name: str, most: int, until: float | None, others: Sequence[str]
) -> TableRequest:
    """A last fit, with its folds if `others` can then still be fitted by the time that is given."""
    parts = 0 if most else parts_of(run, name)
    if until is None or not parts:
        return TableRequest(number, name, run.seed, most=most, bagged=parts > 0)
    needed = sum(run.race.predicted(each, run.race.most_rows(each)) for each in others)
    seconds = until - time.perf_counter() - _SAFETY * needed / run.executor.num_workers
    return TableRequest(
        number, name, run.seed, seconds=max(1e-9, _FOLDS * seconds), bagged=seconds > 0
    )


def told_by(run: TableRun, names: list[str]) -> Told:
    """Returns what pipelines have told of all rows: the mean over their complete rounds of folds.

    Rows are in the order of the first round's folds.
    """
    race, known = run.race, run.known
    rows = [_told_rows(run, names[0], 0, fold) for fold in range(race.folds)]
    folds = [np.full(len(checked), fold) for fold, checked in enumerate(rows)]
    whole = np.concatenate(rows)
    outputs = {}
    for name in names:
        rounds = [_round(run, name, repeat) for repeat in complete_rounds(race, name)]
        outputs[name] = np.asarray(sum(told[whole] for told in rounds) / len(rounds))
    seconds = {name: race.entries[name].row_seconds for name in names}
    return Told(
        outputs, known.targets[whole], np.concatenate(folds), known.common, run.metric, run.seed,
        seconds, run.per_row,
    )  # fmt: skip


def _told_rows(run: TableRun, name: str, repeat: int, fold: int) -> np.ndarray:
    """The rows that a pipeline was checked on in a fold, in the order of what it told."""
    count = run.race.entries[name].found[run.race.last_level, repeat, fold].checked
    return run.known.rows(TableRequest(0, name, 0, repeat, fold, 0, count))[1]


def _round(run: TableRun, name: str, repeat: int) -> np.ndarray:
    """What a pipeline told of rows in a round of folds, by row; NaN of those that it was not asked."""  # noqa: E501
    race, found = run.race, None
    for fold in range(race.folds):
        number = race.entries[name].jobs[race.last_level, repeat, fold]
        told = outputs_of(run.folder, number).astype(np.float64)
        if found is None:
            found = np.full((race.rows, *told.shape[1:]), np.nan)
        found[_told_rows(run, name, repeat, fold)] = told
    assert found is not None
    return found


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
