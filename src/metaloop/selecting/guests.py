"""Guests in a run of `select`: each learns from a part of `train` in a process of its own.

They are measured before nets race, on all of `search`, with so many examples to learn from and so
much of what is for choosing. One that fails or takes too long is a row that says so. The best one
that a model file can hold is a rival of the best net where it is better than nets are in the race:
then it has the last word of `finishing.py`, and learns from all that may be learned from.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metaloop.catalogue.guests import Guest
from metaloop.core.errors import MetaloopError
from metaloop.core.guest_process import children_seconds, end_guests
from metaloop.core.randomness import derive_seed, numpy_stream
from metaloop.loop.events import LoopEvent, Tried
from metaloop.loop.run import Stopped
from metaloop.selecting.offer import Guesting, Headed
from metaloop.selecting.racing import Entry
from metaloop.selecting.recording import last_result, record_measured
from metaloop.selecting.run import Selecting

OPERATOR = "guest"
SHORT_RUNG, FULL_RUNG = 1, 2  # on a part of `train`, on all of it
_SEEDS = 1 << 31
_GROWTH = 2.0  # of the time with the examples: as support vectors', others' grows less


@dataclass(frozen=True, eq=False)
class Answered:
    """What came of a guest in its process.

    `shares [n, classes]`: log-probabilities of what it was asked; `tensors`: what a model file
    holds of it, empty where `unkept` says why there is nothing. Seconds of all of it.
    """

    shares: np.ndarray
    tensors: Mapping[str, Tensor]
    unkept: str
    seconds: float


def guests_on(run: Selecting) -> Iterator[LoopEvent]:
    """Yields what is measured of the guests; what they took is no longer the race's.

    Raises `Stopped` when asked to stop.
    """
    guests, start = run.guests, time.perf_counter()
    for guest in guests.asked:
        if run.stop():
            raise Stopped
        yield _measured(run, guest)
    if guests.asked and run.budget.wall_seconds is not None:
        taken = (time.perf_counter() - start) * run.executor.num_workers
        run.race.whole = run.race.left = max(0.0, run.race.left - taken)


def _measured(run: Selecting, guest: Guest) -> Tried:
    labelled, settings = run.labelled, run.settings
    rows = _some(run, labelled.rows["train"], settings.guest_examples)
    whole = len(rows) == len(labelled.rows["train"])
    found = Guesting(guest, Entry(guest.candidate, OPERATOR), len(rows))
    rung, entry = FULL_RUNG if whole else SHORT_RUNG, found.entry
    cpu, wall = _clock(), time.perf_counter()
    try:
        answered = answers_of(run, guest, rows, labelled.rows["search"], _limit(run))
        truth = labelled.store.targets[torch.from_numpy(labelled.rows["search"])].numpy()
        entry.right[rung] = np.asarray(answered.shares.argmax(1) == truth, np.float64)
        found.seconds, found.unkept = answered.seconds, answered.unkept
    except MetaloopError as error:
        entry.failed = str(error)
    entry.cpu_seconds = _clock() - cpu
    run.guests.measured.append(found)
    run.guests.measured.sort(key=_place)
    message = entry.failed or f"learned from {len(rows):,} examples"
    message += f"; no model file can hold it: {found.unkept}" if found.unkept else ""
    trial = record_measured(
        run, entry, rung, entry.cpu_seconds, time.perf_counter() - wall, message
    )
    best = run.guests.measured[0].entry
    return Tried(guest.label, trial, best.candidate.label, last_result(run, best), OPERATOR)


def _place(found: Guesting) -> float:
    """The more examples are told right the better; those that failed come last."""
    right = found.entry.right
    return -float(right[max(right)].mean()) if right else 1.0


def _limit(run: Selecting) -> float:
    """Seconds that a guest may take: its part of what is for choosing, and to load its library."""
    settings, wall = run.settings, run.budget.wall_seconds
    if wall is None:
        return settings.guest_seconds
    share = settings.guests_share * settings.search_share * wall / len(run.guests.asked)
    return min(settings.guest_seconds, share + settings.guest_start_seconds)


def answers_of(
    run: Selecting, guest: Guest, rows: np.ndarray, asked: np.ndarray, limit_seconds: float
) -> Answered:
    """Returns what a guest, fitted on `rows`, says of the rows that are asked.

    Its process has ended by then, and its CPU-seconds are charged. Raises `MetaloopError` in one
    line for whatever goes wrong.
    """
    store, input_format = run.labelled.store, run.labelled.input_format
    classes = len(run.labelled.class_names)
    threads, start = torch.get_num_threads(), time.perf_counter()
    end_guests()
    before = children_seconds()
    torch.set_num_threads(run.threads)
    try:
        targets = store.targets[torch.from_numpy(rows)].numpy()
        inputs = guest.inputs(store.taken(torch.from_numpy(rows)), input_format)
        seed = derive_seed(run.seed, "guest", guest.label) % _SEEDS
        fitted = guest.fitted(inputs, targets, classes, seed, limit_seconds)
        shares = np.zeros((0, classes))
        if len(asked):
            wanted = guest.inputs(store.taken(torch.from_numpy(asked)), input_format)
            shares = fitted.predict(fitted, wanted)
        tensors, unkept = {}, ""
        try:
            tensors = {name: torch.from_numpy(a) for name, a in fitted.tensors().items()}
        except MetaloopError as error:
            unkept = str(error)
    finally:
        torch.set_num_threads(threads)
        end_guests()
        run.guest_cpu += children_seconds() - before
    if shares.shape != (len(asked), classes) or np.isnan(shares).any():
        raise MetaloopError(
            f"guest '{guest.label}': expected {classes} numbers for each of {len(asked):,} images, "
            f"got shape {shares.shape}, or what is no number"
        )
    return Answered(shares, tensors, unkept, time.perf_counter() - start)


def kept_back(run: Selecting, found: Headed | Guesting, left: float) -> float:
    """Returns how much of what is left a rival needs to learn from all that is known: guests do."""
    if run.budget.wall_seconds is None or isinstance(found, Headed):
        return 0.0
    times = len(run.labelled.known) / found.examples
    return min(left / 2, found.seconds * float(times**_GROWTH))


def learned_rows(run: Selecting, found: Guesting, kept: float) -> np.ndarray:
    """Returns the rows that a winner learns from: all that are known, or what that time buys."""
    known = run.labelled.known
    if run.budget.wall_seconds is None:
        return known
    times = max(1.0, kept / found.seconds) ** (1 / _GROWTH)
    return _some(run, known, math.ceil(found.examples * times))


def _some(run: Selecting, rows: np.ndarray, most: int) -> np.ndarray:
    """So many of the rows at most, the same for every guest."""
    return np.sort(numpy_stream(run.seed, "guests").permutation(rows)[:most])


def _clock() -> float:
    """CPU-seconds of this process and of those that it has started and that have ended."""
    return time.process_time() + children_seconds()
