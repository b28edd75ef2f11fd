"""Several families as one to learn from: the classes of others join a family's training part.

What is sealed in one of them trains nowhere, whatever it is called: examples of others that are
copies of it, byte for byte or nearly, are left out, and so are classes that are the same as a
sealed one. A class is the same if a tenth of its examples are copies (of the smaller class's, and
two at least), or if it has the same name, which tells what it is: other pictures of a class are
pictures of that class. Numbers and `character01` are names that tell nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from metaloop.core.column_kinds import is_of_vectors
from metaloop.core.columns import behind, chosen, described, moved
from metaloop.core.errors import DataError
from metaloop.core.records import PARTS, Part
from metaloop.tasks.copied_classes import named
from metaloop.tasks.family import ClassFamily
from metaloop.tasks.fingerprints import Known, fingerprints, scale_of
from metaloop.tasks.readers.sessions import is_telling
from metaloop.tasks.store import LeftOut, Store

_SEALED: tuple[Part, ...] = PARTS[1:]
_LEAST_COPIES, _LEAST_SHARE = 2, 0.1


def merge(base: ClassFamily, others: Sequence[ClassFamily]) -> ClassFamily:
    """Returns `base` with the training classes of `others` behind its own.

    Their sealed parts stay sealed; `others` must share nothing with it: see `without_overlap`.
    """
    inputs, targets, classes = [base.store.inputs], [base.store.targets], list(base.store.classes)
    added = []
    for other in others:
        for index in other.parts["train"]:
            members = torch.from_numpy(other.store.examples_of[index])
            info = other.store.classes[index]
            inputs.append(moved(chosen(other.store.inputs, members), base.store.device))
            targets.append(torch.full((len(members),), len(classes)).to(base.store.targets))
            added.append(len(classes))
            classes.append(replace(info, name=f"{other.name} | {info.name}", part=None))
    number = sum(map(len, targets[1:]))
    store = Store(
        behind(inputs),
        torch.cat(targets),
        tuple(classes),
        base.store.polarity,
        names=base.store.names_and(number),
    )
    parts = dict(base.parts)
    parts["train"] = np.concatenate([parts["train"], np.array(added, dtype=np.int64)])
    return ClassFamily(base.name, store, parts, base.input_format)


@dataclass(frozen=True)
class Cleaned:
    """A further family whose training part shares nothing with others, and what it was that did."""

    family: ClassFamily
    left_out: tuple[LeftOut, ...] = ()


def without_overlap(base: ClassFamily, others: Sequence[ClassFamily]) -> tuple[Cleaned, ...]:
    """Returns `others`, of whose training parts only what is nowhere else is left.

    That is: no example of any part of `base`, of a sealed part of another, or of the training part
    of an earlier one; no class that is the same as a sealed one of `base` or of another. Sealed
    parts stay as they are, and a family without overlap comes back itself. `DataError` if shapes
    differ.
    """
    for other in others:
        _check_shape(base, other)
    contents = [family.as_read.inputs for family in (base, *others)]
    scale = scale_of(contents[0])
    prints = [fingerprints(inputs, scale) for inputs in contents]
    cleaned: list[Cleaned] = []
    for index, other in enumerate(others, 1):
        known = _Sealed(is_of_vectors(contents[0]))
        known.add(prints[0], base, _SEALED, names=True)
        for place, another in enumerate(others, 1):
            if place != index:
                known.add(prints[place], another, _SEALED)
        taken = [prints[0][_rows(base, ("train",))]]
        taken += [prints[place][_rows(others[place - 1], ("train",))] for place in range(1, index)]
        cleaned.append(_cleaned(base, other, prints[index], known, np.concatenate(taken)))
    return tuple(cleaned)


@dataclass
class _Sealed:
    """Fingerprints of sealed classes, which are numbered, and names that tell what they are."""

    vectors: bool
    names: set[str] = field(default_factory=set)
    sizes: list[int] = field(default_factory=list)
    _prints: list[np.ndarray] = field(default_factory=list)
    _classes: list[np.ndarray] = field(default_factory=list)

    def add(
        self, prints: np.ndarray, family: ClassFamily, parts: Sequence[Part], names: bool = False
    ) -> None:
        """Adds the classes of these parts, whose examples have such prints."""
        for index in (index for part in parts for index in family.parts[part]):
            rows = family.store.examples_of[index]
            self._prints.append(prints[rows])
            self._classes.append(np.full(len(rows), len(self.sizes)))
            self.sizes.append(len(rows))
            name = _telling(family.store.classes[index].name)
            if names and name:
                self.names.add(name)

    def class_of_copied(self, prints: np.ndarray) -> np.ndarray:
        """Returns the number of the class that each of these is a copy from, or -1."""
        if not self._prints:
            return np.full(len(prints), -1)
        nearest = Known(np.concatenate(self._prints), self.vectors).nearest(prints)
        return np.asarray(np.append(np.concatenate(self._classes), -1)[nearest])

    def is_same(self, name: str, copied: np.ndarray) -> bool:
        """Whether a class of this name, whose examples are copies of those, is a sealed one."""
        if _telling(name) in self.names:
            return True
        counts = np.bincount(copied[copied >= 0], minlength=len(self.sizes))
        least = _LEAST_SHARE * np.minimum(len(copied), self.sizes)
        return bool(np.any((counts >= _LEAST_COPIES) & (counts >= least)))


def _cleaned(
    base: ClassFamily, other: ClassFamily, prints: np.ndarray, sealed: _Sealed, taken: np.ndarray
) -> Cleaned:
    """Returns `other` without what is sealed, or taken by a training part before it."""
    rows, store = _rows(other, ("train",)), other.store
    sealed_class = np.full(len(prints), -1)
    sealed_class[rows] = sealed.class_of_copied(prints[rows])
    copy = sealed_class >= 0
    copy[rows] |= Known(taken, sealed.vectors).nearest(prints[rows]) >= 0
    train = other.parts["train"].tolist()
    same = {
        index
        for index in train
        if sealed.is_same(store.classes[index].name, sealed_class[store.examples_of[index]])
    }
    units = {store.classes[index].unit for index in same} - {""}
    same |= {index for index in train if store.classes[index].unit in units}
    copied = [index for index in train if index not in same]
    dropped = np.array([r for c in copied for r in store.examples_of[c] if copy[r]], np.int64)
    small = [c for c in copied if (~copy[store.examples_of[c]]).sum() < 2]
    if not (same or len(dropped) or small):
        return Cleaned(other)
    gone = np.array(sorted({*same, *small}), np.int64)
    parts = {
        part: np.searchsorted(np.setdiff1d(np.arange(len(store.classes)), gone), members)
        for part, members in ((p, np.setdiff1d(other.parts[p], gone)) for p in PARTS)
    }
    family = replace(
        other,
        store=store.without(gone, dropped),
        parts=parts,
        given_format=other.input_format,
        raw=None if other.raw is None else other.raw.without(gone, dropped),
    )
    told = []
    if same:
        names = named([repr(store.classes[index].name) for index in sorted(same)])
        reason = f"the same as classes that are sealed in {base.name} or other data"
        told.append(LeftOut(f"class {names} of {other.name}", reason, len(same)))
    if len(dropped):
        reason = "also in the data to be learned for, or in other data"
        told.append(LeftOut(f"examples of {other.name}", reason, len(dropped)))
    if small:
        names = named([repr(store.classes[index].name) for index in small])
        reason = "fewer than 2 examples are no copies"
        told.append(LeftOut(f"class {names} of {other.name}", reason, len(small)))
    return Cleaned(family, tuple(told))


def _rows(family: ClassFamily, parts: Sequence[Part]) -> np.ndarray:
    members = [family.store.examples_of[c] for part in parts for c in family.parts[part]]
    return np.concatenate([np.empty(0, np.int64), *members])


def _telling(name: str) -> str:
    """The last part of a class's name if it says what the class is, else nothing."""
    last = name.rpartition("/")[2].strip().casefold()
    return last if last and is_telling(last) else ""


def _check_shape(base: ClassFamily, other: ClassFamily) -> None:
    came, wanted = described(other.store.inputs), described(base.store.inputs)
    if came != wanted:
        raise DataError(
            f"{other.name}: {came} cannot be learned from for {base.name}, which has {wanted}; "
            f"read images with the same --image-size"
        )
