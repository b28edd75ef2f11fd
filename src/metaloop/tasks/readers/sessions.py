"""Folders inside class folders: days, takes and other sessions, which are not classes."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping

from metaloop.tasks.readers.parts import NEUTRAL, words_of

Folder = tuple[str, ...]

_DAYS = "monday tuesday wednesday thursday friday saturday sunday mon tue wed thu fri sat sun"
_MONTHS = (
    "january february march april may june july august september october november december "
    "jan feb mar apr jun jul aug sep sept oct nov dec"
)
_TAKES = (
    "session sessions day batch run take visit shoot sequence seq series video videos clip clips "
    "frame frames recording rec trial round week month more extra extras additional misc camera "
    "cam copy augmented"
)
_SESSION_WORDS = (NEUTRAL - {"class", "classes"}) | set(f"{_DAYS} {_MONTHS} {_TAKES}".split())
_CLASS_WORDS = frozenset(
    {"character", "char", "letter", "glyph", "symbol", "sign", "word", "class", "label", "category"}
    | {"species", "object", "item", "subject", "person", "identity", "id"}
)
_DATE = re.compile(
    r"(19|20)\d\d[-_. ]?(0?[1-9]|1[0-2])([-_. T]?[0-3]?\d(\D.*)?)?"
    r"|[0-3]?\d[-_. ][01]?\d[-_. ](19|20)\d\d"
)
_MOST = 0.8  # of the folders; then a few odd ones do not hide what the others are


def merge_sessions(images: Mapping[Folder, int]) -> tuple[dict[Folder, Folder], list[str]]:
    """Returns the class folder of every folder, itself where it is no session, and notes on these.

    `images` are the numbers of images directly in each folder.
    """
    class_of = {folder: folder for folder in images}
    notes: list[str] = []
    for find, why in (
        (_beside_images, "beside images"),
        (_named_as_sessions, "named after times and takes"),
        (_same_names, "of the same names in most classes"),
    ):
        while found := find(_counts(class_of, images)):
            first = min(found)
            notes.append(
                f"{len(found)} folders {why} are sessions and merged into the classes above them, "
                f"first {'/'.join(first)!r} into {'/'.join(found[first])!r}"
            )
            class_of = {folder: found.get(name, name) for folder, name in class_of.items()}
    return class_of, notes


def is_numbered(name: str) -> bool:
    """Returns whether a name says nothing by itself: a letter, a number, `character01`."""
    words = words_of(name)
    return len(name) == 1 or all(word.isdigit() or word in _CLASS_WORDS for word in words)


def is_telling(name: str) -> bool:
    """Returns whether a name says what a class is, wherever it stands: no number, no session."""
    return not is_numbered(name) and not _session_depth((name,))


def _counts(class_of: Mapping[Folder, Folder], images: Mapping[Folder, int]) -> Counter[Folder]:
    counts: Counter[Folder] = Counter()
    for folder, name in class_of.items():
        counts[name] += images[folder]
    return counts


def _beside_images(images: Mapping[Folder, int]) -> dict[Folder, Folder]:
    """Folders below one that has two images itself, or one if most folders beside it have some."""
    beside: dict[Folder, set[str]] = defaultdict(set)
    for folder in images:
        for depth in range(1, len(folder) + 1):
            beside[folder[: depth - 1]].add(folder[depth - 1])
    holds: dict[Folder, float] = {
        above: sum((*above, name) in images for name in names) / len(names)
        for above, names in beside.items()
    }
    found = {}
    for folder in images:
        for depth in range(1, len(folder)):
            above = folder[:depth]
            if images.get(above, 0) >= 2 or (above in images and holds[above[:-1]] > 0.5):
                found[folder] = above
                break
    return found


def _named_as_sessions(images: Mapping[Folder, int]) -> dict[Folder, Folder]:
    """Folders all of whose neighbours are named after times, takes or nothing."""
    found: dict[Folder, Folder] = {}
    for inside in _by_parent(images).values():
        cuts = {folder: _session_depth(folder) for folder in inside}
        if all(cuts.values()):
            found |= {folder: folder[: -cuts[folder]] for folder in inside}
    return found


def _same_names(images: Mapping[Folder, int]) -> dict[Folder, Folder]:
    """Folders whose few names recur in most of the folders above them."""
    parents = _by_parent(images)
    inside = [folder for folders in parents.values() for folder in folders]
    under = Counter(folder[-1].casefold() for folder in inside)
    usual = {name for name, count in under.items() if count >= max(2, len(parents) / 2)}
    share = sum(folder[-1].casefold() in usual for folder in inside) / max(1, len(inside))
    if share < _MOST or len(usual) >= len(parents):
        return {}
    if any(is_numbered(name) and not name.isdigit() for name in usual):
        return {}
    return {folder: folder[:-1] for folder in inside}


def _by_parent(images: Mapping[Folder, int]) -> dict[Folder, list[Folder]]:
    """The innermost folders by the folder above them, which is not the root."""
    parents: dict[Folder, list[Folder]] = defaultdict(list)
    outer = {folder[:depth] for folder in images for depth in range(len(folder))}
    for folder in images:
        if len(folder) > 1:
            parents[folder[:-1]].append(folder)
    return {
        above: inside
        for above, inside in parents.items()
        if not any(folder in outer for folder in inside)
    }


def _session_depth(folder: Folder) -> int:
    """How many of the last names of a folder are a session's; 0 if none is."""
    for depth in (3, 2):
        last = folder[-depth:]
        numbers = len(folder) > depth and all(name.isdigit() for name in last)
        if numbers and len(last[0]) == 4 and _DATE.fullmatch("-".join(last)):
            return depth
    if _DATE.fullmatch(folder[-1]):
        return 1
    words = words_of(folder[-1])
    named = any(not word.isdigit() for word in words)
    return int(named and all(word in _SESSION_WORDS or word.isdigit() for word in words))
