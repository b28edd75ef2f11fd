"""`select` on a table: pipelines race by cross-validation, the best are joined, `test` is opened once.

All decisions and records are made here; workers only compute. The budget covers everything from
reading on: what is not fitted in time is left out.
"""  # noqa: E501

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metaloop.archive import DataSet, Place
from metaloop.core.budget import Budget, parse_budget
from metaloop.core.errors import MetaloopError, unknown_name
from metaloop.domains.tables.leaks import leaking
from metaloop.domains.tables.pipelines import filed, offered
from metaloop.domains.tables.scoring import TABLE_METRICS, USUAL_METRIC
from metaloop.domains.tables.storing import require_storing
from metaloop.domains.tables.task import TableTask, table_task
from metaloop.loop.charging import MODEL_NAME, STATES_NAME
from metaloop.loop.events import Learned, LoopEvent, Promoted
from metaloop.loop.learning import default_workers
from metaloop.loop.run import remove_states, run_folder
from metaloop.modelfile import TrainingRecord
from metaloop.models.events import DataRead
from metaloop.models.tabular import TabularModel, candidate_of
from metaloop.selecting.tabular.finishing import choose, explained, fit_chosen
from metaloop.selecting.tabular.judging import calibration, figure_of, protocol, tested
from metaloop.selecting.tabular.knowledge import prior_with
from metaloop.selecting.tabular.pictures import pictures_of
from metaloop.selecting.tabular.recording import Recording
from metaloop.selecting.tabular.running import RaceStopped, TableRun, open_race, race_on
from metaloop.selecting.tabular.summary import figures_json, protocol_json, summary
from metaloop.tasks.readers.tables import Table, read_table

COMMAND = "select"
_PICTURE_SECONDS = 2.5  # with a library that is loaded for them


@dataclass(frozen=True)
class TableAsked:
    """What was asked for: the arguments of `select` on a table."""

    data: Table | str | Path
    target: str
    out: Path
    budget: Budget
    seed: int = 0
    split_seed: int = 0
    objective: str | None = None
    metric: str | None = None
    groups: str | None = None
    ignored: tuple[str, ...] = ()
    test: Table | str | Path | None = None
    per_row: float | None = None
    archive: Place | None = None
    workers: int = 1

    @property
    def arguments(self) -> dict[str, Any]:
        """What the archive keeps."""
        named = {name: getattr(self, name) for name in _KEPT}
        test = self.test.name if isinstance(self.test, Table) else self.test
        data = self.data.name if isinstance(self.data, Table) else str(self.data)
        return {
            "data": data, "budget": str(self.budget), **named, "ignored": list(self.ignored),
            "test": None if test is None else str(test),
            "archive": None if self.archive is None else str(self.archive),
        }  # fmt: skip


_KEPT = (
    "target", "seed", "split_seed", "objective", "metric", "groups", "per_row", "workers",
)  # fmt: skip


def select_table(
    data: Table | str | Path,
    target: str,
    *,
    out: str | Path,
    budget: str | Budget = "3m",
    workers: int | None = None,
    stop: Callable[[], bool] = lambda: False,
    **asked: Any,
) -> Iterator[LoopEvent]:
    """Yields what happens; the last event, `Learned`, holds the report that `--json` prints.

    Writes `out/model.metaloop` and `out/archive.sqlite`. Raises `MetaloopError` in one line for
    everything that the caller can mend.
    """
    begun = time.perf_counter()
    require_storing()
    budget = parse_budget(budget) if isinstance(budget, str) else budget
    whole = TableAsked(
        data, target, Path(out), budget, workers=workers or default_workers(), **asked
    )
    _check_metric(whole)
    yield from _recorded(whole, begun, stop)


def _check_metric(asked: TableAsked) -> None:
    if asked.metric is not None and asked.metric not in TABLE_METRICS:
        raise unknown_name("metric of tables", asked.metric, TABLE_METRICS)


def _recorded(asked: TableAsked, begun: float, stop: Callable[[], bool]) -> Iterator[LoopEvent]:
    cpu_start = time.process_time()
    with run_folder(asked.out, False) as records:
        number = records.begin_run(
            COMMAND, arguments=asked.arguments, seed=asked.seed, budget=str(asked.budget)
        )
        status = "failed"
        try:
            task, notes = _task(asked)
            metric = _metric(asked, task)
            able = offered(bool(task.classes), len(task.classes))
            names = filed(able)
            leaks = (
                leak.told(f"--ignore {leak.column} leaves it out")
                for leak in leaking(task, asked.seed)
            )
            notes = (*notes, *leaks, *_not_filed(able, names))
            records.add_data_set(_described(task))
            reading_seconds = time.perf_counter() - begun
            yield _read_event(task, metric, notes, reading_seconds)
            run = open_race(
                asked.out / STATES_NAME, task, metric=metric, budget=asked.budget, seed=asked.seed,
                workers=asked.workers, begun=begun, stop=stop, per_row=asked.per_row, among=names,
                prior=prior_with(names, bool(task.classes), metric, asked.archive, task.content),
            )  # fmt: skip
            with run.executor:
                recording = Recording(records, number, run)
                try:
                    report = yield from _selected(asked, run, recording)
                except RaceStopped:
                    report = summary(asked.out, run, "interrupted")
            report["notes"] = [*notes, *run.notes]
            report["reading_seconds"] = reading_seconds
            report["cpu_seconds"] = run.executor.cpu_seconds + time.process_time() - cpu_start
            report["wall_seconds"] = time.perf_counter() - begun
            status = report["status"]
        except (KeyboardInterrupt, GeneratorExit):
            status = "interrupted"
            raise
        finally:
            if status != "finished":
                records.mark_interrupted(number)
            records.end_run(number, status)  # type: ignore[arg-type]
        if status == "finished":
            remove_states(asked.out)
    yield Learned(report)


