"""`learn`: from a family of tasks to a learner of new ones, and the record that proves it.

Choose learning algorithms, train them in a race under one budget, choose the winner on episodes
that decided nothing before, and open `test` once. Everything is written to the run's archive on the
way; a killed run goes on with `resume`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torch import nn

from metaloop.catalogue.families import OpenedData, class_parts, open_data
from metaloop.catalogue.model import Model
from metaloop.core.budget import Budget, parse_budget
from metaloop.core.objective import higher_is_better
from metaloop.core.records import Result
from metaloop.engine.memory import keep_large_blocks
from metaloop.loop.choosing import Contender, Head, choose_contenders
from metaloop.loop.events import Learned, LoopEvent, Promoted
from metaloop.loop.judging import Choice, promote
from metaloop.loop.opening import open_test, protocol_json
from metaloop.loop.racing import race
from metaloop.loop.run import (
    ARCHIVE_NAME,
    Cost,
    Run,
    Stopped,
    best_device,
    check_same_run,
    data_read,
    describe_data,
    remove_states,
    run_folder,
)
from metaloop.loop.transfer import digits_report
from metaloop.modelfile import TrainingRecord
from metaloop.tasks.store import Reading

_TEST_EPISODES = 1000


def learn(
    data: str | Path | Reading = "glyphs",
    *,
    out: str | Path,
    budget: str | Budget = "3m",
    ways: int = 5,
    shots: int = 1,
    queries: int = 15,
    seed: int = 0,
    split_seed: int = 0,
    image_size: int | None = None,
    strict: bool = False,
    resume: bool = False,
    net: nn.Module | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[LoopEvent]:
    """Yields what happens; the last event, `Learned`, holds the report that `--json` prints.

    Writes `out/model.metaloop` and `out/archive.sqlite`. The budget covers racing, training and
    promotion; reading and the final test are reported apart. When `stop()` becomes true, the best
    model so far is saved and the report's `status` is `interrupted`.
    Raises `MetaloopError` in one line for everything that the caller can mend.
    """
    limit = parse_budget(budget) if isinstance(budget, str) else budget
    arguments = {
        "data": data.name if isinstance(data, Reading) else str(data),
        "budget": str(limit),
        "ways": ways,
        "shots": shots,
        "queries": queries,
        "seed": seed,
        "split_seed": split_seed,
        "image_size": image_size,
    }
    with run_folder(Path(out), resume) as archive:
        spent = check_same_run(archive, arguments) if resume else Cost()
        number = archive.begin_run("learn", arguments=arguments, seed=seed, budget=str(limit))
        status = "failed"
        try:
            start = time.perf_counter()
            opened = open_data(data, image_size=image_size, split_seed=split_seed, strict=strict)
            spec = opened.family.spec(ways, shots, queries)
            family = opened.family.to(best_device())
            archive.add_data_set(describe_data(opened))
            run = Run(
                Path(out), archive, number, limit, seed, family, spec, stop, spent.wall, spent.cpu
            )
            yield data_read(opened, time.perf_counter() - start)
            report = yield from _learn(run, opened, net, time.perf_counter() - start)
            status = report["status"]
        except (KeyboardInterrupt, GeneratorExit):
            status = "interrupted"
            raise
        finally:
            if status != "finished":
                archive.mark_interrupted(number)
            archive.end_run(number, status)  # type: ignore[arg-type]
    yield Learned(report)  # when all is written: a reader may stop here


def _learn(
    run: Run, opened: OpenedData, net: nn.Module | None, reading_seconds: float
) -> Any:  # a generator of events that returns the report
    keep_large_blocks()
    contenders = choose_contenders(run.family, run.spec, net)
    with run.archive.transaction():
        for contender in contenders:
            for head in contender.heads:
                run.archive.add_candidate(head.candidate, run=run.id)
    run.restart_clock()
    try:
        yield from race(run, contenders)
        choice = promote(run, contenders)
        if run.stop():  # before `test` is opened: nothing is lost, resuming chooses again
            raise Stopped
    except Stopped:
        return _interrupted(run, contenders, reading_seconds)
    cpu, wall = run.cpu_seconds, run.wall_seconds
    winner = choice.winner
    assert winner.promotion is not None
    yield Promoted(winner.candidate.label, winner.promotion, choice.reason)
    start = time.perf_counter()
    test = open_test(
        run.archive,
        winner.candidate.identity,
        "the end of a learn run",
        winner.learner,
        winner.meta_params,
        run.family,
        run.spec,
        _TEST_EPISODES,
        run.id,
    )
    model = _model(run, winner, wall).with_results(winner.promotion, test)
    model.save(run.model_path, overwrite=True)
    report = _report(run, contenders, choice, reading_seconds, cpu, wall)
    report["test"] = {
        **(_figures(test) or {}),
        "ways": run.spec.ways,
        "shots": run.spec.shots,
        "protocol": protocol_json(test),
    }
    if opened.family.name == "glyphs":
        report["digits"] = digits_report(model)
    report["test_seconds"] = time.perf_counter() - start
    remove_states(run.folder)
    return report


def _interrupted(run: Run, contenders: list[Contender], reading_seconds: float) -> dict[str, Any]:
    """Saves the best that was measured so far; the race itself goes on with `resume`."""
    heads = [(head, c.trains) for c in contenders for head in c.heads if head.result is not None]
    best, trains = max(heads, key=lambda pair: pair[0].merit, default=(None, False))
    report: dict[str, Any] = {
        "status": "interrupted",
        "model": None,
        "archive": str(run.folder / ARCHIVE_NAME),
        "best": None,
        "test": None,
        "leaderboard": _leaderboard(contenders),
        "cpu_seconds": run.cpu_seconds,
        "wall_seconds": run.wall_seconds,
        "reading_seconds": reading_seconds,
    }
    if best is None:
        return report
    if best.meta_params or not trains:
        _model(run, best, run.wall_seconds).save(run.model_path, overwrite=True)
    # else it was restored from the archive without weights, and is what an earlier try saved
    if run.model_path.exists():
        report |= {"model": str(run.model_path), "best": _row(best)}
    return report


def _model(run: Run, head: Head, wall_seconds: float) -> Model:
    results = (head.result,) if head.result is not None else ()
    return Model(
        learner=head.learner,
        meta_params=head.meta_params,
        candidate=head.candidate,
        spec=run.spec,
        input_format=run.family.input_format,
        parts=class_parts(run.family),
        training=TrainingRecord(
            seed=run.seed,
            budget=str(run.budget),
            steps=head.steps,
            wall_seconds=wall_seconds,
            cpu_seconds=head.cpu_seconds,
            data_hash=run.family.digest,
            data_name=run.family.name,
        ),
        results=results,
    )


def _report(
    run: Run,
    contenders: list[Contender],
    choice: Choice,
    reading_seconds: float,
    cpu_seconds: float,
    wall_seconds: float,
) -> dict[str, Any]:
    return {
        "status": "finished",
        "model": str(run.model_path),
        "archive": str(run.folder / ARCHIVE_NAME),
        "best": {**_row(choice.winner), "reason": choice.reason},
        "leaderboard": _leaderboard(contenders),
        "cpu_seconds": cpu_seconds,
        "wall_seconds": wall_seconds,
        "reading_seconds": reading_seconds,
    }


def _leaderboard(contenders: list[Contender]) -> list[dict[str, Any]]:
    """Returns a row per candidate: those that went furthest first, then by their figure."""
    heads = [(c.trains, head) for c in contenders for head in c.heads if head.rung >= 0]
    heads.sort(key=lambda pair: (*_place(pair[1]), -pair[1].rung, -pair[1].value))
    return [{**_row(head), "baseline": not trains} for trains, head in heads]


def _place(head: Head) -> tuple[bool, float]:
    """Returns what orders promoted heads, best first, before all others."""
    if head.promotion is None:
        return True, 0.0
    better = higher_is_better(head.promotion.metric)
    return False, -head.promotion.value if better else head.promotion.value


def _row(head: Head) -> dict[str, Any]:
    return {
        "candidate": head.candidate.identity,
        "learner": head.candidate.learner.name,
        "net": head.candidate.net.name,
        "options": dict(head.candidate.learner.options),
        "status": head.status,
        "rung": head.rung,
        "steps": head.steps,
        "cpu_seconds": head.cpu_seconds,
        "search": _figures(head.result),
        "promotion": _figures(head.promotion),
    }


def _figures(result: Result | None) -> dict[str, Any] | None:
    if result is None:
        return None
    return {
        "metric": result.metric,
        "value": result.value,
        "ci95": result.ci95,
        "episodes": result.episodes,
    }
