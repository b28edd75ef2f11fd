"""`Store`: all examples of a family, with the classes, groups and published parts.

Inputs are a column (`core/columns.py`): images uint8 `[N, channels, height, width]`, vectors
float32 `[N, features]`, texts, sequences. Everything that samples episodes works on indices into a
store; inputs are gathered on their device in one step, by `take`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from metaloop.core.column_content import hash_into, row_hashes
from metaloop.core.column_kinds import is_of_vectors
from metaloop.core.columns import (
    Column,
    Taken,
    chosen,
    described,
    device_of,
    length,
    moved,
    shape_of,
    take,
)
from metaloop.core.spec import Shape

PublishedPart = Literal["train", "val", "test"]


@dataclass(frozen=True)
class ClassInfo:
    """What is known of a class besides its examples.

    `group` is the folder above it (an alphabet, a domain), "" where there is none. Classes of one
    `unit` always share a part (the rotations of one character); "" means the class is its own.
    `part` is the published part, None where no split was published.
    """

    name: str
    group: str = ""
    unit: str = ""
    part: PublishedPart | None = None


@dataclass(frozen=True)
class LeftOut:
    """Something that was found in the data and not used: what, why, and how often."""

    what: str
    reason: str
    count: int = 1


@dataclass(frozen=True, eq=False)
class Kept:
    """What is known of the examples of a file, so that nobody has to look at all of them again.

    It holds for the column `of` and no other. `prints` uint8 `[N, 40]` are their fingerprints, and
    `groups` int64 `[N]` numbers of those, equal where they are; `near` int64 `[P, 2]` are pairs of
    groups that are copies of each other, None where they are too many. `content` int64 `[N]` is
    equal where examples are. `digest` is that of the whole store; `copied`, `units` and `told` are
    what `join_copied_classes` makes of it: the classes that go, the units of all, what is said.
    All of these are None once examples were taken away.
    """

    of: Column
    prints: np.ndarray
    groups: np.ndarray
    content: np.ndarray
    near: np.ndarray | None
    digest: str | None = None
    copied: np.ndarray | None = None
    units: tuple[str, ...] | None = None
    told: tuple[LeftOut, ...] | None = None

    def chosen(self, of: Column, rows: np.ndarray) -> Kept:
        """Returns what is known of these examples alone, which are the column `of`."""
        return Kept(of, self.prints[rows], self.groups[rows], self.content[rows], self.near)


@dataclass(frozen=True)
class Store:
    """Examples `inputs`, a column of N, with `targets` int64 `[N]` that index `classes`.

    Where `values` float64 `[N, targets]` are there, they are what is to be predicted, and `classes`
    are the groups whose functions they are. `detail` are the same examples as encoders want to see
    them (images at a larger size), None where `inputs` are that. `identity` is the digest of what
    these examples are another view of; None: they are their own. `columns` are the names of an
    input's numbers, where they come from a table; they are no part of the content. Where `speakers`
    int64 `[N]` are there, they index `voices`: who is heard in each example, and the published part
    of each speaker; they matter until examples have parts, and are no part of the content. `kept`
    is what a file has of them beside the examples; see `known`. `names` bool `[N]` tells which are
    the names of their classes (`label_names.py`), one of a class at most: they are part of every
    support, and are never drawn.
    """

    inputs: Column
    targets: Tensor
    classes: tuple[ClassInfo, ...]
    polarity: Literal["as_is", "ink"] = "as_is"
    values: Tensor | None = None
    detail: Column | None = None
    identity: str | None = None
    columns: tuple[str, ...] = ()
    speakers: Tensor | None = None
    voices: tuple[ClassInfo, ...] = ()
    names: Tensor | None = None
    kept: Kept | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if length(self.inputs) != len(self.targets):
            raise ValueError(f"{length(self.inputs)} inputs but {len(self.targets)} targets")
        if self.names is not None and len(self.names) != len(self.targets):
            raise ValueError(f"{len(self.names)} names but {len(self.targets)} targets")

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def device(self) -> torch.device:
        """Where gathered inputs are."""
        return device_of(self.inputs)

    @property
    def input_shape(self) -> Shape:
        """The shape of one input; `()` where they differ in it, as texts do."""
        return shape_of(self.inputs)

    @property
    def known(self) -> Kept | None:
        """What is kept of these inputs; None where nothing is, or inputs are seen in a view."""
        return self.kept if self.kept is not None and self.kept.of is self.inputs else None

    def take(self, rows: Tensor | np.ndarray) -> Taken:
        """Returns the inputs of these rows, int64 `[*rows]`; see `core.columns.take`."""
        return take(self.inputs, torch.from_numpy(rows) if isinstance(rows, np.ndarray) else rows)

    def taken(self, rows: Tensor | np.ndarray) -> Tensor:
        """Returns the inputs of these rows as `[*rows, *input]`.

        Raises `TypeError` where inputs are no tensor: texts are seen in a view first.
        """
        inputs = self.take(rows)
        if not isinstance(inputs, Tensor):
            raise TypeError(f"expected inputs of one shape, got {described(self.inputs)}")
        return inputs

    def to(self, device: torch.device | str) -> Store:
        """Returns the store with its tensors on `device`."""
        return replace(
            self,
            inputs=moved(self.inputs, device),
            targets=self.targets.to(device),
            values=None if self.values is None else self.values.to(device),
            speakers=None if self.speakers is None else self.speakers.to(device),
            names=None if self.names is None else self.names.to(device),
        )

    def without(self, classes: np.ndarray, examples: np.ndarray | None = None) -> Store:
        """Returns the store without these classes and these examples; what follows moves up."""
        targets = self.targets.cpu().numpy()
        keep = ~np.isin(targets, classes)
        if examples is not None:
            keep[examples] = False
        stay = np.setdiff1d(np.arange(len(self.classes)), classes)
        moved = np.searchsorted(stay, targets[keep])
        rows = torch.from_numpy(keep.nonzero()[0])
        inputs = chosen(self.inputs, rows)
        return replace(
            self,
            inputs=inputs,
            kept=self._kept_of(inputs, rows),
            values=None if self.values is None else self.values[rows.to(self.values.device)],
            detail=None if self.detail is None else chosen(self.detail, rows),
            speakers=None
            if self.speakers is None
            else self.speakers[rows.to(self.speakers.device)],
            names=None if self.names is None else self.names[rows.to(self.names.device)],
            targets=torch.from_numpy(moved).to(self.targets),
            classes=tuple(self.classes[index] for index in stay),
            identity=None if self.identity is None else f"{self.identity} {_hash(rows)}",
        )

    def _kept_of(self, inputs: Column, rows: Tensor) -> Kept | None:
        """What is kept of these rows; nothing of vectors, whose prints hang on all of them."""
        known = self.known
        if known is None or is_of_vectors(self.inputs):
            return None
        return known.chosen(inputs, rows.numpy())

    @cached_property
    def examples_of(self) -> list[np.ndarray]:
        """Indices of the examples of every class, in order; names are none of them."""
        targets = self.targets.cpu().numpy()
        order = np.argsort(targets, kind="stable")
        if self.names is not None:
            order = order[~self.names.cpu().numpy()[order]]
        ends = np.cumsum(np.bincount(targets[order], minlength=len(self.classes)))
        return np.split(order, ends[:-1])

    @cached_property
    def content(self) -> np.ndarray:
        """A number for every example, int64 `[N]`: equal ones mean equal inputs, byte for byte."""
        if self.known is not None:
            return self.known.content
        hashes = np.array(row_hashes(self.inputs), "S16")
        return np.unique(hashes, return_inverse=True)[1].reshape(-1)

    @cached_property
    def name_of(self) -> np.ndarray:
        """The example that is the name of each class, int64 `[classes]`; -1 where there is none."""
        found = np.full(len(self.classes), -1, dtype=np.int64)
        if self.names is not None:
            rows = np.flatnonzero(self.names.cpu().numpy())
            found[self.targets.cpu().numpy()[rows]] = rows
        return found

    def names_and(self, more: int) -> Tensor | None:
        """Returns `names` of these examples with so many others behind them; None without any."""
        if self.names is None:
            return None
        return torch.cat([self.names, self.names.new_zeros(more)])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of inputs, targets, values and class names: the identity of the content."""
        if self.identity is not None:
            return self.identity
        if self.known is not None and self.known.digest is not None:
            return self.known.digest
        sha = hashlib.sha256()
        hash_into(sha, self.inputs)
        sha.update(self.targets.cpu().numpy().data)
        if self.values is not None:
            sha.update(self.values.cpu().contiguous().numpy().data)
        if self.names is not None:
            sha.update(self.names.cpu().numpy().data)
        for info in self.classes:
            sha.update(f"{info.name}\0{info.group}\0{info.unit}\0{info.part}\n".encode())
        return sha.hexdigest()


def _hash(rows: Tensor) -> str:
    return hashlib.sha256(rows.numpy().data).hexdigest()[:16]


@dataclass(frozen=True)
class Reading:
    """What a reader found: the store, what kind of data it took it for, what it left out.

    `example_parts [N]`: the published part of every example (`train`, `val` or `test`), where there
    is a split by examples. Learning from few examples splits by classes and does not look at it.
    `objective`: that of tasks with real targets.
    """

    name: str  # short: the folder's or file's name, or the built-in family's
    kind: str  # in words: "folder of images, one folder per class"
    store: Store
    left_out: tuple[LeftOut, ...] = field(default=())
    notes: tuple[str, ...] = ()  # how it was understood, where it could be meant otherwise
    example_parts: np.ndarray | None = field(default=None, compare=False)
    objective: str = "regression"
