"""`LabelledSet`: one labelled data set as one task, its examples in parts.

Here a part is a set of *examples*, unlike those of a family of tasks, whose parts are classes: all
classes are in `train`, `search` and `test` alike. `test` is the published one; where there is none
it is dealt by class, equal examples together, so that no copy of a test example is trained on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from metaloop.core.column_content import hash_into
from metaloop.core.errors import DataError
from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import numpy_stream
from metaloop.core.records import Part
from metaloop.tasks.store import LeftOut, Reading, Store

TEST_SHARE, SEARCH_SHARE = 0.2, 0.15
MOST_SEARCHED = 2000  # examples of `search`: more would only cost time
FEWEST = 3  # examples of a class: one to learn from, one to choose by, one to test
_TYPICAL = 4096  # examples that the scale of inputs is measured on


@dataclass(frozen=True, eq=False)
class LabelledSet:
    """Images with their classes, and the rows of every part.

    `train` is learned from while choosing, `search` chosen by; what is chosen learns from both.
    """

    name: str
    store: Store
    rows: Mapping[Part, np.ndarray]
    input_format: InputFormat

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, in the order of a classifier's outputs."""
        return tuple(info.name for info in self.store.classes)

    @property
    def known(self) -> np.ndarray:
        """The rows that may be learned from."""
        return np.sort(np.concatenate([self.rows["train"], self.rows["search"]]))

    @cached_property
    def digest(self) -> str:
        """A hash of content, classes and parts, 16 hexadecimal digits."""
        digest = hashlib.sha256()
        hash_into(digest, self.store.inputs)
        digest.update(self.store.targets.numpy().tobytes())
        for part in sorted(self.rows):
            digest.update(self.rows[part].astype("<i8").tobytes())
        digest.update("\0".join(self.class_names).encode())
        return digest.hexdigest()[:16]

    def part(self, part: Part) -> tuple[Tensor, Tensor]:
        """Returns raw inputs `[N, ...]` and targets `[N]` of a part."""
        rows = torch.from_numpy(self.rows[part])
        return self.store.taken(rows), self.store.targets[rows]


def labelled_set(
    reading: Reading, split_seed: int = 0
) -> tuple[LabelledSet, tuple[str, ...], tuple[LeftOut, ...]]:
    """Returns the data set of a reading of images, what is to be said of it, what was left out.

    Raises `DataError` for other inputs, for too few examples, and where `test` has classes that
    `train` lacks.
    """
    store, name = reading.store, reading.name
    if store.values is not None or len(store.input_shape) != 3 or not _is_bytes(store):
        raise DataError(
            f"{name} is {reading.kind}; 'select' takes images so far: a folder with one folder of "
            "images per class, an .npz, CIFAR"
        )
    left_out = [item for item in reading.left_out if not item.reason.startswith("not used: ")]
    notes = list(reading.notes)
    groups = store.content
    known, test = _published(reading, notes)
    targets = store.targets.numpy()
    if test is None:
        known, test = _dealt(targets, groups, known, TEST_SHARE, split_seed, "test")
        notes.append(f"no part is published as test: {len(test):,} of {len(targets):,} are sealed")
    else:
        copies = int(np.isin(groups[test], groups[known]).sum())
        if copies:
            notes.append(f"{copies:,} examples of the published test part are in train as well")
    search = _validation(reading, known)
    train = np.setdiff1d(known, search)
    if not len(search):
        share = min(SEARCH_SHARE, MOST_SEARCHED / len(known))
        train, search = _dealt(targets, groups, known, share, split_seed, "search")
    rows: dict[Part, np.ndarray] = {"train": train, "search": search, "test": test}
    _check(name, store, rows)
    return LabelledSet(name, store, rows, _format(store, known)), tuple(notes), tuple(left_out)


def _is_bytes(store: Store) -> bool:
    return isinstance(store.inputs, Tensor) and store.inputs.dtype == torch.uint8


def _published(reading: Reading, notes: list[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """The rows that are not sealed, and those of the published test part, if there is one."""
    parts = reading.example_parts
    everything = np.arange(len(reading.store))
    if parts is None or "test" not in parts:
        return everything, None
    test = np.flatnonzero(parts == "test")
    known = np.setdiff1d(everything, test)
    if not len(known):
        raise DataError(f"{reading.name}: all examples are in the part 'test', none in 'train'")
    return known, test


def _validation(reading: Reading, known: np.ndarray) -> np.ndarray:
    """The rows of a published validation part, if every class is also in train without it."""
    parts = reading.example_parts
    if parts is None or "val" not in parts:
        return np.zeros(0, np.int64)
    rows = known[parts[known] == "val"]
    rest = np.setdiff1d(known, rows)
    targets = reading.store.targets.numpy()
    return rows if set(targets[known]) == set(targets[rest]) else np.zeros(0, np.int64)


def _dealt(
    targets: np.ndarray,
    groups: np.ndarray,
    rows: np.ndarray,
    share: float,
    split_seed: int,
    what: str,
) -> tuple[np.ndarray, np.ndarray]:
    """The rows that stay, and a share of those of every class, equal ones together.

    Every class keeps at least one kind of example, and gives one if it has two.
    """
    taken: list[np.ndarray] = []
    used: set[int] = set()
    for target in np.unique(targets[rows]).tolist():
        own = rows[targets[rows] == target]
        kinds = np.array([kind for kind in np.unique(groups[own]) if kind not in used])
        number = min(max(1, round(share * len(kinds))), len(kinds) - 1)
        if number < 1:
            continue
        chosen = numpy_stream(split_seed, what, target).permutation(kinds)[:number]
        used |= set(np.unique(groups[own]).tolist())
        taken.append(rows[np.isin(groups[rows], chosen)])
    gone = np.unique(np.concatenate(taken)) if taken else np.zeros(0, np.int64)
    return np.setdiff1d(rows, gone), gone


def _check(name: str, store: Store, rows: Mapping[Part, np.ndarray]) -> None:
    """Raises `DataError` unless all classes can be learned, chosen by, and tested."""
    targets = store.targets.numpy()
    learned = np.concatenate([rows["train"], rows["search"]])
    lacking = sorted(set(targets[rows["test"]].tolist()) - set(targets[learned].tolist()))
    if lacking:
        named = _named(store, lacking)
        raise DataError(
            f"{name}: its test part has {len(lacking)} classes that train lacks, first {named}; "
            "what is tested must have been learned: mend the split, or use 'metaloop learn' for "
            "classes that are new"
        )
    for part in ("train", "search", "test"):
        if len(np.unique(targets[rows[part]])) < 2:
            raise DataError(
                f"{name}: part '{part}' has examples of {len(np.unique(targets[rows[part]]))} "
                f"classes; give at least 2 classes with {FEWEST} different examples each"
            )


def _named(store: Store, targets: Sequence[int]) -> str:
    return ", ".join(repr(store.classes[target].name) for target in targets[:3])


def _format(store: Store, known: np.ndarray) -> InputFormat:
    """The scale of inputs, measured on what may be learned from."""
    step = max(1, len(known) // _TYPICAL)
    images = store.taken(known[::step]).double().div_(255)
    mean, deviation = images.mean((0, 2, 3)), images.std((0, 2, 3), correction=0)
    return InputFormat(
        "image",
        tuple(store.input_shape),
        tuple(mean.tolist()),
        tuple(value if value > 1e-6 else 1.0 for value in deviation.tolist()),
        store.polarity,
    )
