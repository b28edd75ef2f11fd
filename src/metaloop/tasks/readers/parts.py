"""Published splits: what their folders are called, and whether they are splits by class at all.

`train`, `valid`, `test_images`, `2019_train`, `meta-test`, `base`, `novel`: a word for a part, with
what says nothing (`set`, `images`, a number) or what all parts share around it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Final

import numpy as np

from metaloop.tasks.store import LeftOut, PublishedPart

PART_NAMES: Final[dict[str, PublishedPart]] = {
    "train": "train",
    "training": "train",
    "trainval": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "eval": "val",  # test, where nothing else is: see `split_folders`
    "evaluation": "val",
    "test": "test",
    "testing": "test",
    "holdout": "test",
    "base": "train",
    "novel": "test",
    "seen": "train",
    "unseen": "test",
}
_WEAK = frozenset({"base", "novel", "seen", "unseen"})  # give way to another: `test_unseen`
_EVALS = frozenset({"eval", "evaluation"})
NEUTRAL: Final[frozenset[str]] = frozenset(
    {"meta", "set", "data", "dataset", "image", "images", "img", "imgs", "picture", "pictures"}
    | {"pic", "pics", "photo", "photos", "split", "part", "folder", "class", "classes", "public"}
    | {"private", "jpg", "jpeg", "png", "raw", "cropped", "crops", "all", "final"}
)


def split_folders(names: Collection[str]) -> dict[str, PublishedPart]:
    """Returns the part of every sibling folder that is one; empty where they are no split.

    All siblings must be named after parts, at least two of them different. Other folders may only
    stand beside plain names (`train`, `test`), and only if `train` is among these.
    """
    found = {name: word for name in names if (word := _part_word(name))}
    beside = len(found) < len(names)
    if beside:
        found = {name: (word, "") for name, (word, rest) in found.items() if not rest}
        found = {name: pair for name, pair in found.items() if pair[0] not in _WEAK}
    parts = {name: PART_NAMES[word] for name, (word, _) in found.items()}
    if "test" not in parts.values():
        parts |= {name: "test" for name, (word, _) in found.items() if word in _EVALS}
    if len(set(parts.values())) < 2 or (beside and "train" not in parts.values()):
        return {}
    rests: dict[PublishedPart, set[str]] = defaultdict(set)
    for name, (_, rest) in found.items():
        rests[parts[name]].add(rest)
    alike = all(of_part == rests[parts[next(iter(found))]] for of_part in rests.values())
    telling = any(rest and not is_neutral(rest) for of_part in rests.values() for rest in of_part)
    return parts if alike or not telling else {}


def is_neutral(name: str) -> bool:
    """Returns whether a folder's name says nothing of what is in it: `images`, `data 2`."""
    return all(word in NEUTRAL | _WEAK or word.isdigit() for word in words_of(name))


def words_of(name: str) -> list[str]:
    """Returns the words and numbers of a name in lower case: `trainSet_02` is train, set, 02."""
    found = re.findall(r"\d+|[A-Z]+(?![a-z])|[A-Z]?[^\W\dA-Z_]+|[^\W\d_]+", name)
    return [word.lower() for word in found]


def _part_word(name: str) -> tuple[str, str] | None:
    """The word for a part in a folder's name and the rest of it; None if there is none, or two."""
    words = [_bare(word) for word in words_of(name)]
    if words[:2] == ["train", "val"]:
        words[:2] = ["trainval"]
    hits = [word for word in words if word in PART_NAMES]
    strong = [word for word in hits if word not in _WEAK] or hits
    if len(strong) != 1:
        return None
    words.remove(strong[0])
    return strong[0], " ".join(word for word in words if word)


def _bare(word: str) -> str:
    """`trainset`, `testimages` and `metatrain` without what says nothing."""
    for neutral in NEUTRAL:
        for bare in (word.removesuffix(neutral), word.removeprefix(neutral)):
            if bare != word and bare in PART_NAMES:
                return bare
    return word


def published_parts(
    targets: np.ndarray,
    parts: Sequence[PublishedPart],
    num_classes: int,
    units: Sequence[str] | None = None,
) -> tuple[list[PublishedPart | None], list[LeftOut]]:
    """Returns the part of every class, from the parts of its examples.

    If a class has examples in two parts, or there is no train or no test, the split is of no use
    for learning from few examples: then no class has a part, and a notice says why. Classes that
    share one of the `units` (any but "") count as one class.
    """
    of_unit: dict[str, set[PublishedPart]] = defaultdict(set)
    names = [unit or f"\0{i}" for i, unit in enumerate(units or [""] * num_classes)]
    for target, part in zip(targets.tolist(), parts, strict=True):
        of_unit[names[target]].add(part)
    seen = [of_unit[name] for name in names]
    found = sorted(set(parts), key=("train", "val", "test").index)
    what = f"the split into {', '.join(found)}"
    shared = sum(len(of_class) > 1 for of_class in seen)
    if shared:
        reason = (
            f"not used: {shared} of {num_classes} classes occur in more than one part, "
            "so it does not split by class; the parts were merged"
        )
        return [None] * num_classes, [LeftOut(what, reason, shared)]
    if not {"train", "test"} <= set(found):
        reason = "not used: a split by class needs both train and test; the parts were merged"
        return [None] * num_classes, [LeftOut(what, reason)]
    return [next(iter(of_class), None) for of_class in seen], []
