"""`metaloop evaluate`: a saved model on frozen episodes, every look at `test` on record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from metaloop.cli import options
from metaloop.cli.output import intervals, measured, print_json
from metaloop.cli.progress import Progress
from metaloop.core.errors import unknown_name
from metaloop.core.records import PARTS, Result


def evaluate(
    model: options.ModelFile,
    data: options.Data,
    part: Annotated[
        str,
        typer.Option(
            metavar="PART", help="train, search, promotion or test; test is kept on record."
        ),
    ] = "test",
    ways: options.AskedWays = None,
    shots: options.AskedShots = None,
    queries: options.AskedQueries = None,
    episodes: Annotated[int, typer.Option(metavar="N", help="Tasks to average over.")] = 1000,
    archive: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Where openings of test go. (default: archive.sqlite beside MODEL)"
        ),
    ] = None,
    classes_at: options.ClassesAt = None,
    value_range: options.AskedRange = None,
    strict: options.Strict = False,
    seed: options.UnusedSeed = 0,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure MODEL on tasks of DATA: frozen episodes, with two 95 % intervals.

    Classes that the model was trained or chosen on stay in their parts; all others are test.
    """
    chosen = next((known for known in PARTS if known == part), None)
    if chosen is None:
        raise unknown_name("part", part, PARTS)
    with Progress(quiet) as progress:
        progress.status(f"evaluating {model} on {data}")
        from metaloop.catalogue import load_model
        from metaloop.loop import evaluate_model
        from metaloop.modelfile import file_hash

        result = evaluate_model(
            load_model(model),
            data,
            part=chosen,
            ways=ways,
            shots=shots,
            queries=queries,
            episodes=episodes,
            archive=model.parent / "archive.sqlite" if archive is None else archive,
            subject=file_hash(model),
            strict=strict,
            classes_at=classes_at,
            value_range=options.value_range(value_range),
        )
    report = _report(result)
    if as_json:
        print_json(report)
    else:
        print(measured(report, report["protocol"]))
        print(intervals(report))


def _report(result: Result) -> dict[str, Any]:
    from metaloop.loop.opening import protocol_json

    return {
        "metric": result.metric,
        "value": result.value,
        "ci95": result.ci95,
        "ci95_new": result.ci95_new,
        "episodes": result.episodes,
        "units": result.units,
        "ways": result.protocol.ways,
        "shots": result.protocol.shots,
        "protocol": protocol_json(result),
    }
