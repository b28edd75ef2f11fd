"""Parts that share no class: train, search, promotion and test; groups stay whole if possible.

A published split stays as it is; its val is halved into search and promotion. Otherwise units are
dealt 50 / 12.5 / 12.5 / 25 %. The result depends on names, units, groups and published parts of the
classes and on the seed, never on the order in which classes are listed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metaloop.core.errors import DataError
from metaloop.core.randomness import numpy_stream
from metaloop.core.records import PARTS, Part
from metaloop.tasks.store import ClassInfo

MIN_CLASSES = 8  # four parts of at least 2 classes: a task needs two to tell apart
_MIN_WAYS = 2
_COMFORTABLE_CLASSES = 5  # for the usual 5-way tasks, where there are enough classes
_SHARES: Mapping[Part, float] = {"train": 0.5, "search": 0.125, "promotion": 0.125, "test": 0.25}
_SHARES_OF_TRAIN: Mapping[Part, float] = {"train": 0.75, "search": 0.125, "promotion": 0.125}
_GROUP_SLACK = 1 / 3  # how far, relative to its target, whole groups may push a part
_TRIES = 200  # random orders in which groups are dealt before they are given up


@dataclass(frozen=True)
class _Item:
    """Units that are dealt together: one unit, or all units of a group."""

    units: tuple[str, ...]
    num_classes: int


def assign_parts(classes: Sequence[ClassInfo], split_seed: int = 0) -> dict[Part, np.ndarray]:
    """Returns the sorted class indices, int64, of each of the four parts.

    Classes of one unit share a part. Every part has at least 2 classes, and 5 where there are
    enough. Raises `DataError` if that is impossible.
    """
    if len(classes) < MIN_CLASSES:
        raise DataError(
            f"the data has {len(classes)} classes; disjoint parts for training, choosing and "
            f"testing need at least {MIN_CLASSES}: add classes"
        )
    members: dict[str, list[int]] = defaultdict(list)
    for index, info in enumerate(classes):
        members[_unit(info)].append(index)
    if any(info.part for info in classes):
        dealt = _keep_published(classes, members, split_seed)
    else:
        groups = _groups(classes, members)
        dealt = _deal(_SHARES, members, groups, numpy_stream(split_seed, "parts"))
    parts = {
        part: np.array(sorted(i for unit in dealt[part] for i in members[unit]), np.int64)
        for part in PARTS
    }
    short = [f"{part} {len(parts[part])}" for part in PARTS if len(parts[part]) < _MIN_WAYS]
    if short:
        raise DataError(
            f"{len(classes)} classes in {len(members)} independent units leave a part with fewer "
            f"than {_MIN_WAYS} classes ({', '.join(short)}); add classes"
            + (" to train or val" if any(info.part for info in classes) else "")
        )
    return parts


def _unit(info: ClassInfo) -> str:
    """The unit of a class: itself, where it has none."""
    return info.unit or info.name


def _groups(classes: Sequence[ClassInfo], units: Iterable[str]) -> dict[str, str]:
    """The group of every unit; a unit without one, or of several groups, is a group of its own."""
    found: dict[str, set[str]] = {unit: set() for unit in units}
    for info in classes:
        if _unit(info) in found:
            found[_unit(info)].add(info.group)
    return {
        unit: f"group {min(names)}" if len(names) == 1 and "" not in names else f"unit {unit}"
        for unit, names in found.items()
    }


def _keep_published(
    classes: Sequence[ClassInfo], members: Mapping[str, Sequence[int]], split_seed: int
) -> dict[Part, list[str]]:
    """The units of each part where a split was published."""
    published: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for unit, indices in members.items():
        parts = {classes[i].part for i in indices}
        part = parts.pop()
        if parts or part is None:
            raise DataError(
                f"the published split is not whole: {unit!r} is in "
                + ("more than one part" if parts else "no part")
            )
        published[part].append(unit)
    if not published["train"] or not published["test"]:
        raise DataError("a published split needs classes in train and in test")
    if published["val"]:
        groups = _groups(classes, published["val"])
        promotion = _half(groups, numpy_stream(split_seed, "val"))
        search = [unit for unit in published["val"] if unit not in promotion]
        dealt: dict[Part, list[str]] = {
            "train": published["train"],
            "search": search,
            "promotion": sorted(promotion),
        }
    else:
        of_train = {unit: members[unit] for unit in published["train"]}
        groups = _groups(classes, of_train)
        dealt = _deal(_SHARES_OF_TRAIN, of_train, groups, numpy_stream(split_seed, "train"))
    return {**dealt, "test": published["test"]}


def _half(groups: Mapping[str, str], stream: np.random.Generator) -> set[str]:
    """Half of the units, in whole groups if some set of groups makes exactly a half."""
    units = sorted(groups)
    target = len(units) // 2
    by_group: dict[str, list[str]] = defaultdict(list)
    for unit in units:
        by_group[groups[unit]].append(unit)
    names = sorted(by_group)
    order = [names[i] for i in stream.permutation(len(names))]
    # chosen[total] = groups that together have so many units (subset sums, first found stays)
    chosen: dict[int, tuple[str, ...]] = {0: ()}
    for name in order:
        for total in sorted(chosen, reverse=True):
            larger = total + len(by_group[name])
            if larger <= target and larger not in chosen:
                chosen[larger] = (*chosen[total], name)
        if target in chosen:
            return {unit for name in chosen[target] for unit in by_group[name]}
    return {units[i] for i in stream.permutation(len(units))[:target]}


def _deal(
    shares: Mapping[Part, float],
    members: Mapping[str, Sequence[int]],
    groups: Mapping[str, str],
    stream: np.random.Generator,
) -> dict[Part, list[str]]:
    """Units dealt to parts by their shares: in whole groups if these allow it, else singly."""
    num_classes = sum(map(len, members.values()))
    least = max(_MIN_WAYS, min(_COMFORTABLE_CLASSES, num_classes // 4))
    targets = _unit_targets(shares, len(members), least / num_classes)
    by_group: dict[str, list[str]] = defaultdict(list)
    for unit in sorted(members):
        by_group[groups[unit]].append(unit)
    whole = [
        _Item(tuple(by_group[name]), sum(len(members[unit]) for unit in by_group[name]))
        for name in sorted(by_group)
    ]
    single = [_Item((unit,), len(members[unit])) for unit in sorted(members)]
    best, best_cost = _best_deal(whole, targets, least, stream)
    if best_cost > _GROUP_SLACK:
        best, _ = _best_deal(single, targets, least, stream)
    return {part: [unit for item in best[part] for unit in item.units] for part in targets}


def _unit_targets(
    shares: Mapping[Part, float], num_units: int, least_share: float
) -> dict[Part, int]:
    """How many units each part should get: shares rounded to sum up, raised to the minimum."""
    least = min(int(np.ceil(num_units * least_share)), num_units // len(shares))
    exact = {part: share * num_units for part, share in shares.items()}
    targets = {part: int(value) for part, value in exact.items()}
    by_rest = sorted(shares, key=lambda part: targets[part] - exact[part])
    for part in by_rest[: num_units - sum(targets.values())]:
        targets[part] += 1
    while min(targets.values()) < least:
        poorest = min(targets, key=lambda part: targets[part])
        richest = max(targets, key=lambda part: targets[part])
        targets[poorest] += 1
        targets[richest] -= 1
    return targets


def _best_deal(
    items: Sequence[_Item], targets: Mapping[Part, int], least: int, stream: np.random.Generator
) -> tuple[dict[Part, list[_Item]], float]:
    """The first random deal that fits within the slack, else the best one, with its cost.

    Each item goes to the part that lacks most. The cost is the largest deviation of a part from
    its target, relative to it; more than 1 if a part has fewer than `least` classes.
    """
    best: dict[Part, list[_Item]] = {}
    best_cost = np.inf
    for _ in range(_TRIES):
        dealt: dict[Part, list[_Item]] = {part: [] for part in targets}
        lacking = dict(targets)
        for i in stream.permutation(len(items)):
            part = max(lacking, key=lambda part: lacking[part])
            dealt[part].append(items[i])
            lacking[part] -= len(items[i].units)
        cost = max(abs(lacking[part]) / max(1, targets[part]) for part in targets)
        poorest = min(sum(item.num_classes for item in dealt[part]) for part in targets)
        if poorest < least:
            cost += 1 + least - poorest
        if cost < best_cost:
            best, best_cost = dealt, cost
        if cost <= _GROUP_SLACK:
            break
    return best, float(best_cost)
