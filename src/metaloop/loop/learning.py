"""`learn`: from a family of tasks to a learner of new ones, and the record that proves it.

One loop under one budget: choose learning algorithms and learning data, train, generate new data
and new learning algorithms from the results, judge, repeat; then open `test` once. Everything is
written to the run's archive on the way; a killed run goes on with `resume`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from metaloop.archive import Archive, Place, add_backbones, place_of
from metaloop.catalogue.families import (
    AS_IT_IS,
    DataOptions,
    OpenedData,
    data_name,
    open_data,
)
from metaloop.catalogue.features import Tell
from metaloop.catalogue.offered import Allowance, allowance_of, name_of_backbone
from metaloop.catalogue.sights import backbones_of
from metaloop.core.budget import Budget, parse_budget
from metaloop.core.records import Candidate
from metaloop.engine.devices import best_device
from metaloop.engine.evaluation import possible_gain
from metaloop.engine.memory import keep_large_blocks
from metaloop.executors.base import Executor
from metaloop.executors.in_process import InProcess
from metaloop.executors.local_pool import LocalPool
from metaloop.jobs.shipping import can_be_shipped
from metaloop.jobs.table import worker_command, works_in
from metaloop.jobs.workplace import Workplace, prepare
from metaloop.loop.arms import SEGMENT_COST, arm_of
from metaloop.loop.charging import charged
from metaloop.loop.choosing import choose_field, known_programs
from metaloop.loop.events import Learned, LoopEvent
from metaloop.loop.finishing import finish, interrupted, is_test_open
from metaloop.loop.judging import Judge, resumed_judge
from metaloop.loop.others import classes_of, drawer_among, open_others
from metaloop.loop.population import Population
from metaloop.loop.proposal import EVERYTHING, Generates
from metaloop.loop.proposing import Proposer
from metaloop.loop.racing import RACE_SHARE
from metaloop.loop.recording import restore
from metaloop.loop.repeating import Loop, repeat
from metaloop.loop.run import (
    Earlier,
    Run,
    Stopped,
    check_same_data,
    check_same_run,
    check_same_views,
    describe_data,
    offered_before,
    remove_states,
    run_folder,
)
from metaloop.loop.settings import USUAL, Settings
from metaloop.loop.shares import SEGMENT_SHARE, at_once
from metaloop.models.events import data_read
from metaloop.selection.bandit import Use, uses_in
from metaloop.tasks.family import TaskFamily
from metaloop.tasks.voices import usual_words

_MOST_WORKERS = 16

StartExecutor = Callable[[Workplace, int], Executor]  # with so many workers


@dataclass(frozen=True)
class Asked:
    """What a run was asked for: the arguments of `learn`."""

    data: Any  # a path, a built-in name, a reading or a data frame
    out: Path
    budget: Budget
    ways: int
    shots: int
    queries: int
    seed: int
    options: DataOptions
    resume: bool
    module: nn.Module | None
    also: tuple[str | Path, ...]
    archive: Place | None
    workers: int
    candidates: tuple[Candidate, ...] | None
    generates: Generates
    settings: Settings = USUAL
    executor: StartExecutor | None = None
    tell: Tell | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """What the archive keeps, and a resumed run must be asked for again."""
        how = self.options
        asked = {
            "classes_at": how.classes_at,
            "value_range": how.value_range,
            "columns": None if how.columns is None else dict(how.columns),
            "view": how.view,
            "backbone": name_of_backbone(how.backbone),
        }
        if how.speaker_pattern is not None:
            asked["speaker_pattern"] = how.speaker_pattern
        for name in ("items", "users"):
            if getattr(how, name) is not None:
                asked[name] = str(getattr(how, name))
        if how.length is not None:
            asked["length"] = str(how.length)
        if how.best_reference is not None:
            asked["best_reference"] = str(how.best_reference)
        if how.objective is not None:
            asked["objective"] = how.objective
        if how.label_names:
            asked["label_names"] = "shown"
        same = ("ways", "shots", "queries", "seed", "workers")
        return {
            "data": data_name(self.data),
            "budget": str(self.budget),
            "also": [str(path) for path in self.also],
            "archive": None if self.archive is None else str(self.archive),
            **{name: getattr(self, name) for name in same},
            "split_seed": how.split_seed,
            "image_size": how.image_size,
            **{name: None if value is None else str(value) for name, value in asked.items()},
        }


def learn(
    data: Any = "glyphs",
    *,
    out: str | Path,
    budget: str | Budget = "3m",
    ways: int = 5,
    shots: int = 1,
    queries: int = 15,
    seed: int = 0,
    options: DataOptions = AS_IT_IS,
    resume: bool = False,
    net: nn.Module | None = None,
    also: Sequence[str | Path] = (),
    archive: str | Path | None = None,
    workers: int | None = None,
    candidates: Sequence[Candidate] | None = None,
    generates: Generates = EVERYTHING,
    settings: Settings = USUAL,
    executor: StartExecutor | None = None,
    stop: Callable[[], bool] = lambda: False,
    tell: Tell | None = None,
) -> Iterator[LoopEvent]:
    """Yields what happens; the last event, `Learned`, holds the report that `--json` prints.

    `data`: a path, the name of a built-in family, a `Reading`, or a data frame of pandas or polars.
    `options`: how it is meant and split, where it does not say so itself. `also`: further data sets
    to learn from, if they turn out to help, and perhaps a model that draws images.
    `archive`: that of earlier runs, on any data.
    `workers`: processes of one thread each (default: one per core); a net of your own is trained in
    this process. Encoders that nobody has named are offered as far as encoding takes half of the
    budget at most. `candidates`: what the race starts with instead of the catalogue's. `generates`
    leaves parts of the loop out, and `settings` are other numbers to go by, for experiments.
    `executor`: what runs the jobs instead of processes on this machine. `tell` is called while an
    encoder sees the inputs, with how many it has seen and how many there are.
    Writes `out/model.metaloop` and `out/archive.sqlite`. The budget covers choosing, training and
    promotion; reading (of `archive`, too) and the final test are reported apart. When `stop()`
    becomes true, the best model so far is saved and the report's `status` is `interrupted`.
    Raises `MetaloopError` in one line for everything that the caller can mend.
    """
    asked = Asked(
        data, Path(out), parse_budget(budget) if isinstance(budget, str) else budget,
        ways, shots, queries, seed, options, resume, net, tuple(also),
        place_of(archive) if archive else None,
        1 if executor is None and _is_in_process(net, data) else workers or default_workers(),
        None if candidates is None else tuple(candidates), generates, settings, executor,
        tell,
    )  # fmt: skip
    yield from _recorded(asked, stop)


def _recorded(asked: Asked, stop: Callable[[], bool]) -> Iterator[LoopEvent]:
    """Yields the events of a run that its archive knows of from before data is read to its end."""
    cpu_start = time.process_time()
    with run_folder(asked.out, asked.resume) as records:
        earlier = check_same_run(records, asked.arguments) if asked.resume else Earlier()
        number = records.begin_run(
            "learn", arguments=asked.arguments, seed=asked.seed, budget=str(asked.budget)
        )
        status = "failed"
        try:
            start = time.perf_counter()
            options = replace(asked.options, allowance=_allowance(asked, records, earlier))
            opened = open_data(asked.data, options, tell=asked.tell)
            drawer, also = drawer_among(asked.also, opened)
            others, overlap = open_others(also, opened, asked.options, asked.tell)
            spec = opened.family.spec(asked.ways, asked.shots, asked.queries)
            family = opened.family.to(best_device())
            data_sets = [describe_data(each) for each in (opened, *others.values())]
            check_same_data(records, earlier, data_sets)
            check_same_views(records, earlier, opened.family)
            for data_set in data_sets:
                records.add_data_set(data_set)
            add_backbones(records, number, backbones_of(opened.family))
            run = Run(
                asked.out, records, number, asked.budget, asked.seed, family, spec, stop,
                (*earlier.tries, number), spent_before=earlier.wall, cpu_before=earlier.cpu,
            )  # fmt: skip
            told = replace(opened, left_out=(*opened.left_out, *overlap))
            yield data_read(told, time.perf_counter() - start)
            read_seconds = time.perf_counter() - start
            report = yield from _learn(run, opened, others, drawer, asked, read_seconds)
            # of the whole process tree: reading and the final test are in it, unlike in the budget
            cpu = run.cpu_before + run.worker_cpu + time.process_time() - cpu_start
            report["cpu_seconds"] = cpu
            status = report["status"]
        except (KeyboardInterrupt, GeneratorExit):
            status = "interrupted"
            raise
        finally:
            if status != "finished":
                records.mark_interrupted(number)
            records.end_run(number, status)  # type: ignore[arg-type]
        if status == "finished":  # only now: a run that was killed before still needs them
            remove_states(asked.out)
    yield Learned(report)  # when all is written: a reader may stop here


def _allowance(asked: Asked, records: Archive, earlier: Earlier) -> Allowance:
    """Returns what `auto` may offer: by the budget, or as earlier tries of the run were offered."""
    before = offered_before(records, earlier)
    if before is not None:
        return Allowance(names=tuple(card.name for card in before))
    return allowance_of(asked.budget.wall_seconds)


def _learn(
    run: Run,
    opened: OpenedData,
    others: dict[str, OpenedData],
    drawer: Path | None,
    asked: Asked,
    seconds: float,
) -> Any:  # a generator of events that returns the report
    keep_large_blocks()
    start = time.perf_counter()
    with ExitStack() as stack:
        families = {name: classes_of(other) for name, other in others.items()}
        # a wrong archive leaves nothing behind
        beginning = _beginning(run, asked, tuple(families), drawer is not None)
        workplace = prepare(run.states, run.family, run.spec, families, asked.module, drawer)
        seconds += time.perf_counter() - start
        run.restart_clock()
        stack.enter_context(charged(run, asked.settings.note_seconds))
        executor = stack.enter_context(_executor(workplace, asked))
        loop = Loop(run, workplace, executor, *beginning, settings=asked.settings)
        try:
            if not is_test_open(run):
                yield from repeat(loop)
                if run.stop():  # nothing is lost, resuming judges again
                    raise Stopped
        except Stopped:
            executor.close()
            return interrupted(run, loop, seconds)
    return (yield from finish(run, opened, loop, seconds))


def _beginning(
    run: Run, asked: Asked, families: tuple[str, ...], draws: bool
) -> tuple[Proposer, tuple[str, ...], Judge, int]:
    """Returns what the loop begins with, or goes on with where an interrupted try has left it.

    Archives are read here, before the clock starts: on a busy machine that may take long.
    """
    with ExitStack() as stack:
        earlier = None
        if asked.archive is not None:
            earlier = stack.enter_context(Archive.open(asked.archive, read_only=True))
        proposer = _proposer(run, asked, families, draws, earlier)
        programs = tuple(known_programs(earlier)) if earlier is not None else ()
    number, ended = restore(run, proposer.population)
    for node, progress in ended:
        proposer.credit(node, progress)
    return proposer, programs, resumed_judge(run, proposer.population), number


def _proposer(
    run: Run, asked: Asked, families: tuple[str, ...], draws: bool, earlier: Archive | None
) -> Proposer:
    seconds = None
    if run.budget.wall_seconds is not None:
        seconds = RACE_SHARE * run.budget.wall_seconds * at_once(asked.workers)
    shrunk = asked.generates.algorithms  # nets that begin so go on with larger images
    field = choose_field(
        run.family, run.spec, asked.module, earlier, seconds, asked.candidates, shrunk,
        asked.settings.learners,
    )  # fmt: skip
    gain, classes = possible_gain(run.family, run.spec), run.family.as_classes
    return Proposer(
        Population(gain),
        field.contenders,
        field.baselines,
        {view: run.family.seen(view).input_format for view in run.family.views},
        run.spec,
        run.seed,
        asked.generates,
        field.origins,
        families,
        _earlier_uses(earlier, gain),
        None if seconds is None else seconds * SEGMENT_SHARE / RACE_SHARE,
        0 if classes is None else len(classes.parts["train"]),
        classes is not None and usual_words(classes.store, classes.parts["train"], 1) > 1,
        workers=asked.workers,
        draws=draws,
        learners=asked.settings.learners,
    )


def _is_in_process(module: nn.Module | None, data: Any) -> bool:
    """Whether this process does all work: what is of the user's own is here only, a GPU for one."""
    own_family = isinstance(data, TaskFamily) and not can_be_shipped(data)
    return module is not None or own_family or best_device().type != "cpu"


def _executor(workplace: Workplace, asked: Asked) -> Executor:
    if asked.executor is not None:
        return asked.executor(workplace, asked.workers)
    if _is_in_process(asked.module, asked.data):
        return InProcess(works_in(workplace))
    return LocalPool(worker_command(workplace.folder), asked.workers)


def default_workers() -> int:
    """Returns one worker for each core that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(_MOST_WORKERS, cores or 1))


def _earlier_uses(earlier: Archive | None, gain: float) -> list[Use]:
    """Returns what the archive's runs tell of arms, in shares of what can be gained."""
    if earlier is None:
        return []
    # Budgets and machines differ: each counts as one usual segment.
    return [
        replace(
            use,
            difference=use.difference / gain,
            standard_error=use.standard_error / gain,
            cpu_seconds=SEGMENT_COST,
        )
        for use in uses_in(earlier, arm_of)
    ]
