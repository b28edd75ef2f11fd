"""`select`: one data set, one budget: choose a pipeline, train it, open the sealed part once.

All decisions and records are made here, in one process; workers only compute. A share of the budget
races pipelines on proxies (`racing.py`); what is left trains the one that is believed to be best on
all that may be learned from. With several workers that last training has their threads.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metaloop.archive import Archive, Place, add_backbones, place_of
from metaloop.catalogue.families import data_name
from metaloop.catalogue.frozen import encoders_for, largest_side
from metaloop.catalogue.guests import check_guests, guest_of
from metaloop.catalogue.offered import AUTO, NONE, name_of_backbone
from metaloop.catalogue.pipelines import (
    PIPELINES,
    build_classifier,
    check_pipeline,
    copies_of,
)
from metaloop.core.budget import Budget, parse_budget
from metaloop.core.encoder import Encoder
from metaloop.core.errors import MetaloopError
from metaloop.core.leagues import EncoderCard, described_card
from metaloop.core.records import Candidate
from metaloop.engine.classifying import batch_size_of
from metaloop.executors.in_process import InProcess
from metaloop.executors.local_pool import LocalPool
from metaloop.jobs.pipelines import ship_set
from metaloop.jobs.table import worker_command, works_in
from metaloop.jobs.workplace import Workplace
from metaloop.loop.charging import charged
from metaloop.loop.events import Learned, LoopEvent
from metaloop.loop.learning import default_workers
from metaloop.loop.run import (
    Stopped,
    check_same_data,
    check_same_run,
    offered_before,
    remove_states,
    run_folder,
)
from metaloop.models.events import DataRead
from metaloop.nets.whitened import operations
from metaloop.selecting.finishing import finish, train_chosen
from metaloop.selecting.frozen import Tell, frozen_on
from metaloop.selecting.guests import guests_on
from metaloop.selecting.knowledge import COMMAND, candidates_of
from metaloop.selecting.offer import Guests, Offer, offer_of, offered_again
from metaloop.selecting.racing import Entry, Race, size_loss
from metaloop.selecting.reading import read_images
from metaloop.selecting.recording import race_on, restored
from metaloop.selecting.reporting import summary
from metaloop.selecting.run import Selecting, describe_set
from metaloop.selecting.settings import USUAL, SelectSettings
from metaloop.tasks.labelled import LabelledSet, labelled_set
from metaloop.tasks.store import LeftOut, Reading
from metaloop.tasks.value_range import ValueRange

_RATE = 1e11  # operations a second of one thread, before it was measured
_USUAL = "medium"


@dataclass(frozen=True)
class _Asked:
    """What a run was asked for: the arguments of `select`."""

    data: Any
    out: Path
    budget: Budget
    seed: int
    split_seed: int
    image_size: int | None
    classes_at: int | None
    value_range: ValueRange | None
    strict: bool
    resume: bool
    archive: Place | None
    workers: int
    settings: SelectSettings
    backbone: str | Encoder
    download: bool
    tell: Tell | None
    guests: Mapping[str, Any]

    @property
    def arguments(self) -> dict[str, Any]:
        """What the archive keeps, and a resumed run must be asked for again."""
        return {
            "data": data_name(self.data),
            "budget": str(self.budget),
            "seed": self.seed,
            "split_seed": self.split_seed,
            "image_size": self.image_size,
            "classes_at": None if self.classes_at is None else str(self.classes_at),
            "value_range": None if self.value_range is None else str(self.value_range),
            "archive": None if self.archive is None else str(self.archive),
            "workers": self.workers,
            "backbone": name_of_backbone(self.backbone),
            "guest": sorted(self.guests) or None,
        }


def select(
    data: Any,
    *,
    out: str | Path,
    budget: str | Budget = "3m",
    seed: int = 0,
    split_seed: int = 0,
    image_size: int | None = None,
    classes_at: int | None = None,
    value_range: ValueRange | None = None,
    archive: str | Path | None = None,
    workers: int | None = None,
    strict: bool = False,
    resume: bool = False,
    backbone: str | Encoder = AUTO,
    download: bool = False,
    settings: SelectSettings = USUAL,
    stop: Callable[[], bool] = lambda: False,
    tell: Tell | None = None,
    guests: Mapping[str, Any] | Sequence[str] = (),
) -> Iterator[LoopEvent]:
    """Yields what happens; the last event, `Learned`, holds the report that `--json` prints.

    `data`: a path or a `Reading` of images. A published test part is the one that is sealed; else
    one is dealt, by `split_seed`. `archive`: that of earlier runs on any data, to begin with what
    was good there. `backbone`: the frozen encoders that take part, too: `auto` (those installed),
    `none`; a name or an encoder: nothing else takes part. `tell` is called while one sees the
    images, with how many it has seen and how many there are. `guests` take part, too: names of
    `GUESTS`, or estimators of scikit-learn and compiled Keras models by names of the caller's.
    Writes `out/model.metaloop` and `out/archive.sqlite`. The budget covers choosing and training;
    reading and the test are reported apart. Raises `MetaloopError` in one line for everything that
    the caller can mend.
    """
    asked = _Asked(
        data, Path(out), parse_budget(budget) if isinstance(budget, str) else budget, seed,
        split_seed, image_size, classes_at, value_range, strict, resume,
        place_of(archive) if archive else None, workers or default_workers(), settings,
        backbone, download, tell, check_guests(guests),
    )  # fmt: skip
    yield from _recorded(asked, stop)


def _recorded(asked: _Asked, stop: Callable[[], bool]) -> Iterator[LoopEvent]:
    """Yields the events of a run that its archive knows of from before data is read to its end."""
    cpu_start, start = time.process_time(), time.perf_counter()
    with run_folder(asked.out, asked.resume) as records:
        earlier = check_same_run(records, asked.arguments, COMMAND) if asked.resume else None
        number = records.begin_run(
            COMMAND, arguments=asked.arguments, seed=asked.seed, budget=str(asked.budget)
        )
        status = "failed"
        try:
            before = None if earlier is None else offered_before(records, earlier)
            reading, labelled, offer, notes, left_out = _data(asked, before)
            data_set = describe_set(reading, labelled, left_out)
            if earlier is not None:
                check_same_data(records, earlier, [data_set])
            records.add_data_set(data_set)
            add_backbones(records, number, () if offer is None else offer.backbones)
            parts: dict[str, int] = {str(part): len(rows) for part, rows in labelled.rows.items()}
            reading_seconds = time.perf_counter() - start
            yield DataRead(
                labelled.name, f"{reading.kind}, {len(labelled.class_names)} classes, examples",
                parts, left_out, reading_seconds, notes,
            )  # fmt: skip
            with ExitStack() as stack:
                ship_set(labelled, asked.out / "states")
                workplace = Workplace((asked.out / "states").absolute())
                executor = stack.enter_context(
                    InProcess(works_in(workplace))
                    if asked.workers == 1
                    else LocalPool(worker_command(workplace.folder), asked.workers)
                )
                run = Selecting(
                    asked.out, records, number, asked.budget, asked.seed, labelled, executor,
                    _race(asked, labelled, offer), asked.settings, stop,
                    offer=offer, threads=asked.workers, guests=_guests(asked),
                )  # fmt: skip
                if earlier is not None:
                    restored(run, earlier)
                stack.enter_context(charged(run, asked.settings.note_seconds))
                report = yield from _selected(run, asked.tell)
                executor.close()
                run.worker_cpu = executor.cpu_seconds
            report["reading_seconds"] = reading_seconds
            # of the whole process tree: reading and the test are in it, unlike in the budget
            report["cpu_seconds"] = (
                run.cpu_before + run.worker_cpu + run.guest_cpu + time.process_time() - cpu_start
            )
            status = report["status"]
        except (KeyboardInterrupt, GeneratorExit):
            status = "interrupted"
            raise
        finally:
            if status != "finished":
                records.mark_interrupted(number)
            records.end_run(number, status)  # type: ignore[arg-type]
        if status == "finished":
            remove_states(asked.out)
    yield Learned(report)


def _data(
    asked: _Asked, before: Sequence[EncoderCard] | None
) -> tuple[Reading, LabelledSet, Offer | None, tuple[str, ...], tuple[LeftOut, ...]]:
    """What was read, as one task, what is on offer, what is to be said, what was left out.

    `before`: what earlier tries of the run were offered.
    """
    encoders, missed = _encoders(asked, before)
    reading = read_images(
        asked.data,
        image_size=asked.image_size,
        classes_at=asked.classes_at,
        value_range=asked.value_range,
        detail=max((largest_side(encoder) for encoder in encoders), default=0),
    )
    labelled, notes, left_out = labelled_set(reading, asked.split_seed)
    _check_strict(asked, reading)
    offer = offer_of(labelled, encoders, alone=asked.backbone not in (NONE, AUTO))
    return reading, labelled, offer, (*notes, *_offered_notes(offer), *missed), left_out


def _encoders(
    asked: _Asked, before: Sequence[EncoderCard] | None
) -> tuple[tuple[Encoder, ...], tuple[str, ...]]:
    """The encoders on offer, and a line for each left out: of `auto`, what there was `before`."""
    if asked.backbone == AUTO and before is not None:
        return offered_again(before), ()
    return encoders_for(asked.backbone, asked.download)


def _selected(run: Selecting, tell: Tell | None) -> Any:  # yields events, returns the report
    try:
        yield from frozen_on(run, tell)
        yield from guests_on(run)
        yield from race_on(run)
        chosen = yield from train_chosen(run)
    except Stopped:
        return summary(run, "interrupted")
    return finish(run, chosen)


def _guests(asked: _Asked) -> Guests:
    return Guests(tuple(guest_of(name, guest) for name, guest in asked.guests.items()))


def _offered_notes(offer: Offer | None) -> tuple[str, ...]:
    """What is to be said of the encoders on offer."""
    if offer is None:
        return ()
    how = "alone" if offer.alone else "too"
    return tuple(
        f"images are seen through {described_card(one.card)}, {how}" for one in offer.encoders
    )


def _check_strict(asked: _Asked, reading: Reading) -> None:
    left_out = [item for item in reading.left_out if not item.reason.startswith("not used: ")]
    if asked.strict and left_out:
        raise MetaloopError(
            f"{reading.name}: {sum(item.count for item in left_out)} things would be left out, "
            f"first {left_out[0].what} ({left_out[0].reason}); mend the data or leave --strict away"
        )


def _race(asked: _Asked, labelled: LabelledSet, offer: Offer | None) -> Race:
    """The race before anything is measured: who may take part, and what is expected of each.

    Nobody does where encoders were named.
    """
    settings, input_format = asked.settings, labelled.input_format
    classes, side = len(labelled.class_names), input_format.shape[1]

    def cost(candidate: Candidate) -> float:
        return operations(build_classifier(candidate, input_format, classes), side)

    usual = cost(PIPELINES[_USUAL])
    targets = labelled.store.targets.numpy()
    commonest = np.bincount(targets[labelled.known], minlength=classes).max()
    race = Race(
        {},
        first=0.0,
        left=0.0,
        gain=max(0.05, 1 - float(commonest) / len(labelled.known)),
        seed=asked.seed,
        settings=settings,
        most_raced=settings.most_raced,
        fits=lambda candidate: check_pipeline(candidate, input_format, classes),
        size_of=lambda candidate: (0.0, 0.0),
    )
    known = _from_archive(asked, race)
    share = settings.informed_share if known else settings.search_share
    race.most_raced = settings.informed_raced if known else settings.most_raced
    amount = asked.budget.wall_seconds or float(asked.budget.steps or 0)
    race.whole = race.left = share * amount * asked.workers
    batch = batch_size_of(PIPELINES[_USUAL].plan, len(labelled.known))
    step = 3 * usual * batch / _RATE
    final = (1 - share) * amount
    steps = final if asked.budget.steps is not None else final / step
    examples = min(steps * batch, settings.useful_passes * len(labelled.known))

    def size_of(candidate: Candidate) -> tuple[float, float]:
        size = cost(candidate) / usual
        return size_loss(size, examples, settings), math.log(size)

    race.size_of = size_of
    unit = step if asked.budget.steps is None else 1.0
    race.first = max(2 * unit, settings.proxy_steps * unit * settings.proxy_side**2)
    if offer is not None and offer.alone:
        return race
    for place, (name, candidate) in enumerate(PIPELINES.items()):
        entry = Entry(candidate, f"catalogue: {name}", (), *race.size_of(candidate))
        entry.expected -= 1e-3 * place
        if copies_of(candidate) == 1:
            entry.expected -= settings.mirror_gain
        race.entries.setdefault(candidate.identity, entry)
    for candidate, advantage in known:
        entry = race.entries.setdefault(
            candidate.identity, Entry(candidate, "archive", (), *race.size_of(candidate))
        )
        entry.expected += advantage
    return race


def _from_archive(asked: _Asked, race: Race) -> list[tuple[Candidate, float]]:
    """What earlier runs say of pipelines that this data allows."""
    if asked.archive is None:
        return []
    with Archive.open(asked.archive, read_only=True) as archive:
        found = candidates_of(archive, len(PIPELINES))
    able = []
    for candidate, advantage in found:
        try:
            race.fits(candidate)
        except MetaloopError:
            continue
        able.append((candidate, advantage))
    return able
