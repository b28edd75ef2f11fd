"""`metaloop evaluate`: a saved model on frozen episodes, every look at `test` on record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from metaloop.cli import options
from metaloop.cli.output import print_json
from metaloop.core.records import PARTS

if TYPE_CHECKING:
    from metaloop.api.figures import Figures, OpenTask

_AllowSeen = Annotated[
    bool,
    typer.Option(
        "--allow-seen", help="Score examples though the model was trained on copies of them."
    ),
]
_Apart = Annotated[
    str | None,
    typer.Option(
        metavar="WHAT", help="speaker: the support of a task is of one, queries of others."
    ),
]
_Open = Annotated[
    bool,
    typer.Option(
        "--open",
        help="Ask tasks about other classes, too: how well those are told from the task's.",
    ),
]


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
    archive: options.Openings = None,
    classes_at: options.ClassesAt = None,
    value_range: options.AskedRange = None,
    columns: options.Columns = None,
    text: options.TextColumn = None,
    label: options.LabelColumn = None,
    domain: options.DomainColumn = None,
    speaker_pattern: options.SpeakerPattern = None,
    users: options.Users = None,
    words: options.Words = None,
    sentences: options.Sentences = None,
    ratio: options.Ratio = None,
    references: options.References = None,
    use_label_names: options.UseLabelNames = False,
    allow_seen: _AllowSeen = False,
    apart: _Apart = None,
    strict: options.Strict = False,
    open_set: _Open = False,
    seed: options.UnusedSeed = 0,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure MODEL on tasks of DATA: frozen episodes, with two 95 % intervals.

    Classes that the model was trained or chosen on are told by content, then by name, and stay in
    their parts; all others are test.
    """
    from metaloop.api import evaluate as figures_of

    figures = figures_of(
        model, data, part=part, ways=ways, shots=shots, queries=queries, episodes=episodes,
        archive=archive, classes_at=classes_at, value_range=options.value_range(value_range),
        columns=options.columns(columns, text, label, domain), speaker_pattern=speaker_pattern,
        users=users, allow_seen=allow_seen, apart=apart, strict=strict, open_set=open_set,
        progress=not quiet, words=words, sentences=sentences, ratio=ratio, references=references,
        use_label_names=use_label_names,
    )  # fmt: skip
    if as_json:
        print_json(figures.to_json())
    else:
        _print(figures)


def _print(figures: Figures) -> None:
    from metaloop.core.leagues import backbones_sentence
    from metaloop.core.pretraining import seen_sentence
    from metaloop.report.figures import intervals_text, measures_text, printable

    print(figures)
    if figures.open is not None:
        print(_asked(figures.open))
        for each in figures.metrics.values():
            print(f"  {measures_text(replace(figures.result, metrics=(each,)))}")
    elif figures.metrics:
        print(measures_text(figures.result))
    print(intervals_text(figures.result))
    if figures.backbones:
        print(printable(backbones_sentence(figures.backbones)))
    if seen := seen_sentence(figures.pretraining):
        print(printable(seen))
    if figures.recognised is not None:
        print(_recognised(figures.recognised))


def _asked(task: OpenTask) -> str:
    """Returns in words what tasks were asked about."""
    said = (
        f"with queries of {task.others} classes that are not in the task, of which "
        f"{task.rate:.0%} may be accepted (false alarms):"
    )
    return (
        f"{said[:-1]}; the model's threshold is a guess for {task.outside}:"
        if task.outside
        else said
    )


def _recognised(counts: Mapping[str, int]) -> str:
    """Returns in words how many classes the model had seen, and in which part."""
    seen = [f"{counts[part]:,} of {part}" for part in PARTS if counts[part]]
    new = f"{counts['unknown']:,} classes are new to the model, all in test"
    return f"recognised {', '.join(seen)}; {new}" if seen else new
