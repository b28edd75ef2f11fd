"""Frozen backbones in a run of `select`: features are computed once, heads tuned on them.

An encoder sees all examples where the share of the budget that is for this allows it, else so many
as that share buys, those of `search` among them. Few examples judge a head by cross-validation over
all that may be learned from, for a small hold-out would be noise; many by `search` alone, as nets
that are trained from scratch are. What is tried next is what may be worth its time: larger images,
then the mean with the mirror image of the best. What mostly is a little better, by less than a few
examples can tell, is believed to be: mirror images, and regression beside centroids.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from metaloop.catalogue.features import encoded
from metaloop.catalogue.frozen import SECOND_LOOKS, at_side, frozen_pipeline
from metaloop.catalogue.views import view_of_encoder
from metaloop.core.encoder import Encoder
from metaloop.core.randomness import numpy_stream
from metaloop.core.records import Result
from metaloop.engine.heads import TUNED, cross_validated, folds_of, standard_error
from metaloop.loop.events import LoopEvent, Noted, Tried
from metaloop.loop.run import Stopped
from metaloop.selecting.offer import Features, Headed, Offer
from metaloop.selecting.racing import Entry
from metaloop.selecting.recording import record_measured
from metaloop.selecting.run import Selecting, accuracy
from metaloop.tasks.store import Store

FULL_RUNG = 2  # measured with all that there is
_TIMED = 16  # images

Tell = Callable[[int, int], None]


def frozen_on(run: Selecting, tell: Tell | None = None) -> Iterator[LoopEvent]:
    """Yields what is measured of the encoders on offer, the best of `run.offer.measured` first.

    Raises `Stopped` when asked to stop.
    """
    offer = run.offer
    if offer is None:
        return

    def told(done: int, of: int) -> None:
        if run.stop():
            raise Stopped
        if tell is not None:
            tell(done, of)

    threads = torch.get_num_threads()
    torch.set_num_threads(run.threads)
    try:
        for place, (encoder, copies, second) in enumerate(_ways(offer)):
            start = time.process_time(), time.perf_counter()
            looking = at_side(encoder, second) if second else encoder
            rows = _rows(run, offer, looking, first=place == 0)
            if rows is None:
                yield from _too_dear(run, offer.encoders[place : place + 1])
                continue
            seen = _seen(run, offer, encoder, copies, second, rows, told)
            yield from _headed(run, offer, seen, place == 0, start)
            if len(rows) < len(run.labelled.known):
                yield from _too_dear(run, offer.encoders[place + 1 :])
                break  # it was not even enough for all examples
    finally:
        torch.set_num_threads(threads)


def _too_dear(run: Selecting, encoders: Sequence[Encoder]) -> Iterator[LoopEvent]:
    """Yields a line for each encoder that was on offer and is not looked through."""
    for name in [encoder.card.name for encoder in encoders]:
        yield Noted(
            f"the backbone '{name}' is left out: all encoding may take "
            f"{run.settings.frozen_share:.0%} of the budget, and it would take more for "
            f"{len(run.labelled.known):,} images (--backbone {name} has it used)"
        )


def _ways(offer: Offer) -> Iterator[tuple[Encoder, int, int]]:
    """Encoder, copies and second look: all encoders, then more copies and looks of the best."""
    yield from ((encoder, 1, 0) for encoder in offer.encoders)
    if offer.measured:
        yield offer.measured[0].features.encoder, 2, 0
        best = offer.measured[0].features
        second = SECOND_LOOKS.get(best.encoder.card.name, 0)
        if second:
            yield best.encoder, best.copies, second


def _rows(run: Selecting, offer: Offer, encoder: Encoder, first: bool) -> np.ndarray | None:
    """The rows of the store that it is worth to encode; None where they are too dear."""
    labelled, settings = run.labelled, run.settings
    left = settings.frozen_share * (run.budget.wall_seconds or float(run.budget.steps or 0))
    left -= run.spent_on_frozen
    cost = _cost(run, offer, encoder)
    most = int(max(0.0, left) / cost)
    everything = np.arange(len(labelled.store))
    for rows in (everything, labelled.known):
        if len(rows) <= most:
            return rows
    if not first:
        return None
    fewest = settings.fewest_encoded * len(labelled.class_names)
    number = min(len(labelled.known), max(most, fewest))
    search = labelled.rows["search"][: number // 2]
    train = numpy_stream(run.seed, "encoded").permutation(labelled.rows["train"])
    return np.sort(np.concatenate([search, train[: number - len(search)]]))


def _cost(run: Selecting, offer: Offer, encoder: Encoder) -> float:
    """What an image costs, in the budget's unit; it is measured, or by its pixels in steps."""
    settings = run.settings
    if run.budget.steps is not None:
        side = encoder.card.size or settings.encoded_side
        return settings.encoded_steps * (side / settings.encoded_side) ** 2
    images = offer.images[:_TIMED]
    encoder.encode(images)  # the first time is slower
    start = time.perf_counter()
    encoder.encode(images)
    return max(1e-6, (time.perf_counter() - start) / len(images))


