"""Published splits: what they are called, and whether they are splits by class at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from metaloop.tasks.store import LeftOut, PublishedPart

PART_NAMES: Final[dict[str, PublishedPart]] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


def published_parts(
    targets: np.ndarray, parts: Sequence[PublishedPart], num_classes: int
) -> tuple[list[PublishedPart | None], list[LeftOut]]:
    """Returns the part of every class, from the parts of its examples.

    If a class has examples in two parts, or there is no train or no test, the split is of no use
    for learning from few examples: then no class has a part, and a notice says why.
    """
    seen: list[set[PublishedPart]] = [set() for _ in range(num_classes)]
    for target, part in zip(targets.tolist(), parts, strict=True):
        seen[target].add(part)
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
