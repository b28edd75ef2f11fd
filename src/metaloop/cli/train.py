"""`metaloop train`: one chosen learner, without a race."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metaloop.api.speaking import say
from metaloop.cli import options
from metaloop.cli.output import print_json, result_alone
from metaloop.cli.resuming import say_how_to_go_on

if TYPE_CHECKING:
    from metaloop.api import TrainResult


_Net = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="See 'metaloop list nets'. (default: the one that suits the data)"
    ),
]


_STOPPED_ELSEWHERE = 143  # another process of torchrun was sent SIGTERM


def train(
    data: options.Data,
    learner: Annotated[str, typer.Option(metavar="NAME", help="See 'metaloop list learners'.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The model file to write.")],
    net: _Net = None, budget: options.Budget = "3m", ways: options.Ways = 5,
    shots: options.Shots = 1, queries: options.Queries = 15, seed: options.Seed = 0,
    split_seed: options.SplitSeed = 0, image_size: options.ImageSize = None,
    classes_at: options.ClassesAt = None, value_range: options.AskedRange = None,
    columns: options.Columns = None, text: options.TextColumn = None,
    label: options.LabelColumn = None, domain: options.DomainColumn = None,
    speaker_pattern: options.SpeakerPattern = None, items: options.Items = None,
    users: options.Users = None, words: options.Words = None,
    sentences: options.Sentences = None, ratio: options.Ratio = None,
    references: options.References = None, use_label_names: options.UseLabelNames = False,
    objective: options.Objective = None,
    view: options.View = None, backbone: options.Backbone = "none",
    download: options.Download = False, strict: options.Strict = False,
    resume: options.Resume = False, as_json: options.Json = False, quiet: options.Quiet = False,
) -> int:  # fmt: skip
    """Train one learner on DATA and write its model file."""
    from metaloop.api import Interrupted
    from metaloop.api import train as train_on
    from metaloop.core.team import leave_team

    asked: dict[str, Any] = {"learner": learner, "net": net, "budget": budget, "ways": ways}
    asked |= {"shots": shots, "queries": queries, "seed": seed, "split_seed": split_seed}
    asked |= {"image_size": image_size, "classes_at": classes_at, "view": view}
    asked |= {"items": items, "users": users}
    asked |= {
        "backbone": backbone,
        "speaker_pattern": speaker_pattern,
        "words": words,
        "objective": objective,
    }
    asked |= {"sentences": sentences, "ratio": ratio, "references": references}
    asked |= {"use_label_names": use_label_names}
    unparsed = {"value_range": value_range, "columns": columns, "text": text}
    unparsed |= {"label": label, "domain": domain}
    code = 0
    try:
        with result_alone():
            trained = train_on(
                data, out=out, strict=strict, resume=resume, progress=not quiet,
                download=download, value_range=options.value_range(value_range),
                columns=options.columns(columns, text, label, domain), **asked,
            )  # fmt: skip
    except Interrupted as stop:
        trained, code = stop.result, stop.exit_code
    if as_json:
        print_json(trained.to_json())
    if trained.interrupted:
        say(f"metaloop: interrupted after {trained.steps:,} steps; saved {out}")
        say_how_to_go_on("train", data, {"out": out, **asked, **unparsed})
        return code or _STOPPED_ELSEWHERE
    if not as_json:
        _print(trained, out)
    leave_team()
    return 0  # even if it was asked to stop when it had finished


def _print(trained: TrainResult, out: Path) -> None:
    from metaloop.report.figures import figure

    search = trained.search
    early = f", {figure(search.result)} on {search.episodes} search episodes" if search else ""
    print(f"{trained.trained.candidate.label}: {trained.steps:,} steps{early}\nmodel  {out}")
