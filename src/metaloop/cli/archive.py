"""`metaloop archive list|show|merge|prune`: archives, in files and on servers, from outside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metaloop.cli import options
from metaloop.cli.output import print_json, print_table

if TYPE_CHECKING:
    from metaloop.archive import Archive
    from metaloop.archive.overview import RunOverview

_SHORT = 8  # digits of a name, enough to tell runs apart

_Place = Annotated[
    str,
    typer.Argument(
        metavar="ARCHIVE",
        help="A file, the folder of a run, or postgresql://USER@HOST/DATABASE.",
    ),
]

archive = typer.Typer(
    help="List, show, merge and prune archives of runs, in files and on PostgreSQL servers.",
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@archive.command("list")
def list_archive(
    place: _Place, seed: options.UnusedSeed = 0, as_json: options.Json = False
) -> None:
    """List the runs of ARCHIVE: data, verb, when, budget, and the best with its league."""
    from metaloop.archive.overview import list_runs

    with _opened(place) as opened:
        found, shown = list_runs(opened), str(opened.place)
    if as_json:
        print_json({"archive": shown, "runs": [one.to_json() for one in found]})
    elif not found:
        print(f"{shown} holds no runs")
    else:
        _print_runs(found)


@archive.command("show")
def show_archive(
    place: _Place,
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Its number in the list, or how its name begins.")
    ],
    seed: options.UnusedSeed = 0,
    as_json: options.Json = False,
) -> None:
    """Show one run of ARCHIVE: what was asked for, where, what was done and found."""
    from metaloop.archive.overview import find_run, run_json

    with _opened(place) as opened, opened.snapshot():
        found = find_run(opened, run)
        told = {"archive": str(opened.place), **run_json(opened, found)}
    if as_json:
        print_json(told)
        return
    best = told.pop("best")
    told["best"] = _best(found) if best else "-"
    for name, value in told.items():
        print(f"{name.replace('_', ' '):<15}{_words(value)}")


@archive.command("merge")
def merge_archives(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="ARCHIVE...", help="Whose runs are brought: files, folders, URLs."),
    ],
    into: Annotated[
        str, typer.Option(metavar="FILE|URL", help="The archive they go to; made if need be.")
    ],
    whole: Annotated[
        bool,
        typer.Option(
            "--whole", help="Bring scores of single episodes and pictures, too, for pages."
        ),
    ] = False,
    seed: options.UnusedSeed = 0,
    as_json: options.Json = False,
) -> None:
    """Bring the runs of archives into another; a run that is there already is left alone."""
    from metaloop.archive import Archive, merge, place_of
    from metaloop.archive.address import is_same
    from metaloop.core.errors import ArchiveError

    target, told = place_of(into), []
    for source in sources:
        if is_same(_place(source), target):
            raise ArchiveError(f"'{target}' cannot be merged into itself")
        _open(source).close()  # what is wrong is said before anything is made
    with Archive.open_or_create(target) as other:
        for source in sources:
            with _opened(source) as opened:
                merged = merge(opened, other, whole=whole)
            told.append(merged.to_json())
            if not as_json:
                counts = [
                    f"{len(names)} {word}"
                    for word, names in told[-1].items()
                    if word != "archive" and names
                ]
                print(f"{merged.source}: {', '.join(counts) or 'no runs'}")
    if as_json:
        print_json({"archive": str(target), "sources": told})


@archive.command("prune")
def prune_archive(
    place: _Place,
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Runs that began so long ago: 12h, 90d, 6w.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="NAME", help="Runs on data of this name or hash.")
    ] = None,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Runs that never came to their end.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
    seed: options.UnusedSeed = 0,
    as_json: options.Json = False,
) -> None:
    """Remove runs for which all holds that is given, and what only they had; asks nothing."""
    from metaloop.archive.pruning import Which, parse_age, prune

    which = Which(None if older_than is None else parse_age(older_than), data, unfinished)
    with _opened(place, writing=True) as opened:
        pruned, shown = prune(opened, which, dry=dry_run), str(opened.place)
    if as_json:
        print_json({"archive": shown, **pruned.to_json()})
        return
    if pruned.runs:
        _print_runs(pruned.runs)
    would = "would be removed" if dry_run else "removed"
    print(
        f"{would}: runs {len(pruned.runs)}, candidates that only they had {pruned.candidates}, "
        f"data sets {pruned.data_sets}; looks at test that stay on record: {pruned.looks_kept}"
    )


def _place(words: str) -> Any:
    """Where an archive is: of the folder of a run its own."""
    from metaloop.archive import place_of

    place = place_of(words)
    if isinstance(place, Path) and (place / "archive.sqlite").exists():
        return place / "archive.sqlite"
    return place


def _open(words: str, writing: bool = False) -> Archive:
    from metaloop.archive import Archive

    return Archive.open(_place(words), read_only=not writing)


@contextmanager
def _opened(words: str, writing: bool = False) -> Iterator[Archive]:
    """Opens an archive; where that of a run is changed, no run may be going on there."""
    from contextlib import ExitStack

    from metaloop.archive import run_lock
    from metaloop.archive.lock import LOCK_NAME

    place = _place(words)
    with ExitStack() as stack:
        if writing and isinstance(place, Path) and (place.parent / LOCK_NAME).exists():
            stack.enter_context(run_lock(place.parent))
        yield stack.enter_context(_open(words, writing))


def _print_runs(found: Sequence[RunOverview]) -> None:
    from metaloop.report.figures import printable

    columns = ("run", "name", "began", "verb", "data", "budget", "seed", "status", "trials", "best")
    rows = [
        (
            str(one.run.id), printable(one.run.uid[:_SHORT]),
            printable(one.run.started[:16].replace("T", " ")), printable(one.run.command),
            printable(one.data or "-"), printable(one.run.budget), str(one.run.seed),
            one.run.status, f"{one.trials:,}", _best(one),
        )
        for one in found
    ]  # fmt: skip
    print_table(columns, rows, ("run", "seed", "trials"))


def _best(one: RunOverview) -> str:
    import math

    from metaloop.core.leagues import league_words
    from metaloop.report.figures import estimate, printable

    best = one.best
    if best is None:
        return "-"
    league = "" if best.league is None else f", {league_words(best.league)}"
    ci95 = math.nan if best.ci95 is None else best.ci95
    value = estimate(best.metric, best.value, ci95, best.ci95_new)
    return printable(f"{best.learner or best.candidate[:_SHORT]} {value} ({best.part}{league})")


def _words(value: Any) -> str:
    from metaloop.report.figures import printable

    if isinstance(value, dict):
        return ", ".join(f"{name}={_words(each)}" for name, each in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(map(_words, value)) or "-"
    return "-" if value is None else printable(str(value))
