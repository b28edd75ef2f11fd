"""`learn` and `stream`: the loop from Python, to its end or event by event."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from metaloop.api.destination import discard_unused, fresh_folder, is_unused
from metaloop.api.executing import LOCAL, AskedExecutor, executing
from metaloop.api.learned import LearnResult
from metaloop.api.progress import Progress, style_of
from metaloop.api.stopping import Interrupted, Stopper
from metaloop.api.telling import LearnTeller
from metaloop.archive import check_elsewhere, record_elsewhere
from metaloop.catalogue.families import DataOptions, data_name
from metaloop.catalogue.offered import AUTO
from metaloop.core.budget import Budget
from metaloop.core.encoder import Encoder
from metaloop.core.errors import MetaloopError
from metaloop.core.extracts import asked_best, asked_length
from metaloop.core.own import Own
from metaloop.core.records import Candidate
from metaloop.loop import DataRead, Generates, Learned, LoopEvent
from metaloop.loop import learn as events_of
from metaloop.loop.charging import ARCHIVE_NAME
from metaloop.loop.settings import USUAL, Settings
from metaloop.tasks.store import LeftOut
from metaloop.tasks.value_range import ValueRange

EVERYTHING = Generates()


def learn(
    data: Any = "glyphs", *, budget: str | Budget = "3m", ways: int = 5, shots: int = 1,
    queries: int = 15, out: str | Path | None = None, seed: int = 0, split_seed: int = 0,
    image_size: int | None = None, classes_at: int | None = None,
    value_range: ValueRange | None = None, columns: Mapping[str, str | Sequence[str]] | None = None,
    view: str | None = None, speaker_pattern: str | None = None, items: str | Path | None = None,
    users: str | Path | None = None, words: int | None = None, sentences: int | None = None,
    ratio: float | None = None, references: str | None = None, use_label_names: bool = False,
    objective: str | None = None, backbone: str | Encoder = AUTO, download: bool = False,
    also: Sequence[str | Path] = (),
    archive: str | Path | None = None, archive_to: str | Path | None = None,
    workers: int | None = None, strict: bool = False, resume: bool = False,
    net: nn.Module | None = None, candidates: Sequence[Candidate] | None = None,
    generates: Generates = EVERYTHING, settings: Settings = USUAL,
    executor: AskedExecutor = LOCAL, ray_address: str | None = None,
    stop: Callable[[], bool] = lambda: False, progress: bool | None = None,
) -> LearnResult:  # fmt: skip
    """Returns the run, once a learner was chosen, trained and tested on classes it never saw.

    The arguments are those of `metaloop learn`. `progress`: False shows only warnings, None more in
    notebooks and terminals, True everywhere. Ctrl-C saves and raises `Interrupted`.

    >>> import metaloop as ml
    >>> run = ml.learn("sinusoid", budget="40steps", shots=10, queries=10, workers=1, out="waves")
    >>> run.test.episodes, run.test.metric
    (1000, 'mse')
    >>> wave = run.model.fit([[-1.0], [0.5], [2.0]], [0.2, 0.9, -0.4])
    >>> page = run.report()
    """
    asked = (image_size, split_seed, classes_at, value_range, columns, view, strict, backbone)
    with Stopper() as stopper, Progress(style_of(progress)) as shown:
        shown.status(f"reading {data_name(data)}")
        folder = _folder(data, out, resume, workers)
        options = DataOptions(
            *asked, download, speaker_pattern, items=items, users=users, objective=objective,
            length=asked_length(words, sentences, ratio), best_reference=asked_best(references),
            label_names=use_label_names,
        )  # fmt: skip
        events = _events(
            data, folder, budget=budget, ways=ways, shots=shots, queries=queries, seed=seed,
            options=options, also=also, archive=archive, archive_to=archive_to, net=net,
            workers=workers, resume=resume, candidates=candidates, generates=generates,
            settings=settings, executor=executor, ray_address=ray_address,
            stop=lambda: stop() or stopper(),
            tell=lambda done, of: shown.status(f"encoded {done:,} of {of:,} examples"),
        )  # fmt: skip
        run = _followed(events, shown, stopper, folder, _own(net, backbone))
    return _unless_stopped(run, stopper)


def _unless_stopped(run: LearnResult, stopper: Stopper) -> LearnResult:
    if stopper.signal is not None:
        raise Interrupted(_advice(run), stopper.exit_code, run)
    return run


def stream(
    data: Any = "glyphs", *, budget: str | Budget = "3m", ways: int = 5, shots: int = 1,
    queries: int = 15, out: str | Path | None = None, seed: int = 0, split_seed: int = 0,
    image_size: int | None = None, classes_at: int | None = None,
    value_range: ValueRange | None = None, columns: Mapping[str, str | Sequence[str]] | None = None,
    view: str | None = None, speaker_pattern: str | None = None, items: str | Path | None = None,
    users: str | Path | None = None, words: int | None = None, sentences: int | None = None,
    ratio: float | None = None, references: str | None = None, use_label_names: bool = False,
    objective: str | None = None, backbone: str | Encoder = AUTO, download: bool = False,
    also: Sequence[str | Path] = (),
    archive: str | Path | None = None, archive_to: str | Path | None = None,
    workers: int | None = None, strict: bool = False, resume: bool = False,
    net: nn.Module | None = None, candidates: Sequence[Candidate] | None = None,
    generates: Generates = EVERYTHING, settings: Settings = USUAL,
    executor: AskedExecutor = LOCAL, ray_address: str | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[LoopEvent]:  # fmt: skip
    """Yields what happens in `learn` (see `metaloop.loop`); the last event is `Learned`.

    `data`: a path, the name of a family, a data frame (`columns`: which of its columns are what,
    as `metaloop.tasks.readers.read` has them), or what the readers made of arrays. `out`: a new
    folder, by default `runs/NAME-1`, -2, ...; one in which nothing could be tried is removed.
    `backbone`: the frozen encoders that inputs may be seen through, too: `auto` (those installed),
    `none`, a name or a path as in `metaloop list backbones` (inputs are then seen through it
    alone), or an encoder of your own; `download`: its weights may be fetched where they are not on
    this machine. `objective`: `generation` makes images of a class. `also`: further data, or
    the model file of a generator. `archive`: that of earlier runs, to start from; `archive_to`: one
    to record in as well. `net`: a module of your own. `candidates`: what the race starts with.
    `generates`, `settings`: parts, numbers. `stop()`: save the best model, end as `interrupted`;
    Ctrl-C is `KeyboardInterrupt`.

    >>> import metaloop as ml
    >>> events = ml.stream("sinusoid", budget="40steps", shots=10, workers=1, out="more waves")
    >>> [event.name for event in events if isinstance(event, ml.loop.DataRead)]
    ['sinusoid']
    """
    folder = _folder(data, out, resume, workers)
    asked = (image_size, split_seed, classes_at, value_range, columns, view, strict, backbone)
    options = DataOptions(
        *asked, download, speaker_pattern, items=items, users=users, objective=objective,
        length=asked_length(words, sentences, ratio), best_reference=asked_best(references),
        label_names=use_label_names,
    )  # fmt: skip
    yield from _events(
        data, folder, budget=budget, ways=ways, shots=shots, queries=queries, seed=seed, net=net,
        options=options, also=also, archive=archive, archive_to=archive_to, workers=workers,
        resume=resume, candidates=candidates, generates=generates, settings=settings, stop=stop,
        executor=executor, ray_address=ray_address,
    )  # fmt: skip


def _events(
    data: Any, folder: Path, *, archive_to: str | Path | None, executor: AskedExecutor,
    ray_address: str | None, workers: int | None, **asked: Any,
) -> Iterator[LoopEvent]:  # fmt: skip
    """Yields the loop's events; a new folder in which nothing could be tried is removed.

    A finished run is also recorded in the archive `archive_to`.
    """
    was_unused = is_unused(folder)
    try:
        if archive_to is not None:
            check_elsewhere(archive_to)
        with executing(executor, ray_address, workers, asked["net"], data) as (start, number):
            for event in events_of(data, out=folder, executor=start, workers=number, **asked):
                done = isinstance(event, Learned) and event.report["status"] == "finished"
                if done and archive_to is not None:
                    record_elsewhere(folder / ARCHIVE_NAME, archive_to)
                yield event
    except MetaloopError:
        if was_unused:
            discard_unused(folder)
        raise


def _followed(
    events: Iterator[LoopEvent],
    shown: Progress,
    stopper: Stopper,
    folder: Path,
    own: Own,
) -> LearnResult:
    """Returns the result at the end of the events, which are told on the way."""
    teller = LearnTeller(shown)
    left_out: tuple[LeftOut, ...] = ()
    for event in events:
        if isinstance(event, DataRead):
            stopper.can_save, left_out = True, event.left_out
        teller.tell(event)
        if isinstance(event, Learned):
            return LearnResult(folder, event.report, left_out, own)
    raise AssertionError("learning ended without a report")


def _own(net: nn.Module | None, backbone: str | Encoder) -> Own:
    return Own(net, backbone=backbone if isinstance(backbone, Encoder) else None)


def _folder(data: Any, out: str | Path | None, resume: bool, workers: int | None) -> Path:
    """The folder of a run, made if it has no name; what is wrong is said before that."""
    if workers is not None and workers < 1:
        raise MetaloopError(f"workers are at least 1 process; got {workers}")
    if out is not None:
        return Path(out)
    if resume:
        raise MetaloopError("--resume goes on with a run; name its folder with --out")
    return fresh_folder(data_name(data))


def _advice(run: LearnResult) -> str:
    if run.status == "finished":
        return f"interrupted, but the run in '{run.out}' had finished"
    saved = f"saved {run.content['model']}" if run.content["model"] else "nothing was measured yet"
    return f"interrupted; {saved}; go on with out='{run.out}', resume=True and the same arguments"
