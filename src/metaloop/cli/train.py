"""`metaloop train`: one chosen learner, without a race."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metaloop.cli import options
from metaloop.cli.destination import check_destination
from metaloop.cli.output import print_json, say
from metaloop.cli.progress import Progress, clock, joined, result_figure
from metaloop.cli.stopping import Stopper, say_how_to_go_on
from metaloop.core.errors import DivergenceError, OutputError

if TYPE_CHECKING:
    from metaloop.catalogue import Model
    from metaloop.core.records import Result
    from metaloop.engine.events import Event

_STATE_SUFFIX = ".state"


def train(
    data: options.Data,
    learner: Annotated[str, typer.Option(metavar="NAME", help="See 'metaloop list learners'.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The model file to write.")],
    net: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="See 'metaloop list nets'. (default: the one that suits the data)"
        ),
    ] = None,
    budget: options.Budget = "3m",
    ways: options.Ways = 5,
    shots: options.Shots = 1,
    queries: options.Queries = 15,
    seed: options.Seed = 0,
    split_seed: options.SplitSeed = 0,
    image_size: options.ImageSize = None,
    classes_at: options.ClassesAt = None,
    value_range: options.AskedRange = None,
    columns: options.Columns = None,
    strict: options.Strict = False,
    resume: options.Resume = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Train one learner on DATA and write its model file."""
    from metaloop.archive import file_lock

    state = out.with_name(out.name + _STATE_SUFFIX)
    if out.is_dir() or not out.parent.is_dir():
        check_destination(out)
    asked: dict[str, Any] = {"learner": learner, "net": net, "budget": budget, "ways": ways}
    asked |= {"shots": shots, "queries": queries, "seed": seed, "split_seed": split_seed}
    asked |= {"image_size": image_size, "classes_at": classes_at, "value_range": value_range}
    asked |= {"columns": columns}
    with file_lock(out), Stopper() as stop, Progress(quiet) as progress:
        _check_unfinished(out, state, resume)
        check_destination(out, overwrite=resume)
        progress.status(f"reading {data}")
        wishes = {**asked, "strict": strict, "checkpoint": state, "resume": resume}
        wishes["value_range"] = options.value_range(value_range)
        wishes["columns"] = options.columns(columns)
        try:
            model, search, interrupted = _train(data, wishes, stop, progress)
        except DivergenceError:
            state.unlink(missing_ok=True)  # to go on from there would diverge again
            raise
        model.save(out, overwrite=resume)
        if not interrupted:
            state.unlink(missing_ok=True)
    if as_json:
        print_json(_report(out, model, search, interrupted))
    if interrupted:
        say(f"metaloop: interrupted after {model.training.steps:,} steps; saved {out}")
        say_how_to_go_on("train", data, {"out": out, **asked})
        return stop.exit_code
    if not as_json:
        early = f", {result_figure(search)} on {search.episodes} search episodes" if search else ""
        print(f"{model.candidate.label}: {model.training.steps:,} steps{early}\nmodel  {out}")
    return 0


def _train(
    data: str, wishes: Mapping[str, Any], stop: Stopper, progress: Progress
) -> tuple[Model, Result | None, bool]:
    """Returns the model, its last early figure if there is one, and whether it was interrupted."""
    from metaloop.core.budget import parse_budget
    from metaloop.loop import DataRead, train_model
    from metaloop.loop.single import Trained

    wall_seconds = parse_budget(wishes["budget"]).wall_seconds
    search: Result | None = None
    for event in train_model(data, stop=stop, **wishes):
        if isinstance(event, Trained):
            model = event.model
            if search is not None and not event.interrupted:  # it is of the final weights
                model = model.with_results(search)
            return model, search, event.interrupted
        if isinstance(event, DataRead):
            stop.can_save = True
            for note in event.notes:
                progress.line(f"read so: {note}")
            progress.left_out(event.left_out)
        else:
            search = _show(event, progress, wall_seconds) or search
    raise AssertionError("training ended without a model")


def _show(event: Event, progress: Progress, wall_seconds: float | None) -> Result | None:
    """Shows an event of the engine; returns the early figure, if it is one."""
    from metaloop.engine.events import Evaluated, Progressed

    if isinstance(event, Progressed):
        left = None if wall_seconds is None else wall_seconds * (1 - event.spent)
        progress.status(
            joined(
                "training",
                f"{100 * event.spent:.0f} %",
                f"step {event.step:,}",
                f"loss {event.loss:.3f}",
                clock(left),
            )
        )
    if isinstance(event, Evaluated):
        progress.line(
            joined(
                f"step {event.point.step:,}",
                f"{result_figure(event.result)} on {event.result.episodes} search episodes",
            )
        )
        return event.result
    return None


def _check_unfinished(out: Path, state: Path, resume: bool) -> None:
    """Raises `OutputError` if there is nothing to resume, or something and nobody asked to."""
    if resume and not state.exists():
        what = f"'{out}' is finished already" if out.exists() else f"there is no '{state}'"
        raise OutputError(
            f"nothing to resume: {what}; leave --resume away and choose another --out"
        )
    if not resume and state.exists():
        raise OutputError(
            f"'{state}' is left of an interrupted training; go on with --resume, or remove it"
        )
    if resume and out.exists():
        from metaloop.loop.single import check_continues

        check_continues(state, out)


def _report(out: Path, model: Model, search: Result | None, interrupted: bool) -> dict[str, Any]:
    return {
        "status": "interrupted" if interrupted else "finished",
        "model": str(out),
        "learner": model.candidate.learner.name,
        "net": model.candidate.net.name,
        "steps": model.training.steps,
        "wall_seconds": model.training.wall_seconds,
        "cpu_seconds": model.training.cpu_seconds,
        "search": None
        if search is None
        else {
            "metric": search.metric,
            "value": search.value,
            "ci95": search.ci95,
            "ci95_new": search.ci95_new,
            "episodes": search.episodes,
            "units": search.units,
        },
    }
