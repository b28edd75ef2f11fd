"""`train`: one chosen learner, without a race."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from metaloop.api.destination import check_destination
from metaloop.api.figures import Figures
from metaloop.api.progress import Progress, style_of
from metaloop.api.stopping import Interrupted, Stopper
from metaloop.api.telling import tell_reading, tell_training
from metaloop.api.trained import TrainResult
from metaloop.archive import file_lock
from metaloop.catalogue.families import DataOptions, data_name
from metaloop.catalogue.offered import NONE
from metaloop.core.black_box import BlackBoxLearner
from metaloop.core.budget import Budget, parse_budget
from metaloop.core.encoder import Encoder
from metaloop.core.errors import DivergenceError, MetaloopError, OutputError
from metaloop.core.extracts import asked_best, asked_length
from metaloop.core.records import Candidate, Result
from metaloop.core.team import joined_team
from metaloop.loop import DataRead, train_model
from metaloop.models.training import Trained, check_continues
from metaloop.tasks.store import LeftOut
from metaloop.tasks.value_range import ValueRange

_STATE_SUFFIX = ".state"


def train(
    data: Any, learner: str | Candidate | BlackBoxLearner, *, out: str | Path | None = None,
    net: str | nn.Module | None = None, budget: str | Budget = "3m", ways: int = 5, shots: int = 1,
    queries: int = 15, seed: int = 0, split_seed: int = 0, image_size: int | None = None,
    classes_at: int | None = None, value_range: ValueRange | None = None,
    columns: Mapping[str, str | Sequence[str]] | None = None, view: str | None = None,
    speaker_pattern: str | None = None, items: str | Path | None = None,
    users: str | Path | None = None, words: int | None = None, sentences: int | None = None,
    ratio: float | None = None, references: str | None = None,
    use_label_names: bool = False, objective: str | None = None, backbone: str | Encoder = NONE,
    download: bool = False, strict: bool = False, resume: bool = False,
    stop: Callable[[], bool] = lambda: False, progress: bool | None = None,
) -> TrainResult:  # fmt: skip
    """Returns the learner, trained on `data` and measured on nothing else than `search`.

    The arguments are those of `metaloop train`. `learner` is a name of `metaloop.LEARNERS`, a
    candidate, or a black box of your own; `net` a name of `metaloop.NETS`, a module, or None.
    `backbone`: the encoder that inputs are seen through; `auto`: what is best on `search`. `out`:
    the file to write; `OUT.state` is kept meanwhile. The rest: `stream`. Raises `DivergenceError`.
    Under `torchrun` all processes call this alike and share the tasks of every step; the first
    alone measures, tells and writes. `LostProcessError` where one of them ends before the others.

    >>> import metaloop as ml
    >>> trained = ml.train("sinusoid", "maml", budget="20steps", shots=10, queries=10)
    >>> trained.steps, trained.model.fit([[-1.0], [0.5]], [0.2, 0.9]).predict([[1.0]]).shape
    (20, (1,))
    """
    limit = parse_budget(budget) if isinstance(budget, str) else budget
    asked = (image_size, split_seed, classes_at, value_range, columns, view, strict, backbone)
    options = DataOptions(
        *asked, download, speaker_pattern, items=items, users=users, objective=objective,
        length=asked_length(words, sentences, ratio), best_reference=asked_best(references),
        label_names=use_label_names,
    )  # fmt: skip
    path = None if out is None else Path(out)
    if path is None and resume:
        raise MetaloopError("resume goes on with a training; name its model file with out")
    team = joined_team()
    follows = team is not None and not team.leads
    kept = _of_the_leader(path) if follows else _kept(path, resume)
    style = style_of(False if follows else progress)
    with Stopper() as stopper, Progress(style) as shown, kept as state:
        shown.status(f"reading {data_name(data)}")
        events = train_model(
            data, learner, budget=limit, net=net, ways=ways, shots=shots, queries=queries,
            seed=seed, options=options,
            checkpoint=state, resume=resume, stop=lambda: stop() or stopper(), team=team,
        )  # fmt: skip
        result = _followed(events, shown, stopper, path, limit.wall_seconds)
        if path is not None and not follows:
            result.save(path, overwrite=resume)
        if state is not None and not follows and not result.interrupted:
            state.unlink(missing_ok=True)
    if stopper.signal is not None:
        raise Interrupted(_advice(result), stopper.exit_code, result)
    return result


def _followed(
    events: Iterator[Any],
    shown: Progress,
    stopper: Stopper,
    out: Path | None,
    wall_seconds: float | None,
) -> TrainResult:
    """Returns the result at the end of the events, which are told on the way."""
    search: Result | None = None
    left_out: tuple[LeftOut, ...] = ()
    for event in events:
        if isinstance(event, Trained):
            model = event.model
            if search is not None and not event.interrupted:  # it is of the final weights
                model = model.with_results(search)
            figures = None if search is None else Figures.of(search, None, model.backbones)
            return TrainResult(model, figures, event.interrupted, out, left_out)
        if isinstance(event, DataRead):
            stopper.can_save, left_out = True, event.left_out
            tell_reading(event, shown)
        else:
            search = tell_training(event, shown, wall_seconds) or search
    raise AssertionError("training ended without a model")


@contextmanager
def _of_the_leader(out: Path | None) -> Iterator[Path | None]:
    """Yields where the first process of a team keeps the state, for the others to read."""
    yield None if out is None else out.with_name(out.name + _STATE_SUFFIX)


@contextmanager
def _kept(out: Path | None, resume: bool) -> Iterator[Path | None]:
    """Yields where the state of a training is kept, which nobody else writes meanwhile.

    Raises `OutputError` if the model could not be written, or if there is nothing to resume, or
    something and nobody asked to.
    """
    if out is None:
        yield None
        return
    state = out.with_name(out.name + _STATE_SUFFIX)
    if out.is_dir() or not out.parent.is_dir():
        check_destination(out)
    with ExitStack() as stack:
        stack.enter_context(file_lock(out))
        _check_unfinished(out, state, resume)
        check_destination(out, overwrite=resume)
        try:
            yield state
        except DivergenceError:
            state.unlink(missing_ok=True)  # to go on from there would diverge again
            raise


def _check_unfinished(out: Path, state: Path, resume: bool) -> None:
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
        check_continues(state, out)


def _advice(result: TrainResult) -> str:
    done = f"interrupted after {result.steps:,} steps"
    if result.out is None or not result.interrupted:
        return done
    return f"{done}; saved {result.out}; go on with resume=True and the same arguments"