def _seen(
    run: Selecting,
    offer: Offer,
    encoder: Encoder,
    copies: int,
    second: int,
    rows: np.ndarray,
    tell: Tell,
) -> Features:
    start = time.perf_counter()
    whole = len(rows) == len(offer.images)
    images = offer.images if whole else offer.images[torch.from_numpy(rows)]
    first = _encoded(run, encoder, images, tell)  # known already, where it was asked for before
    if copies == 2:
        first = (first + _encoded(run, encoder, images.flip(3), tell)) / 2
    looking = at_side(encoder, second) if second else encoder
    if second:
        first = (first + _encoded(run, looking, images, tell)) / 2
    if run.budget.steps is None:
        run.spent_on_frozen += time.perf_counter() - start
    else:
        steps = len(rows) * _cost(run, offer, looking)
        run.spent_on_frozen += steps
        run.steps_before += round(steps)
    return Features(encoder, copies, rows, first, second)


def _encoded(run: Selecting, encoder: Encoder, images: Tensor, tell: Tell) -> Tensor:
    classes = run.labelled.store.classes
    store = Store(images, torch.zeros(len(images), dtype=torch.long), classes)
    return encoded(view_of_encoder(encoder), store, tell)


def _headed(
    run: Selecting, offer: Offer, seen: Features, first: bool, start: tuple[float, float]
) -> Generator[LoopEvent, None, None]:
    """Measures each kind of head on features, and records it."""
    labelled = run.labelled
    learned = np.intersect1d(seen.rows, labelled.known)
    search = np.intersect1d(learned, labelled.rows["search"])
    features = seen.of(learned)
    assert features is not None
    targets = labelled.store.targets[torch.from_numpy(learned)]
    folds = _folds(run, learned, targets.numpy())
    judged = cross_validated(
        features, targets, len(labelled.class_names), list(TUNED), folds, run.seed
    )
    cpu, wall = time.process_time() - start[0], time.perf_counter() - start[1]
    by = folds >= 0
    truth = targets.numpy()
    for head in judged:
        candidate = frozen_pipeline(
            seen.encoder.card.name, head.kind, head.value, seen.copies, seen.second
        )
        entry = Entry(candidate, "catalogue: frozen")
        right = head.right(truth)
        entry.right[FULL_RUNG] = right[np.isin(learned, search)]
        entry.cpu_seconds = cpu / len(judged)
        value, likelihood = head.place(truth, by)
        settings, noise = run.settings, standard_error(right[by])
        value += settings.mirrored_gain * noise if seen.copies == 2 else 0.0
        value += settings.second_gain * noise if seen.second else 0.0
        value -= settings.centroid_loss * noise if head.kind == "centroid" else 0.0
        plain = seen.is_plain and (first or len(seen.rows) == len(offer.images))
        found = Headed(entry, seen, head, learned, value, likelihood, plain)
        offer.measured.append(found)
        offer.measured.sort(key=_place)
        trial = record_measured(run, entry, FULL_RUNG, cpu / len(judged), wall / len(judged))
        best = offer.measured[0]
        yield Tried(
            candidate.label, trial, best.entry.candidate.label,
            measured_result(run, best), "frozen",
        )  # fmt: skip


def _folds(run: Selecting, learned: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The fold in which each example is judged; -1: it is only learned from."""
    if len(learned) <= run.settings.most_cross_validated:
        return folds_of(targets, run.seed)
    return np.where(np.isin(learned, run.labelled.rows["search"]), 0, -1)


def _place(found: Headed) -> tuple[float, float]:
    """The more examples are told right the better; of equal ones, the likelier the truth."""
    return (-found.value, -found.likelihood)


def measured_result(run: Selecting, found: Headed) -> Result:
    """Returns the figure of a frozen pipeline on `search`."""
    right = found.entry.right[FULL_RUNG]
    return accuracy(float(right.mean()), len(right), run.protocol("search"))
