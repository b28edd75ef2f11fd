"""The `metaloop` command: one file per verb, each calling one function of the library.

Results go to stdout (with `--json` exactly one object), progress and errors to stderr. Nothing
heavy is imported before a verb runs, so that `--help` is quick.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer
from typer.main import get_command

from metaloop import __version__
from metaloop.cli import (
    archive,
    card,
    cite,
    completion,
    data,
    evaluate,
    export,
    export_model,
    fit,
    generate,
    learn,
    listing,
    predict,
    report,
    select,
    serve,
    show,
    train,
    verify,
)
from metaloop.cli.destination import expanded
from metaloop.cli.errors import guarded
from metaloop.cli.several import check_verb, speak_with_one_voice

_VERBS: dict[str, Callable[..., object]] = {
    "learn": learn.learn,
    "select": select.select,
    "predict": predict.predict,
    "fit": fit.fit,
    "generate": generate.generate,
    "data": data.data,
    "train": train.train,
    "evaluate": evaluate.evaluate,
    "report": report.report,
    "show": show.show,
    "export": export.export,
    "serve": serve.serve,
    "export-model": export_model.export_model,
    "card": card.card,
    "verify": verify.verify,
    "list": listing.list_names,
    "cite": cite.cite,
    "completion": completion.completion,
}

app = typer.Typer(
    name="metaloop",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _name, _verb in _VERBS.items():
    app.command(_name)(_verb)
app.add_typer(archive.archive, name="archive")


@app.callback(invoke_without_command=True)
def _metaloop(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Learn learning algorithms: from a family of tasks to a learner of new ones.

    [bold]metaloop learn my_folder --budget 10m[/bold] learns from a folder with one folder of
    images per class; [bold]metaloop predict model.metaloop --support new_classes/ *.png[/bold]
    then tells classes apart that it has never seen, from a few examples each.
    [bold]metaloop select my_folder[/bold] is for classes that are all known: a classifier of these.
    """
    if version:
        print(f"metaloop {__version__}")
        raise typer.Exit


def run(arguments: Sequence[str]) -> int:
    """Returns the exit code of `metaloop ARGUMENTS...`, after saying in one line what was wrong."""

    def command() -> object:
        group = get_command(app)
        words = [expanded(word) for word in arguments] or ["--help"]
        check_verb(words)
        with group.make_context("metaloop", words) as context:
            return group.invoke(context)

    return guarded(command)


def main() -> None:
    """Runs the command line; ends the process with its exit code."""
    speak_with_one_voice()
    sys.exit(run(sys.argv[1:]))
