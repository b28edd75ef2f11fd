"""`metaloop select`: one labelled data set: choose a pipeline, train it, say how good it is."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metaloop.api.speaking import say
from metaloop.cli import options
from metaloop.cli.output import print_json, print_table, result_alone
from metaloop.cli.resuming import say_how_to_go_on

if TYPE_CHECKING:
    from metaloop.api import SelectResult, TableResult
    from metaloop.core.leagues import EncoderCard


_Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A folder with one folder of images per class (inside of train/ and test/, if "
        "these are there), a zip of that, an .npz with X and y, CIFAR's original files or "
        ".tar.gz, or a table, whose column --target is to be told.",
    ),
]
_Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="A new folder. (default: runs/NAME-1, -2, ...)"),
]
_Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Worker processes, a thread each. (default: one per core)"),
]
_Guests = Annotated[
    list[str] | None,
    typer.Option(
        "--guest",
        metavar="NAME",
        help="A learner of another library that takes part: extra_trees, gaussian_naive_bayes, "
        "keras_cnn, lda, svm. Give it again for more.",
    ),
]

_OF_TABLES = ("target", "objective", "metric", "groups", "ignore", "test", "time_limit_per_row")
_NOT_OF_SCENARIOS = (
    *_OF_TABLES,
    *("archive", "archive_to", "out", "resume", "image_size", "classes_at"),
)


def select(
    data: _Data,
    budget: options.Budget = "3m",
    out: _Out = None,
    seed: options.Seed = 0,
    split_seed: options.SplitSeed = 0,
    image_size: options.ImageSize = None,
    classes_at: options.ClassesAt = None,
    value_range: options.AskedRange = None,
    target: options.Target = None,
    objective: options.TableObjective = None,
    metric: options.TableMetric = None,
    groups: options.Groups = None,
    ignore: options.Ignore = None,
    test: options.TestFile = None,
    time_limit_per_row: options.TimeLimitPerRow = None,
    archive: options.Archive = None,
    archive_to: options.ArchiveTo = None,
    workers: _Workers = None,
    backbone: options.Backbone = "auto",
    download: options.Download = False,
    guests: _Guests = None,
    strict: options.Strict = False,
    resume: options.Resume = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Choose and train a classifier of the classes in DATA, test it on examples kept apart.

    Of a table --target names the column that is to be told, a class or a number. Of a scenario of
    ASlib: which algorithm for which instance.
    """
    typed = dict(locals())
    from metaloop.api import Interrupted
    from metaloop.api import select as select_from
    from metaloop.api.instances import is_scenario
    from metaloop.cli.instances import select_of_scenario

    if is_scenario(Path(data)):
        asked_for = {n: bool(typed[n]) for n in _NOT_OF_SCENARIOS} | {"budget": budget != "3m"}
        words = {"--guest": bool(guests)}
        words |= {f"--{name.replace('_', '-')}": there for name, there in asked_for.items()}
        return select_of_scenario(Path(data), seed, words, as_json)
    asked: dict[str, Any] = {"budget": budget, "seed": seed, "split_seed": split_seed}
    more = {"image_size": image_size, "classes_at": classes_at, "workers": workers}
    asked |= {**more, "archive": archive, "archive_to": archive_to}
    of_tables = {name: typed[name] for name in _OF_TABLES} | {"ignore": tuple(ignore or ())}
    try:
        with result_alone():
            run, code = select_from(
                data, out=out, strict=strict, resume=resume, progress=not quiet,
                value_range=options.value_range(value_range), backbone=backbone,
                download=download, guests=tuple(guests or ()), **asked, **of_tables,
            ), 0  # fmt: skip
    except Interrupted as stop:
        run, code = stop.result, stop.exit_code
    asked |= {"backbone": None if backbone == "auto" else backbone, "value_range": value_range}
    asked |= {"guest": guests}
    _say(run, data, asked, as_json)
    return code


def _say(run: SelectResult | TableResult, data: str, asked: dict[str, Any], as_json: bool) -> None:
    from metaloop.api import SelectResult
    from metaloop.cli.tabular import print_tabular

    of_images = isinstance(run, SelectResult)
    if as_json:
        print_json(run.to_json())
    elif run.status != "interrupted":
        _print(run) if isinstance(run, SelectResult) else print_tabular(run)
    if run.status == "interrupted":
        say("metaloop: interrupted; what was measured is in the archive")
    if run.status == "interrupted" and of_images:
        say_how_to_go_on("select", data, {"out": run.out, **asked})


def _print(run: SelectResult) -> None:
    from metaloop.api.selected import COLUMNS
    from metaloop.core.leagues import backbones_sentence
    from metaloop.core.pretraining import SeenBefore, seen_sentence

    print_table(COLUMNS, run.table, numbers=("search", "test", "CPU s"))
    test, model = run.test, str(run.path)
    assert test is not None
    search = run.content["search"]
    print(f"\ntest: {test}; guessing would have {test.chance:.1%}")
    print(backbones_sentence(_cards(run)))
    if seen := seen_sentence(SeenBefore(**e) for e in run.content["best"]["pretraining"]):
        print(seen)
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