def _not_filed(able: tuple[str, ...], names: tuple[str, ...]) -> list[str]:
    """What is to be said of pipelines that are installed and take no part."""
    strange = [name for name in able if name not in names]
    if not strange:
        return []
    return [
        f"{' and '.join(strange)} cannot be in a model file and takes no part; AutoClassifier and "
        "AutoRegressor have it"
    ]


def _task(asked: TableAsked) -> tuple[TableTask, tuple[str, ...]]:
    table = asked.data if isinstance(asked.data, Table) else read_table(asked.data)
    test = asked.test
    test = test if test is None or isinstance(test, Table) else read_table(test)
    task = table_task(
        table, asked.target, objective=asked.objective, groups=asked.groups,
        ignored=asked.ignored, test=test, split_seed=asked.split_seed,
    )  # fmt: skip
    return task, (*table.notes, *task.notes)


def _metric(asked: TableAsked, task: TableTask) -> str:
    metric = asked.metric or USUAL_METRIC[bool(task.classes)]
    if TABLE_METRICS[metric].for_classes != bool(task.classes):
        able = [n for n, one in TABLE_METRICS.items() if one.for_classes == bool(task.classes)]
        raise MetaloopError(
            f"the metric {metric} is not for {task.target.objective}; it has {', '.join(able)}"
        )
    return metric


def _described(task: TableTask) -> DataSet:
    names = tuple(map(str, task.classes))
    parts = dict.fromkeys(("train", "test"), names)
    counted = dict.fromkeys(task.dropped.values(), 0)
    for why in task.dropped.values():
        counted[why] += 1
    return DataSet(
        task.digest, task.name, f"table, {task.target.objective}", len(names),
        len(task.known) + len(task.test), parts,
        {f"column not learned from: it {why}": count for why, count in counted.items()},
    )  # fmt: skip


def _read_event(task: TableTask, metric: str, notes: tuple[str, ...], seconds: float) -> DataRead:
    kinds: dict[str, int] = {}
    for column in task.frame.schema:
        kinds[column.kind] = kinds.get(column.kind, 0) + 1
    columns = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    what = f"{len(task.classes):,} classes" if task.classes else "a number"
    return DataRead(
        task.name, f"columns: {columns}; '{task.target.name}' is {what}, by {metric}; rows",
        {"train": len(task.known), "test": len(task.test)}, (), seconds, notes,
    )  # fmt: skip


def _selected(asked: TableAsked, run: TableRun, recording: Recording) -> Any:  # yields events
    for ended in race_on(run):
        yield from recording.note(ended)
    chosen = choose(run)
    chosen, fitted = fit_chosen(run, chosen)
    figure = figure_of(run, chosen)
    recording.conclude(chosen, figure)
    identity = candidate_of(chosen.weights).identity
    if figure is not None:
        yield Promoted(candidate_of(chosen.weights).label, figure, chosen.reason)
    going_by = explained(run, chosen)
    task, seconds = run.task, time.perf_counter() - run.begun
    training = TrainingRecord(
        run.seed, str(run.budget), run.steps_taken, seconds, run.executor.cpu_seconds,
        task.digest, task.name,
    )  # fmt: skip
    powers = tuple(chosen.rule.powers[name] for name in chosen.weights)
    model = TabularModel(
        tuple(fitted), tuple(chosen.weights.values()), powers, task.frame.schema, task.target.name,
        task.classes, run.known.common, chosen.rule.lift, run.metric, training,
        () if figure is None else (figure,), run.stored,
    )  # fmt: skip
    opening = recording.archive.record_opening(
        identity, "the end of a select run", protocol(task, "test", "test"), run=recording.number
    )
    frame = task.frame.take(task.test)
    asked_at = time.perf_counter()
    plain = model.plain_outputs(frame)
    slow = run.too_slow((time.perf_counter() - asked_at) / len(frame))
    run.notes += [f"telling the rows of test was {slow}"] if slow else []
    outputs = model.lifted(plain) if task.classes else plain
    test, more = tested(task, outputs, plain, run.metric)
    recording.archive.finish_opening(opening, test)
    model = model.with_results(test)
    model.save(asked.out / MODEL_NAME, overwrite=True)
    report = summary(asked.out, run, "finished", chosen, figure)
    higher = TABLE_METRICS[run.metric].sign
    report["test"] = {
        **figures_json(test), **more,
        "better_than_chance": higher * (test.value - more["chance"]) > test.ci95,
        "protocol": protocol_json(test),
    }  # fmt: skip
    report["calibration"] = calibration(chosen)
    report["explained"] = _named(going_by, task)
    if not run.has_time_for(_PICTURE_SECONDS):
        run.notes.append("no time was left for pictures of what it goes by")
        return report
    for name, png, caption in pictures_of(report, task.target.name):
        recording.archive.add_artefact(recording.number, name, "image/png", png, caption)
    return report


def _named(going_by: Mapping[str, Any] | None, task: TableTask) -> Mapping[str, Any] | None:
    """What a pipeline goes by with classes by their names."""
    if going_by is None:
        return None
    curves = [
        {**curve, "classes": [task.classes[place] for place in curve["classes"]]}
        for curve in going_by["curves"]
    ]
    return {**going_by, "curves": curves}
