"""`metaloop learn`: the main job, from a family of tasks to a learner of new ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metaloop.api.speaking import say
from metaloop.cli import options
from metaloop.cli.next_step import next_step
from metaloop.cli.output import print_json, print_table, result_alone
from metaloop.cli.resuming import say_how_to_go_on

if TYPE_CHECKING:
    from metaloop.api import LearnResult

_Out = Annotated[
    Path | None, typer.Option(metavar="DIR", help="A new folder. (default: runs/NAME-1, -2, ...)")
]
_Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Worker processes, a thread each. (default: one per core)"),
]
_Executor = Annotated[
    str,
    typer.Option(metavar="[local|ray]", help="Where jobs run: this machine, or a Ray cluster."),
]
_RayAddress = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="The head of the cluster. (default: as Ray finds it)"),
]

_Also = Annotated[
    list[str] | None,
    typer.Option(
        metavar="DATA",
        help="Further data to learn from, if it helps; repeatable. A model of --objective "
        "generation draws classes.",
    ),
]


def learn(
    data: options.Data = "glyphs", budget: options.Budget = "3m", ways: options.Ways = 5,
    shots: options.Shots = 1, queries: options.Queries = 15, out: _Out = None,
    seed: options.Seed = 0, split_seed: options.SplitSeed = 0, image_size: options.ImageSize = None,
    classes_at: options.ClassesAt = None, value_range: options.AskedRange = None,
    columns: options.Columns = None, text: options.TextColumn = None,
    label: options.LabelColumn = None, domain: options.DomainColumn = None,
    speaker_pattern: options.SpeakerPattern = None, items: options.Items = None,
    users: options.Users = None, words: options.Words = None,
    sentences: options.Sentences = None, ratio: options.Ratio = None,
    references: options.References = None, use_label_names: options.UseLabelNames = False,
    objective: options.Objective = None, view: options.View = None,
    backbone: options.Backbone = "auto", download: options.Download = False, also: _Also = None,
    archive: options.Archive = None,
    archive_to: options.ArchiveTo = None, workers: _Workers = None, executor: _Executor = "local",
    ray_address: _RayAddress = None, strict: options.Strict = False,
    resume: options.Resume = False, as_json: options.Json = False, quiet: options.Quiet = False,
) -> int:  # fmt: skip
    """Choose and train a learner on DATA, prove it on classes it has never seen."""
    from metaloop.api import Interrupted
    from metaloop.api import learn as learn_from

    asked: dict[str, Any] = {"budget": budget, "ways": ways, "shots": shots, "queries": queries}
    asked |= {"seed": seed, "split_seed": split_seed, "image_size": image_size, "view": view}
    asked |= {"classes_at": classes_at, "also": also or [], "archive": archive, "workers": workers}
    asked |= {"speaker_pattern": speaker_pattern, "items": items, "users": users}
    asked |= {"archive_to": archive_to}
    asked |= {"objective": objective, "words": words, "sentences": sentences}
    asked |= {"ratio": ratio, "references": references, "use_label_names": use_label_names}
    asked |= {"executor": executor, "ray_address": ray_address}
    typed = {"value_range": value_range, "columns": columns, "backbone": _unusual(backbone)}
    try:
        with result_alone():
            run, code = learn_from(
                data, out=out, strict=strict, resume=resume, progress=not quiet, backbone=backbone,
                download=download, value_range=options.value_range(value_range),
                columns=options.columns(columns, text, label, domain), **asked,
            ), 0  # fmt: skip
    except Interrupted as stop:
        run, code = stop.result, stop.exit_code
    if as_json:
        print_json(run.to_json())
    if run.status == "interrupted":
        _say_what_was_saved(run.content)
        typed |= {"text": text, "label": label, "domain": domain}
        say_how_to_go_on("learn", data, {"out": run.out, **asked, **typed})
        return code
    if not as_json:
        _print(run)
    return 0  # even if it was asked to stop when it had finished


def _unusual(backbone: str) -> str | None:
    return None if backbone == "auto" else backbone


def _print(run: LearnResult) -> None:
    from metaloop.report.figures import intervals_text, measures_text

    board = run.leaderboard
    print_table(board.columns, board.table, numbers=("search", "promotion", "steps", "CPU s"))
    best, model, test = run.content["best"], str(run.path), run.test
    assert test is not None
    print(f"\n{best['learner']} / {best['net']}: {test}")
    if test.metrics:
        print(measures_text(test.result))
    print(intervals_text(test.result))
    print(run.content["certainty"])
    if run.about_league:
        print(run.about_league)
    if test.better_than_chance is False:
        print(f"no better than chance ({test.chance:.1%})")
    if "digits" in run.content:
        print()
        _print_digits(run.content["digits"])
    print(f"\nmodel    {model}\narchive  {run.archive}")
    print("", *next_step(run.path, run.takes, test.ways, test.metric), sep="\n")


def _print_digits(digits: Mapping[str, Any]) -> None:
    """The learner beside the baselines on the pixels of handwritten digits."""
    from metaloop.api.learned import figure_text

    shots = [key for key in digits if key.endswith("-shot")]
    rows = [
        (name, *(figure_text(digits[key][name]) for key in shots))
        for name in (digits[shots[0]] if shots else ())
    ]
    heading = f"real handwritten digits ({digits['ways']}-way, {digits['episodes']:,} episodes)"
    print_table((heading, *shots), rows, numbers=shots)


def _say_what_was_saved(report: Mapping[str, Any]) -> None:
    from metaloop.api.learned import figure_text

    best = report["best"]
    if best:
        said = f"{best['learner']} / {best['net']}, {figure_text(best['search'])} on search"
        say(f"metaloop: interrupted; saved {report['model']} ({said})")
    else:
        say("metaloop: interrupted before a learner was measured")
