"""`metaloop data`: what DATA was read as, and what was left out of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metaloop.api.progress import Progress, style_of
from metaloop.cli import options
from metaloop.cli.output import print_json

if TYPE_CHECKING:
    from metaloop.catalogue import OpenedData


def data(
    data: options.Data,
    image_size: options.ImageSize = None,
    split_seed: options.SplitSeed = 0,
    classes_at: options.ClassesAt = None,
    value_range: options.AskedRange = None,
    columns: options.Columns = None,
    text: options.TextColumn = None,
    label: options.LabelColumn = None,
    domain: options.DomainColumn = None,
    speaker_pattern: options.SpeakerPattern = None,
    items: options.Items = None,
    users: options.Users = None,
    words: options.Words = None,
    sentences: options.Sentences = None,
    ratio: options.Ratio = None,
    references: options.References = None,
    view: options.View = None,
    strict: options.Strict = False,
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write what was read to this new file, which every verb takes as DATA and maps "
            "into memory: for images and vectors that are larger than that.",
        ),
    ] = None,
    seed: options.UnusedSeed = 0,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Say what DATA is read as: classes, examples, parts, and what is left out and why."""
    with Progress(style_of(not quiet)) as progress:
        progress.status(f"reading {data}")
        from metaloop.catalogue import DataOptions, open_data
        from metaloop.catalogue.storing import checked_store, stored
        from metaloop.core.extracts import asked_best, asked_length

        meant = DataOptions(
            image_size, split_seed, classes_at, options.value_range(value_range),
            options.columns(columns, text, label, domain), view, strict,
            speaker_pattern=speaker_pattern, items=items, users=users,
            length=asked_length(words, sentences, ratio), best_reference=asked_best(references),
        )  # fmt: skip
        if cache is not None:
            progress.status(f"reading {data} for {cache}")
            stored(data, meant, cache)
        opened = open_data(checked_store(data) if cache is None else str(cache), meant)
        report = describe(opened)
        progress.left_out(opened.left_out)
    if as_json:
        print_json(report)
    else:
        _print(report)


def describe(opened: OpenedData) -> dict[str, Any]:
    """Returns what `--json` prints: counts are 0 and parts empty where tasks are not classes."""
    from metaloop.catalogue.offered import on_offer
    from metaloop.tasks.describing import facts_of

    family = opened.family
    fmt = family.input_format
    report: dict[str, Any] = {
        "name": family.name,
        "kind": opened.kind,
        "data_hash": family.digest,
        "input": {"kind": fmt.kind, "shape": list(fmt.shape), "polarity": fmt.polarity},
        "classes": 0,
        "examples": 0,
        "examples_per_class": None,
        "groups": 0,
        "first_classes": [],
        "published_split": False,
        "parts": {},
        "largest_ways": {},
        "backbones": on_offer(family),
        "understood": list(opened.notes),
        "left_out": [vars(item) for item in opened.left_out],
    }
    return report | facts_of(family)


def _print_groups(report: Mapping[str, Any]) -> None:
    per_group, target = report["rows_per_group"], report["target"]
    names = ", ".join(report["first_groups"])
    more = ", ..." if report["groups"] > len(report["first_groups"]) else ""
    print(f"groups    {report['groups']:,}, each a function to learn: {names}{more}")
    print(
        f"examples  {report['examples']:,}; per group {per_group['min']:,} to "
        f"{per_group['max']:,}, median {per_group['median']:g}"
    )
    # targets of documents are not standardised: there is no mean to tell
    for low, high, mean, deviation in zip(*target.values(), strict=False):
        print(f"target    {low:g} to {high:g}; in train {mean:g} ± {deviation:g}")
    split = "as published" if report["published_split"] else "made here (--split-seed)"
    counts = ", ".join(f"{name} {part['groups']:,}" for name, part in report["parts"].items())
    print(f"parts     {counts} groups; {split}")
    largest = min(part["largest_shots"] for part in report["parts"].values())
    print(f"--shots   at most {largest:,}")


def _print(report: Mapping[str, Any]) -> None:
    shape = " x ".join(map(str, report["input"]["shape"]))
    drawn = ", ink made bright" if report["input"]["polarity"] == "ink" else ""
    print(f"{report['name']}: {report['kind']}")
    print(f"inputs    {report['input']['kind']} {shape}{drawn}")
    per_class = report["examples_per_class"]
    if per_class is not None:
        grouped = f" in {report['groups']:,} groups" if report["groups"] else ""
        names = ", ".join(report["first_classes"])
        more = ", ..." if report["classes"] > len(report["first_classes"]) else ""
        print(f"classes   {report['classes']:,}{grouped}: {names}{more}")
        print(
            f"examples  {report['examples']:,}; per class {per_class['min']:,} to "
            f"{per_class['max']:,}, median {per_class['median']:g}"
        )
        split = "as published" if report["published_split"] else "made here (--split-seed)"
        counts = ", ".join(f"{name} {part['classes']:,}" for name, part in report["parts"].items())
        print(f"parts     {counts} classes; {split}")
        largest = ", ".join(
            f"{ways:,} at {shots}" for shots, ways in report["largest_ways"].items()
        )
        print(f"--ways    at most {largest}")
    if "rows_per_group" in report:
        _print_groups(report)
    for each in report["backbones"]:
        told = f"trained on {each['knows']}, licence {each['licence']}"
        print(f"backbone  {each['name']} ({told}) is on offer; --backbone none leaves it out")
    for note in report["understood"]:
        print(f"read so   {note}")
    total = sum(item["count"] for item in report["left_out"])
    print(f"left out  {total:,}" if total else "left out  nothing")
    for item in report["left_out"]:
        print(f"  {item['count']:,} x {item['reason']}: {item['what']}")
