"""`metaloop evaluate`: a saved model on frozen episodes, every look at `test` on record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from metaloop.cli import options
from metaloop.cli.output import intervals, measured, print_json
from metaloop.cli.progress import Progress
from metaloop.core.errors import unknown_name
from metaloop.core.records import PARTS, Part, Result


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
    columns: options.Columns = None,
    allow_seen: Annotated[
        bool,
        typer.Option(
            "--allow-seen", help="Score examples though the model was trained on copies of them."
        ),
    ] = False,
    strict: options.Strict = False,
    seed: options.UnusedSeed = 0,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure MODEL on tasks of DATA: frozen episodes, with two 95 % intervals.

    Classes that the model was trained or chosen on are told by content, then by name, and stay in
    their parts; all others are test.
    """
    chosen = _part(part)
    with Progress(quiet) as progress:
        progress.status(f"evaluating {model} on {data}")
        from metaloop.catalogue import load_model
        from metaloop.loop import evaluate_model, open_for
        from metaloop.modelfile import file_hash

        loaded = load_model(model)
        opened = open_for(
            loaded, data, part=chosen, allow_seen=allow_seen, strict=strict, classes_at=classes_at,
            value_range=options.value_range(value_range), columns=options.columns(columns),
        )  # fmt: skip
        progress.left_out(opened.left_out)
        result = evaluate_model(
            loaded, opened, part=chosen, ways=ways, shots=shots, queries=queries,
            episodes=episodes, subject=file_hash(model),
            archive=archive or model.parent / "archive.sqlite",
        )  # fmt: skip
    report = _report(result) | {"recognised": None}
    if opened.recognised is not None:
        report["recognised"] = dict(opened.recognised.counts)
    print_json(report) if as_json else _print(report)


def _part(name: str) -> Part:
    for part in PARTS:
        if part == name:
            return part
    raise unknown_name("part", name, PARTS)


def _print(report: Mapping[str, Any]) -> None:
    print(measured(report, report["protocol"]))
    print(intervals(report))
    if report["recognised"] is not None:
        print(_recognised(report["recognised"]))


def _recognised(counts: Mapping[str, int]) -> str:
    """Returns in words how many classes the model had seen, and in which part."""
    seen = [f"{counts[part]:,} of {part}" for part in PARTS if counts[part]]
    new = f"{counts['unknown']:,} classes are new to the model, all in test"
    return f"recognised {', '.join(seen)}; {new}" if seen else new


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
