"""The end of a run: the winner becomes a model, `test` is opened once, the report is made."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import replace
from typing import Any

from metaloop.catalogue.families import OpenedData
from metaloop.core.errors import MetaloopError
from metaloop.core.records import Result, measures_json
from metaloop.core.units import why_not_new
from metaloop.jobs.workplace import TrainedNet
from metaloop.loop.events import LoopEvent, Promoted
from metaloop.loop.population import net_node
from metaloop.loop.repeating import Loop
from metaloop.loop.run import Run
from metaloop.loop.summary import chance_of, figures, operators, summary, write_program
from metaloop.loop.transfer import digits_report
from metaloop.modelfile import TrainingRecord
from metaloop.models.model import Model
from metaloop.models.opening import open_test, protocol_json
from metaloop.models.rejecting import with_rejection
from metaloop.models.showing import shown_of
from metaloop.tasks.kept import class_parts, examples_seen, view_of


def finish(
    run: Run, opened: OpenedData, loop: Loop, reading_seconds: float
) -> Generator[LoopEvent, None, dict[str, Any]]:
    """Yields who was promoted; opens `test`, writes the model, returns the report.

    Raises `MetaloopError` if the last judgement failed.
    """
    winner = loop.judge.incumbent
    if winner is None or winner[1].promotion is None:
        raise MetaloopError(
            "the last judgement came to no result, its job in the archive says why; --resume "
            "judges again"
        )
    cpu, wall = run.cpu_seconds, run.wall_seconds
    reason = loop.judge.reasons[-1] if loop.judge.reasons else ""
    yield Promoted(winner[1].candidate.label, winner[1].promotion.result, reason)
    start = time.perf_counter()
    model = _model(run, loop, wall)
    model = with_rejection(model, run.family.seen(model.candidate.view))
    test = _test_result(run, model, loop.settings.test_episodes)
    model = model.with_results(winner[1].promotion.result, test)
    model.save(run.model_path, overwrite=True)
    for item in shown_of(model, run.family, run.spec):
        run.archive.add_artefact(run.id, item.name, item.media_type, item.content, item.caption)
    program = write_program(run, loop.population, loop.judge)
    report = summary(run, loop.population, loop.judge, "finished", reading_seconds)
    report |= {"cpu_seconds": cpu, "wall_seconds": wall}
    chance = chance_of(run)
    report["test"] = {
        **(figures(test) or {}),
        "ci95_new_reason": why_not_new(test),
        "metrics": measures_json(test),
        "ways": run.spec.ways,
        "shots": run.spec.shots,
        "chance": chance,
        "better_than_chance": None if chance is None else test.value - test.ci95 > chance,
        "protocol": protocol_json(test),
    }
    if opened.family.name == "glyphs":
        report["digits"] = digits_report(model)
    report["program"] = str(program) if program else None
    report["operators"] = operators(loop.proposer)
    report["test_seconds"] = time.perf_counter() - start
    return report


def is_test_open(run: Run) -> bool:
    """Whether an earlier try has looked at `test`: nothing may be chosen any more."""
    return any(opening.run in run.tries for opening in run.archive.openings())


def _test_result(run: Run, model: Model, episodes: int) -> Result:
    """Returns what the model has on `test`, which is looked at unless an earlier try has done so.

    A look that was broken off, of which nothing was seen, stays on record.
    """
    subject = model.candidate.identity
    for opening in run.archive.openings():
        if opening.run in run.tries and opening.subject == subject and opening.result is not None:
            return opening.result
    return open_test(
        run.archive,
        subject,
        "the end of a learn run",
        model.learner,
        model.meta_params,
        run.family.seen(model.candidate.view),
        run.spec,
        episodes,
        run.id,
    )


def interrupted(run: Run, loop: Loop, reading_seconds: float) -> dict[str, Any]:
    """Saves the best that was measured so far; the loop itself goes on with `resume`."""
    best = loop.judge.incumbent or loop.population.best
    if best is not None:
        loop.judge.incumbent = best
        model = _model(run, loop, run.wall_seconds)
        if best[1].search is not None:
            model = model.with_results(best[1].search.result)
        model.save(run.model_path, overwrite=True)
    return summary(run, loop.population, loop.judge, "interrupted", reading_seconds)


def _model(run: Run, loop: Loop, wall_seconds: float) -> Model:
    assert loop.judge.incumbent is not None
    node, head = loop.judge.incumbent
    place, family = loop.workplace, run.family.seen(head.candidate.view)
    trained = net_node(node, head)
    net = TrainedNet({}) if trained is None else place.net(trained)
    learner, meta_params = place.assemble(head.candidate, net, run.seed)
    return Model(
        learner=learner,
        meta_params=meta_params,
        candidate=head.candidate,
        spec=replace(run.spec, input_shape=family.input_format.shape),
        input_format=family.input_format,
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
        results=(),
        seen=examples_seen(run.family),
        view=view_of(family),
    )
