"""`metaloop learn`: the main job, from a family of tasks to a learner of new ones."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metaloop.cli import options
from metaloop.cli.output import figure, intervals, measured, print_json, print_table, say
from metaloop.cli.progress import Progress, clock, gain, joined, result_figure
from metaloop.cli.stopping import Stopper, say_how_to_go_on
from metaloop.core.errors import MetaloopError, OutputError

if TYPE_CHECKING:
    from metaloop.loop import LoopEvent

_RUNS = Path("runs")
_ROWS_SHOWN = 12  # `metaloop show` has them all


def learn(
    data: options.Data = "glyphs",
    budget: options.Budget = "3m",
    ways: options.Ways = 5,
    shots: options.Shots = 1,
    queries: options.Queries = 15,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A new folder. (default: runs/NAME-1, -2, ...)"),
    ] = None,
    seed: options.Seed = 0,
    split_seed: options.SplitSeed = 0,
    image_size: options.ImageSize = None,
    classes_at: options.ClassesAt = None,
    value_range: options.AskedRange = None,
    columns: options.Columns = None,
    also: Annotated[
        list[str] | None,
        typer.Option(metavar="DATA", help="Further data to learn from, if it helps; repeatable."),
    ] = None,
    archive: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The archive of earlier runs, to start from what they found."
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Worker processes, a thread each. (default: one per core)"),
    ] = None,
    strict: options.Strict = False,
    resume: options.Resume = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Choose and train a learner on DATA, prove it on classes it has never seen."""
    if resume and out is None:
        raise MetaloopError("--resume goes on with a run; name its folder with --out")
    asked: dict[str, Any] = {"budget": budget, "ways": ways, "shots": shots, "queries": queries}
    asked |= {"seed": seed, "split_seed": split_seed, "image_size": image_size}
    asked |= {"classes_at": classes_at, "value_range": value_range, "columns": columns}
    asked |= {"also": also or [], "archive": archive, "workers": workers}
    with Stopper() as stop, Progress(quiet) as progress:
        progress.status(f"reading {data}")
        folder = _fresh_folder(data) if out is None else out
        wishes = {**asked, "strict": strict, "resume": resume}
        wishes["value_range"] = options.value_range(value_range)
        wishes["columns"] = options.columns(columns)
        report = _learn(data, folder, wishes, stop, progress)
    if as_json:
        print_json(report)
    if report["status"] == "interrupted":
        _say_what_was_saved(report)
        say_how_to_go_on("learn", data, {"out": folder, **asked})
        return stop.exit_code
    if not as_json:
        _print_report(report)
    return 0


def _learn(
    data: str, folder: Path, wishes: Mapping[str, Any], stop: Stopper, progress: Progress
) -> dict[str, Any]:
    """Returns the report of the run; a failed one in which nothing was tried leaves no folder."""
    from metaloop.loop import DataRead, Learned
    from metaloop.loop import learn as learn_from

    was_empty = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    shown = _Shown(progress)
    try:
        for event in learn_from(data, out=folder, stop=stop, **wishes):
            stop.can_save = stop.can_save or isinstance(event, DataRead)
            shown.show(event)
            if isinstance(event, Learned):
                return event.report
    except MetaloopError:
        if was_empty:
            _discard_unused(folder)
        raise
    raise AssertionError("learning ended without a report")


