"""Classes that occur twice in some data, under whatever names: a folder that was copied.

Two classes are related if they share content, byte for byte or as near-copies. Of two that share
nearly all of it one is a copy and is left out; others are dealt into one part together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from scipy.cluster.hierarchy import DisjointSet

from metaloop.core.column_kinds import is_of_vectors
from metaloop.tasks.fingerprints import Known, groups_of_equal, prints_of
from metaloop.tasks.store import ClassInfo, LeftOut, Store

_NEIGHBOURS = 6  # of a content that are looked at
_LEAST_SHARED = 2  # contents, whatever their share: one may be a slip
_RELATED, _SAME = 0.25, 0.9  # of the contents of the smaller class
_COMMON = 8  # classes; what is in more of them (a blank page) says nothing of any
_MOST_RELATED = 1 / 8  # of all classes; where more hang together, contents are no identity
_NAMED = 3


def join_copied_classes(store: Store) -> tuple[Store, tuple[LeftOut, ...]]:
    """Returns the store with every class once, and what is to be said of those that were twice.

    A class of which nearly all content is in a larger class (or in one of a shorter name) is left
    out. Classes that share less than that get one unit, so that they come into one part. Nothing is
    changed across the parts of a published split, and where no class shares content.
    """
    copied, units, told = joining(store)
    if units:
        infos = zip(store.classes, units, strict=True)
        kept = None if store.kept is None else replace(store.kept, digest=None, copied=None)
        classes = tuple(replace(info, unit=unit) for info, unit in infos)
        store = replace(store, classes=classes, kept=kept)
    return store.without(copied) if len(copied) else store, told


def joining(store: Store) -> tuple[np.ndarray, tuple[str, ...], tuple[LeftOut, ...]]:
    """Returns the classes that go, the units of all classes, and what is to be said of both.

    There are no units where they stay as they are.
    """
    known = store.known
    if known is not None and known.copied is not None:
        assert known.units is not None and known.told is not None
        return known.copied, known.units, known.told
    nothing = np.empty(0, np.int64)
    shared = _shared_contents(store)
    related = _related(store.classes, shared)
    if not related:
        return nothing, (), ()
    sizes = shared.distinct
    order = sorted(
        range(len(store.classes)),
        key=lambda c: (-sizes[c], len(store.classes[c].name), store.classes[c].name),
    )
    place = {c: rank for rank, c in enumerate(order)}
    copied = {max(pair, key=place.__getitem__) for pair in related if shared.share(*pair) >= _SAME}
    units, told = _in_one_part(store, [pair for pair in related if not copied & set(pair)])
    if not copied:
        return nothing, units, told
    names = sorted(repr(store.classes[c].name) for c in copied)
    gone = LeftOut(f"class {named(names)}", "copy of another class", len(copied))
    return np.array(sorted(copied)), units, (gone, *told)


def named(names: Sequence[str]) -> str:
    """Returns the first of these names, and how many more there are."""
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _in_one_part(
    store: Store, pairs: Sequence[tuple[int, int]]
) -> tuple[tuple[str, ...], tuple[LeftOut, ...]]:
    """Returns the units by which the classes of each pair are together, and what to say of it."""
    if not pairs:
        return (), ()
    units = [info.unit or info.name for info in store.classes]
    joined: DisjointSet = DisjointSet(units)
    for one, other in pairs:
        joined.merge(units[one], units[other])
    name_of: dict[str, str] = {}
    for one, _ in pairs:
        together = joined.subset(units[one])
        name_of |= dict.fromkeys(together, min(together))
    found = tuple(
        name_of.get(unit, info.unit) for info, unit in zip(store.classes, units, strict=True)
    )
    names = [" and ".join(repr(store.classes[c].name) for c in pair) for pair in pairs]
    told = LeftOut(
        f"the choice of a part for each of {named(sorted(names))}",
        "classes that share content are in one part",
        len(pairs),
    )
    return found, (told,)


@dataclass(frozen=True, eq=False)
class _Shared:
    """How many contents classes have (`distinct`), and those of one that another has as well."""

    distinct: np.ndarray
    contents: Mapping[tuple[int, int], set[int]]

    def number(self, one: int, other: int) -> int:
        return min(len(self.contents.get(pair, ())) for pair in ((one, other), (other, one)))

    def share(self, one: int, other: int) -> float:
        return self.number(one, other) / float(min(self.distinct[one], self.distinct[other]))


def _shared_contents(store: Store) -> _Shared:
    prints = prints_of(store)
    groups = groups_of_equal(prints)
    _, first = np.unique(groups, return_index=True)
    pairs = np.unique(np.stack([groups, store.targets.cpu().numpy()], axis=1), axis=0)
    distinct = np.bincount(pairs[:, 1], minlength=len(store.classes))
    starts = np.searchsorted(pairs[:, 0], np.arange(len(first) + 1))
    found = _neighbours(store, prints, groups, first)
    contents: dict[tuple[int, int], set[int]] = defaultdict(set)
    for group in np.flatnonzero((found[:, 1] >= 0) | (np.diff(starts) > 1)).tolist():
        near = {group, *(int(groups[i]) for i in found[group] if i >= 0)}
        own = pairs[starts[group] : starts[group + 1], 1].tolist()
        others = {int(c) for g in near for c in pairs[starts[g] : starts[g + 1], 1]}
        if len(others) <= _COMMON:
            for one, other in product(own, others):
                if one != other:
                    contents[one, other].add(group)
    return _Shared(distinct, contents)


def _neighbours(
    store: Store, prints: np.ndarray, groups: np.ndarray, first: np.ndarray
) -> np.ndarray:
    """The examples that are near the first of each group; itself alone, where that is known."""
    asked = np.arange(len(first))
    if store.known is not None and store.known.near is not None:
        asked = np.unique(groups[_first_of(store.known.groups, store.known.near)])
    found = np.full((len(first), _NEIGHBOURS), -1)
    found[:, 0] = first
    if len(asked):
        known = Known(prints, is_of_vectors(store.inputs))
        found[asked] = known.neighbours(prints[first[asked]], _NEIGHBOURS)
    return found


def _first_of(groups: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The first example of each of the wanted groups that has any."""
    numbers, first = np.unique(groups, return_index=True)
    return np.asarray(first[np.isin(numbers, wanted)])


def _related(classes: Sequence[ClassInfo], shared: _Shared) -> list[tuple[int, int]]:
    """The pairs of classes that share enough content; none where too many hang together."""
    pairs = [
        (one, other)
        for one, other in sorted(shared.contents)
        if one < other
        and classes[one].part == classes[other].part
        and shared.number(one, other) >= _LEAST_SHARED
        and shared.share(one, other) >= _RELATED
    ]
    joined: DisjointSet = DisjointSet(range(len(classes)))
    for pair in pairs:
        joined.merge(*pair)
    most = max(4, _MOST_RELATED * len(classes))
    return [pair for pair in pairs if len(joined.subset(pair[0])) <= most]
