"""`metaloop select`: one labelled data set: choose a pipeline, train it, say how good it is."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metaloop.api.speaking import say
from metaloop.cli import options
from metaloop.cli.output import print_json, print_table
from metaloop.cli.resuming import say_how_to_go_on

if TYPE_CHECKING:
    from metaloop.api import SelectResult
    from metaloop.core.leagues import EncoderCard


def select(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A folder with one folder of images per class (inside of train/ and test/, if "
            "these are there), a zip of that, an .npz with X and y, or CIFAR's original files.",
        ),
    ],
    budget: options.Budget = "3m",
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A new folder. (default: runs/NAME-1, -2, ...)"),
    ] = None,
    seed: options.Seed = 0,
    split_seed: options.SplitSeed = 0,
    image_size: options.ImageSize = None,
    classes_at: options.ClassesAt = None,
    value_range: options.AskedRange = None,
    target: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of a table: the column that is to be told."),
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="Of a table: classification or regression. (default: as the target looks)",
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Of a table: balanced_accuracy, accuracy, f1_macro, auroc, log_loss; rmse, mae, r2. "
            "(default: balanced_accuracy, rmse)",
        ),
    ] = None,
    groups: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Of a table: rows with one value here are kept in one part."
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Of a table: a column to leave out; may be repeated."),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Of a table: the rows to test on. (default: a fifth)"),
    ] = None,
    time_limit_per_row: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Of a table: what telling a row may take, as 0.001s."),
    ] = None,
    archive: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The archive of earlier runs, to start from what they found."
        ),
    ] = None,
    archive_to: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="An archive that this run is recorded in as well."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Worker processes, a thread each. (default: one per core)"),
    ] = None,
    backbone: options.Backbone = "auto",
    download: options.Download = False,
    strict: options.Strict = False,
    resume: options.Resume = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Choose and train a classifier of the classes in DATA, test it on examples kept apart.

    DATA may be a table: --target NAME is the column to be told from the others, a class or a number.
    """
    from metaloop.api import Interrupted, SelectResult
    from metaloop.api import select as select_from
    from metaloop.cli.tabular import print_tabular

    asked: dict[str, Any] = {"budget": budget, "seed": seed, "split_seed": split_seed}
    more = {"image_size": image_size, "classes_at": classes_at, "workers": workers}
    asked |= {**more, "archive": archive, "archive_to": archive_to}
    of_tables: dict[str, Any] = {"target": target, "objective": objective, "metric": metric}
    of_tables |= {"groups": groups, "ignore": tuple(ignore or ()), "test": test}
    of_tables |= {"time_limit_per_row": time_limit_per_row}
    try:
        run, code = select_from(
            data, out=out, strict=strict, resume=resume, progress=not quiet,
            value_range=options.value_range(value_range), backbone=backbone,
            download=download, **asked, **of_tables,
        ), 0  # fmt: skip
    except Interrupted as stop:
        run, code = stop.result, stop.exit_code
    if as_json:
        print_json(run.to_json())
    elif run.status != "interrupted":
        _print(run) if isinstance(run, SelectResult) else print_tabular(run)
    if run.status == "interrupted" and not isinstance(run, SelectResult):
        say("metaloop: interrupted; what was measured is in the archive, select again to go on")
    elif run.status == "interrupted":
        say("metaloop: interrupted; what was measured is in the archive")
        asked |= {"backbone": None if backbone == "auto" else backbone}
        say_how_to_go_on("select", data, {"out": run.out, **asked, "value_range": value_range})
    return code


def _print(run: SelectResult) -> None:
    from metaloop.api.selected import COLUMNS
    from metaloop.core.leagues import backbones_sentence

    print_table(COLUMNS, run.table, numbers=("search", "test", "CPU s"))
    test, model = run.test, str(run.path)
    assert test is not None
    search = run.content["search"]
    print(f"\ntest: {test}; guessing would have {test.chance:.1%}")
    print(backbones_sentence(_cards(run)))
    if not test.better_than_chance:
        print("no better than chance")
    print(f"{run.cpu_seconds:,.0f} CPU-seconds, {search['cpu_seconds']:,.0f} of them to choose")
    print(f"\nmodel    {model}\narchive  {run.archive}")
    print(f"\nnext: metaloop predict {shlex.quote(model)} IMAGE...")


def _cards(run: SelectResult) -> list[EncoderCard]:
    """The backbones that the chosen one sees images through."""
    from metaloop.core.leagues import AND, card_from_json

    names = str(run.league).split(AND)
    return [card_from_json(card) for card in run.content["backbones"] if card["name"] in names]