class _Shown:
    """Turns the loop's events into progress."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.best = ""

    def show(self, event: LoopEvent) -> None:
        from metaloop.loop import DataRead, Promoted, Tried, Trying

        if isinstance(event, DataRead):
            parts = " / ".join(f"{count:,}" for count in event.parts.values())
            classes = f"{parts} classes to {' / '.join(event.parts)}" if event.parts else ""
            self.progress.line(joined(f"{event.name}: {event.kind}", classes))
            for note in event.notes:
                self.progress.line(f"read so: {note}")
            self.progress.left_out(event.left_out)
        elif isinstance(event, Trying):
            self.progress.status(
                joined(
                    f"round {event.round}",
                    event.label,
                    event.stage,
                    f"step {event.step:,}",
                    f"loss {event.loss:.3f}",
                    self.best,
                    clock(event.seconds_left),
                )
            )
        elif isinstance(event, Tried):
            result = event.trial.results[0] if event.trial.results else None
            said = result_figure(result) if result else f"{event.trial.status}"
            if event.best_result is not None:
                self.best = f"best {event.best} {result_figure(event.best_result)}"
            shots = sorted({each.protocol.shots for each in event.trial.results})
            gained = "" if event.progress is None else gain(event.progress, shots)
            operator = "" if event.operator == "catalogue" else event.operator
            said = joined(f"tried {event.label}", operator, said, gained, event.trial.message)
            self.progress.line(said)
        elif isinstance(event, Promoted):
            self.progress.line(
                joined(f"promoted {event.label}", result_figure(event.result), event.reason)
            )
            self.progress.status("opening the test part")


def _print_report(report: Mapping[str, Any]) -> None:
    from metaloop.modelfile import read_model

    print_table(
        ("learner", "net", "how", "search", "promotion", "steps", "CPU s", "status"),
        [_row(row) for row in _worth_showing(report["leaderboard"])],
        numbers=("search", "promotion", "steps", "CPU s"),
    )
    result = read_model(report["model"]).results[-1]
    best, model = report["best"], report["model"]
    print(f"\n{best['learner']} / {best['net']}: {measured(report['test'], vars(result.protocol))}")
    print(intervals(report["test"]))
    print(report["certainty"])
    if report["test"]["better_than_chance"] is False:
        print(f"no better than chance ({report['test']['chance']:.1%})")
    if "digits" in report:
        print()
        _print_digits(report["digits"])
    print(f"\nmodel    {model}\narchive  {report['archive']}")
    if report["test"]["metric"] != "accuracy":
        print("\nnext, from Python: metaloop.FewShotRegressor.load(model).fit(X, y).predict(X_new)")
        return
    print("\nnext: give it new classes, a folder of a few images each, and images to tell apart")
    print(f"  metaloop predict {shlex.quote(model)} --support NEW_CLASSES IMAGE...")


def _worth_showing(leaderboard: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Returns the best rows and all baselines."""
    return [row for place, row in enumerate(leaderboard) if place < _ROWS_SHOWN or row["baseline"]]


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    options = ", ".join(f"{name} {value}" for name, value in row["options"].items())
    return (
        row["learner"] + (f" ({options})" if options else ""),
        row["net"],
        "baseline" if row["baseline"] else row["operator"],
        figure(row["search"]),
        figure(row["promotion"]),
        f"{row['steps']:,}",
        f"{row['cpu_seconds']:,.1f}",
        row["status"],
    )


def _print_digits(digits: Mapping[str, Any]) -> None:
    """The learner beside the baselines on the pixels of handwritten digits."""
    shots = [key for key in digits if key.endswith("-shot")]
    rows = [
        (name, *(figure(digits[key][name]) for key in shots))
        for name in (digits[shots[0]] if shots else ())
    ]
    heading = f"real handwritten digits ({digits['ways']}-way, {digits['episodes']:,} episodes)"
    print_table((heading, *shots), rows, numbers=shots)


def _say_what_was_saved(report: Mapping[str, Any]) -> None:
    best = report["best"]
    if best:
        said = f"{best['learner']} / {best['net']}, {figure(best['search'])} on search"
        say(f"metaloop: interrupted; saved {report['model']} ({said})")
    else:
        say("metaloop: interrupted before a learner was measured")


def _fresh_folder(data: str) -> Path:
    """Returns `runs/NAME-n`, just made, with the smallest n that is free."""
    from metaloop.tasks.readers.tables import is_table

    path = Path(data)
    name = path.resolve().name if path.name in ("", "..") else path.name
    name = name.removesuffix(".gz") if is_table(path) else name
    known = path.suffix in (".zip", ".npz") or is_table(path)
    name = name.removesuffix(Path(name).suffix) if known else name
    name = re.sub(r"[^\w.-]+", "-", name).strip(".-") or "data"
    number = 0
    try:
        _RUNS.mkdir(exist_ok=True)
        while True:
            number += 1
            try:
                (_RUNS / f"{name}-{number}").mkdir()
                return _RUNS / f"{name}-{number}"
            except FileExistsError:
                continue
    except OSError as error:
        raise OutputError(
            f"cannot make a folder in '{_RUNS}' ({error.strerror}); name another with --out"
        ) from error


def _discard_unused(folder: Path) -> None:
    """Removes a run's folder in which nothing was tried, so that the name is free again."""
    from metaloop.archive import Archive

    known = {"archive.sqlite", "archive.sqlite-wal", "archive.sqlite-shm", "run.lock", "states"}
    try:
        if not {path.name for path in folder.iterdir()} <= known:
            return
        if (folder / "archive.sqlite").exists():
            with Archive.open(folder / "archive.sqlite", read_only=True) as archive:
                if archive.trials():
                    return
        if (folder / "states").is_dir():
            (folder / "states").rmdir()  # refuses if there is a state
        for name in known - {"states"}:
            (folder / name).unlink(missing_ok=True)
        os.rmdir(folder)
    except (OSError, MetaloopError):
        return
