"""What a family is made of, counted: what `metaloop data` tells."""

from __future__ import annotations

from typing import Any

import numpy as np

from metaloop.tasks.family import ClassFamily, TaskFamily
from metaloop.tasks.generation import GenerationFamily
from metaloop.tasks.groups import GroupFamily

NAMES_SHOWN = 3
SHOTS = (1, 5)  # for which the largest possible ways are told


def facts_of(family: TaskFamily) -> dict[str, Any]:
    """Returns values of JSON, as docs/json.md has them for `data`; none of families of functions.

    Counts of classes are there where tasks are classes, those of groups where each group is a task.
    """
    if isinstance(family, GroupFamily):
        return _of_groups(family)
    if isinstance(family, GenerationFamily):
        family = family.classes
    return _of_classes(family) if isinstance(family, ClassFamily) else {}


def _of_groups(family: GroupFamily) -> dict[str, Any]:
    store = family.store
    assert store.values is not None
    sizes = np.array([len(rows) for rows in store.examples_of])
    fmt = family.input_format
    return {
        "examples": len(store),
        "groups": len(store.classes),
        "rows_per_group": {
            "min": int(sizes.min()),
            "median": float(np.median(sizes)),
            "max": int(sizes.max()),
        },
        "first_groups": [info.name for info in store.classes[:NAMES_SHOWN]],
        "target": {
            "min": store.values.amin(0).tolist(),
            "max": store.values.amax(0).tolist(),
            "mean": list(fmt.target_mean),
            "deviation": list(fmt.target_deviation),
        },
        "published_split": any(info.part is not None for info in store.classes),
        "parts": {
            part: {
                "groups": len(members),
                "examples": int(sizes[members].sum()),
                "largest_shots": int(sizes[members].max(initial=1)) - 1,
            }
            for part, members in family.parts.items()
        },
    }


def _of_classes(family: ClassFamily) -> dict[str, Any]:
    store = family.store
    sizes = np.array([len(examples) for examples in store.examples_of])
    groups = {info.group for info in store.classes} - {""}
    parts: dict[str, dict[str, Any]] = {
        part: {
            "classes": len(members),
            "examples": int(sizes[members].sum()),
            "largest_ways": {f"{shots}-shot": family.largest_ways(part, shots) for shots in SHOTS},
        }
        for part, members in family.parts.items()
    }
    evaluated = [parts[part] for part in parts if part != "train"]
    return {
        "classes": len(store.classes),
        "examples": len(store),
        "examples_per_class": {
            "min": int(sizes.min()),
            "median": float(np.median(sizes)),
            "max": int(sizes.max()),
        },
        "groups": len(groups),
        "first_classes": [info.name for info in store.classes[:NAMES_SHOWN]],
        "published_split": any(info.part is not None for info in store.classes),
        "parts": parts,
        "largest_ways": {
            f"{shots}-shot": min(part["largest_ways"][f"{shots}-shot"] for part in evaluated)
            for shots in SHOTS
        },
    }
