"""`select`: choose and train a whole pipeline for one labelled data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from metaloop.api.destination import discard_unused, fresh_folder, is_unused
from metaloop.api.progress import Progress, style_of
from metaloop.api.selected import SelectResult
from metaloop.api.stopping import Interrupted, Stopper
from metaloop.api.tabular import TableResult, is_tabular, refused_together, selected_table
from metaloop.api.telling import LearnTeller, tell_reading
from metaloop.archive import check_elsewhere, record_elsewhere
from metaloop.catalogue.families import data_name
from metaloop.catalogue.offered import AUTO, NONE
from metaloop.core.budget import Budget
from metaloop.core.encoder import Encoder
from metaloop.core.errors import MetaloopError
from metaloop.loop import DataRead, Learned, LoopEvent
from metaloop.selecting import USUAL, SelectSettings
from metaloop.selecting import select as events_of
from metaloop.tasks.store import LeftOut
from metaloop.tasks.value_range import ValueRange

_OF_TABLES = ("target", "objective", "metric", "groups", "ignore", "test", "time_limit_per_row")
_OF_IMAGES = (
    *("image_size", "classes_at", "value_range", "strict", "resume", "download", "backbone"),
)
_OF_BOTH = (
    *("budget", "seed", "split_seed", "archive", "archive_to", "workers", "out", "progress"),
    "stop",
)


def select(
    data: Any,
    *,
    budget: str | Budget = "3m",
    out: str | Path | None = None,
    seed: int = 0,
    split_seed: int = 0,
    image_size: int | None = None,
    classes_at: int | None = None,
    value_range: ValueRange | None = None,
    target: str | None = None,
    objective: str | None = None,
    metric: str | None = None,
    groups: str | None = None,
    ignore: Sequence[str] = (),
    test: Any = None,
    time_limit_per_row: str | None = None,
    archive: str | Path | None = None,
    archive_to: str | Path | None = None,
    workers: int | None = None,
    strict: bool = False,
    resume: bool = False,
    backbone: str | Encoder = AUTO,
    download: bool = False,
    guests: Mapping[str, Any] | Sequence[str] = (),
    settings: SelectSettings = USUAL,
    stop: Callable[[], bool] = lambda: False,
    progress: bool | None = None,
) -> SelectResult | TableResult:
    """Returns the run, once a pipeline was chosen, trained and tested on sealed examples.

    Not few-shot: one labelled data set of images, whose classes are all known, or a table (a path
    or a data frame) whose column `target` is to be told: then a `TableResult`. The arguments are
    those of `metaloop select`; `backbone` may be an encoder of your own, and `guests` are
    estimators of scikit-learn and compiled Keras models by names of yours, or names of the table.
    `settings` are numbers to go by. `progress` and Ctrl-C are as in `learn`. `MetaloopError` for
    all that can be mended.

    >>> import metaloop as ml
    >>> run = ml.select("my_folder", budget="3m")  # doctest: +SKIP
    >>> run.test.value, run.test.ci95  # doctest: +SKIP
    (0.94, 0.01)
    >>> run.model.predict(["new.png"])  # doctest: +SKIP
    array(['cat'], dtype=object)
    """
    asked = dict(locals())
    if workers is not None and workers < 1:
        raise MetaloopError(f"workers are at least 1 process; got {workers}")
    of_tables = {name: asked[name] for name in _OF_TABLES}
    of_images = {name: asked[name] for name in _OF_IMAGES}
    both = {name: asked[name] for name in _OF_BOTH}
    if is_tabular(data):
        named = {"backbone": backbone not in (AUTO, NONE), "guest": bool(guests)}
        refused_together({**of_images, **named}, "a table")
        return selected_table(data, **of_tables, **both)
    refused_together(of_tables, "images")
    return _of_images(data, settings, guests=guests, **of_images, **both)


def _of_images(
    data: Any,
    settings: SelectSettings,
    *,
    stop: Callable[[], bool],
    out: Any,
    resume: bool,
    backbone: str | Encoder,
    progress: bool | None,
    archive_to: Any,
    **asked: Any,
) -> SelectResult:
    """Returns a run on images."""
    if out is None and resume:
        raise MetaloopError("--resume goes on with a run; name its folder with --out")
    if archive_to is not None:
        check_elsewhere(archive_to)
    folder = Path(out) if out is not None else fresh_folder(data_name(data))
    was_unused = is_unused(folder)
    own = backbone if isinstance(backbone, Encoder) else None
    with Stopper() as stopper, Progress(style_of(progress)) as shown:
        shown.status(f"reading {data_name(data)}")
        events = events_of(
            data, out=folder, resume=resume, backbone=backbone, settings=settings,
            stop=lambda: stop() or stopper(),
            tell=lambda done, of: shown.status(f"encoded {done:,} of {of:,} examples"), **asked,
        )  # fmt: skip
        try:
            run = _followed(events, shown, stopper, folder, own)
            if archive_to is not None and run.status == "finished":
                record_elsewhere(run.archive, archive_to)
        except MetaloopError:
            if was_unused:
                discard_unused(folder)
            raise
    if stopper.signal is not None:
        advice = f"go on with out='{run.out}', resume=True and the same arguments"
        raise Interrupted(f"interrupted; {advice}", stopper.exit_code, run)
    return run


def _followed(
    events: Iterator[LoopEvent],
    shown: Progress,
    stopper: Stopper,
    folder: Path,
    own: Encoder | None,
) -> SelectResult:
    """Returns the result at the end of the events, which are told on the way."""
    teller = LearnTeller(shown)
    left_out: tuple[LeftOut, ...] = ()
    for event in events:
        if isinstance(event, DataRead):
            stopper.can_save, left_out = True, event.left_out
            counts = " / ".join(f"{number:,}" for number in event.parts.values())
            shown.line(f"{event.name}: {event.kind} {counts} to {' / '.join(event.parts)}")
            tell_reading(event, shown)
        elif isinstance(event, Learned):
            return SelectResult(folder, event.report, left_out, own)
        else:
            teller.tell(event)
    raise AssertionError("selecting ended without a report")
