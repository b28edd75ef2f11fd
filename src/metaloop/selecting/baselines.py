"""The plain methods that every run of `select` is to be compared with, on the same sealed examples.

Without pretraining: always the commonest class, and logistic regression on small pixels. Where a
backbone is on offer: nearest centroid and logistic regression on its features. All are tuned
without `test`, and every look of theirs at it is recorded before it is taken.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from metaloop.catalogue.frozen import features_of
from metaloop.catalogue.nets import RAW
from metaloop.core.randomness import numpy_stream
from metaloop.core.records import Candidate, Choice, Plan, Result
from metaloop.engine.heads import cross_validated, fit_head, folds_of, head_logits
from metaloop.selecting.offer import Headed
from metaloop.selecting.racing import Entry
from metaloop.selecting.recording import record_measured
from metaloop.selecting.run import Selecting, accuracy

COMMONEST, PIXELS = "commonest_class", "logistic_regression"
_PURPOSE = "a plain baseline of a select run"
_FULL_RUNG = 2


@dataclass(frozen=True)
class Baseline:
    """A plain method in words, as it was measured on `search` and on `test`."""

    name: str
    entry: Entry
    test: Result


def tested_baselines(run: Selecting) -> list[Baseline]:
    """Returns the plain methods with their figures, those of a backbone where one is offered."""
    return [*_without(run), *_with_backbone(run)]


def _with_backbone(run: Selecting) -> Iterator[Baseline]:
    offer = run.offer
    plain = [] if offer is None else [one for one in offer.measured if one.baseline]
    if offer is None or not plain:
        return
    rows = _tested_rows(run)
    made: Tensor | None = None
    for found in plain:
        features = found.features.of(rows)
        if features is None and made is None:  # of the first encoder alone: others have seen all
            made = features_of(found.features.encoder, offer.images[torch.from_numpy(rows)], 1)
        features = made if features is None else features
        assert features is not None
        name = f"{found.features.encoder.card.name}, {_WORDS[found.head.kind]}"
        yield Baseline(name, found.entry, _opened(run, found.entry, _head(run, found), features))


_WORDS = {"centroid": "nearest centroid", "regression": "logistic regression"}


def _head(run: Selecting, found: Headed) -> Callable[[Tensor], np.ndarray]:
    known = found.features.of(found.learned)
    assert known is not None
    targets = run.labelled.store.targets[torch.from_numpy(found.learned)]
    classes = len(run.labelled.class_names)
    head = fit_head(known, targets, classes, found.head.kind, found.head.value)
    return lambda features: head_logits(head, features).argmax(1).numpy()


def _without(run: Selecting) -> Iterator[Baseline]:
    labelled, settings = run.labelled, run.settings
    targets = labelled.store.targets
    rows = _tested_rows(run)
    start = time.process_time(), time.perf_counter()
    commonest = int(np.bincount(targets.numpy()[labelled.known]).argmax())
    entry = _entry(COMMONEST, {})
    searched = targets[torch.from_numpy(labelled.rows["search"])].numpy()
    _record(run, entry, np.asarray(searched == commonest, np.float64), start)
    answers = lambda features: np.full(len(features), commonest)  # noqa: E731
    yield Baseline("the commonest class", entry, _opened(run, entry, answers, targets[rows]))

    start = time.process_time(), time.perf_counter()
    known = numpy_stream(run.seed, "plain").permutation(labelled.known)[: settings.most_baseline]
    known = np.sort(np.union1d(known, labelled.rows["search"]))
    pixels, known_targets = _pixels(run, known), targets[torch.from_numpy(known)]
    is_search = np.isin(known, labelled.rows["search"])
    few = len(known) <= settings.most_cross_validated
    folds = folds_of(known_targets.numpy(), run.seed) if few else np.where(is_search, 0, -1)
    classes = len(labelled.class_names)
    tuned = cross_validated(pixels, known_targets, classes, ["regression"], folds, run.seed)[0]
    entry = _entry(PIXELS, {"inverse_strength": tuned.value})
    _record(run, entry, tuned.right(known_targets.numpy())[is_search], start)
    head = fit_head(pixels, known_targets, classes, tuned.kind, tuned.value)
    side = min(settings.baseline_side, labelled.input_format.shape[1])
    yield Baseline(
        f"logistic regression on {side} x {side} pixels",
        entry,
        _opened(run, entry, lambda f: head_logits(head, f).argmax(1).numpy(), _pixels(run, rows)),
    )


def _entry(name: str, options: dict[str, float]) -> Entry:
    return Entry(Candidate(Choice(name, options), Choice(RAW), Plan("none")), "catalogue: baseline")


def _record(run: Selecting, entry: Entry, right: np.ndarray, start: tuple[float, float]) -> None:
    entry.right[_FULL_RUNG] = right
    entry.cpu_seconds = time.process_time() - start[0]
    record_measured(run, entry, _FULL_RUNG, entry.cpu_seconds, time.perf_counter() - start[1])


def _pixels(run: Selecting, rows: np.ndarray) -> Tensor:
    """Images as vectors of a few numbers, each pixel the mean of those that it stands for."""
    labelled = run.labelled
    images = labelled.input_format.to_float(labelled.store.taken(torch.from_numpy(rows)))
    side = min(run.settings.baseline_side, images.shape[-1])
    return functional.adaptive_avg_pool2d(images, side).flatten(1)


def _tested_rows(run: Selecting) -> np.ndarray:
    """Examples of `test`, all where they are few."""
    rows = run.labelled.rows["test"]
    if len(rows) <= run.settings.most_tested:
        return rows
    return np.sort(numpy_stream(0, "tested").permutation(rows)[: run.settings.most_tested])


def _opened(
    run: Selecting, entry: Entry, answer: Callable[[Tensor], np.ndarray], inputs: Tensor
) -> Result:
    """The accuracy on `test`; the look is in the archive before anything is seen."""
    rows = _tested_rows(run)
    protocol = run.protocol("test", number=len(rows))
    opening = run.archive.record_opening(entry.identity, _PURPOSE, protocol, run=run.id)
    truth = run.labelled.store.targets[torch.from_numpy(rows)].numpy()
    right = answer(inputs) == truth
    result = accuracy(float(right.mean()), len(right), protocol)
    run.archive.finish_opening(opening, result)
    return result
