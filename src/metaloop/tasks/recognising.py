"""Which classes of some data a model has seen before, told by content and only then by name.

A model keeps a fingerprint of the examples that it was made with, 48 bytes each, with their class.
A class of other data is one of those if its examples are copies of theirs, whatever it is called.
Where content says nothing, a name does: a class that was trained on is not new because other
pictures were taken of it. But numbers, which any data have, say nothing, and neither do names where
classes that were recognised have other ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from metaloop.core.column_kinds import is_of_vectors
from metaloop.core.columns import chosen
from metaloop.core.records import PARTS, Part
from metaloop.tasks.family import ClassFamily
from metaloop.tasks.fingerprints import (
    Known,
    Scale,
    fingerprints,
    scale_of,
)
from metaloop.tasks.readers.sessions import is_telling
from metaloop.tasks.store import Store

MOST_EXAMPLES = 200_000  # kept of a model's data, 10 MB; of more, equally many of each class
_LEAST_SHARE, _LEAST_COPIES = 0.1, 2  # of a class's examples, for it to be the same class
NOWHERE = -1


@dataclass(frozen=True, eq=False)
class Seen:
    """Fingerprints `prints` uint8 `[N, 40]` of examples, and the class `[N]` of each, int64.

    A class is a place in the names of all parts, one part after the other in the order of `PARTS`.
    `scale` is what vectors were standardised with; None for images.
    """

    prints: np.ndarray
    classes: np.ndarray
    scale: Scale | None = None


@dataclass(frozen=True, eq=False)
class Recognised:
    """In which part each class of some data is.

    `split` maps parts to classes. `counts`: how many classes were recognised as of which part, and
    how many are `unknown`; those are all in `test`.
    """

    split: Mapping[Part, np.ndarray]
    counts: Mapping[str, int]


def seen_of(family: ClassFamily) -> Seen:
    """Returns what is to be kept of the family's examples: generated ones are not among them."""
    family = family.original
    members = [members for part in PARTS for members in _members(family, part)]
    each = MOST_EXAMPLES // max(1, len(members))
    if sum(map(len, members)) > MOST_EXAMPLES:
        members = [examples[:each] for examples in members]
    rows = np.concatenate(members) if members else np.empty(0, np.int64)
    store = family.as_read
    scale = scale_of(store.inputs)
    prints = _prints_of_rows(store, rows, scale)
    classes = np.repeat(np.arange(len(members)), [len(examples) for examples in members])
    return Seen(prints, classes.astype(np.int64), scale)


def recognise(
    store: Store, seen: Seen, parts: Mapping[str, Sequence[str]], share: float = _LEAST_SHARE
) -> Recognised:
    """Returns which classes of the store are those of a model that has `seen` such examples.

    `parts`: the names of the model's classes in each part. `share`: how many of a class's examples
    must be copies of one class's for it to be that class.
    """
    names = _names(parts)
    found = classes_of_rows(store, np.arange(len(store)), seen)
    places = np.full(len(store.classes), NOWHERE)
    for index, examples in enumerate(store.examples_of):
        votes = found[examples]
        votes = votes[votes >= 0]
        least = max(share * len(examples), min(_LEAST_COPIES, len(examples)))
        if len(votes) >= max(1, least):
            places[index] = np.bincount(votes).argmax()
    here = [info.name for info in store.classes]
    if all(names[place][1] == here[index] for index, place in enumerate(places) if place >= 0):
        by_name = {name: place for place, (_, name) in enumerate(names) if _is_telling(name)}
        known = np.array([by_name.get(name, NOWHERE) for name in here], np.int64)
        places = np.where(places >= 0, places, known)
    return _assigned(places, names)


def recognise_by_name(store: Store, parts: Mapping[str, Sequence[str]]) -> Recognised:
    """Returns the same by names alone: for models that have kept nothing else."""
    names = _names(parts)
    by_name = {name: place for place, (_, name) in enumerate(names)}
    places = np.array([by_name.get(info.name, NOWHERE) for info in store.classes], np.int64)
    return _assigned(places, names)


def classes_of_rows(store: Store, rows: np.ndarray, seen: Seen) -> np.ndarray:
    """Returns the class `[N]` of the known example that each of these copies, or -1."""
    if is_of_vectors(store.inputs) != (seen.scale is not None) or not len(seen.prints):
        return np.full(len(rows), NOWHERE)
    prints = _prints_of_rows(store, rows, seen.scale)
    nearest = Known(seen.prints, is_of_vectors(store.inputs)).nearest(prints)
    return np.asarray(np.where(nearest >= 0, seen.classes[np.maximum(nearest, 0)], NOWHERE))


def _prints_of_rows(store: Store, rows: np.ndarray, scale: Scale | None) -> np.ndarray:
    """Fingerprints of these examples: those that are kept, which are of no other scale."""
    if store.known is not None and scale is None:
        known: np.ndarray = store.known.prints[rows]
        return known
    if np.array_equal(rows, np.arange(len(store))):
        return fingerprints(store.inputs, scale)
    return fingerprints(chosen(store.inputs, torch.from_numpy(rows)), scale)


def part_of_class(parts: Mapping[str, Sequence[str]]) -> np.ndarray:
    """Returns for each class of a model, numbered as in `Seen`, which of `PARTS` it is in."""
    return np.array([PARTS.index(part) for part, _ in _names(parts)], np.int64)


def _names(parts: Mapping[str, Sequence[str]]) -> list[tuple[Part, str]]:
    return [(part, name) for part in PARTS for name in parts.get(part, ())]


def _assigned(places: np.ndarray, names: list[tuple[Part, str]]) -> Recognised:
    """Returns the result for classes that are at these places among the known ones, or at -1."""
    of = np.array([PARTS.index(names[k][0] if k >= 0 else "test") for k in places], np.int64)
    split = {part: np.flatnonzero(of == index) for index, part in enumerate(PARTS)}
    counts: dict[str, int] = {"unknown": int((places < 0).sum())}
    counts |= {part: int((of[places >= 0] == index).sum()) for index, part in enumerate(PARTS)}
    return Recognised(split, counts)


def _is_telling(name: str) -> bool:
    """Whether a name, or its last part, says what a class is."""
    return is_telling(name.rpartition("/")[2].strip())


def _members(family: ClassFamily, part: Part) -> list[np.ndarray]:
    by_class = family.store.examples_of
    return [by_class[index] for index in family.parts[part]]
