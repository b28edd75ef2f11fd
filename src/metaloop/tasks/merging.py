"""Several families as one to learn from: the classes of others join a family's training part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from metaloop.core.errors import DataError
from metaloop.tasks.duplicates import content_hashes
from metaloop.tasks.family import ClassFamily
from metaloop.tasks.store import LeftOut, Store


def merge(
    base: ClassFamily, others: Sequence[ClassFamily]
) -> tuple[ClassFamily, tuple[LeftOut, ...]]:
    """Returns `base` with the training classes of `others` behind its own, and what was left out.

    Only training classes of the others are used: their sealed parts stay sealed. Examples that
    `base` has as well, in any part, are left out. `DataError` if shapes differ.
    """
    known = set(content_hashes(base.store.inputs))
    inputs, targets, classes = [base.store.inputs], [base.store.targets], list(base.store.classes)
    added, dropped = [], 0
    for other in others:
        if other.store.inputs.shape[1:] != base.store.inputs.shape[1:]:
            raise DataError(
                f"{other.name}: inputs of shape {tuple(other.store.inputs.shape[1:])} cannot be "
                f"learned from for {base.name}, whose inputs have shape "
                f"{tuple(base.store.inputs.shape[1:])}; read both with the same --image-size"
            )
        for index in other.parts["train"]:
            members = other.store.examples_of[index]
            rows = other.store.inputs[torch.from_numpy(members)].to(base.store.inputs)
            fresh = np.array([key not in known for key in content_hashes(rows)], dtype=bool)
            dropped += int((~fresh).sum())
            if fresh.sum() < 2:
                continue
            inputs.append(rows[torch.from_numpy(fresh).to(rows.device)])
            targets.append(torch.full((int(fresh.sum()),), len(classes)).to(base.store.targets))
            info = other.store.classes[index]
            added.append(len(classes))
            classes.append(replace(info, name=f"{other.name} | {info.name}", part=None))
    store = Store(torch.cat(inputs), torch.cat(targets), tuple(classes), base.store.polarity)
    parts = dict(base.parts)
    parts["train"] = np.concatenate([parts["train"], np.array(added, dtype=np.int64)])
    family = ClassFamily(base.name, store, parts, base.input_format)
    if not dropped:
        return family, ()
    return family, (LeftOut("examples", "also in the data to be learned for", dropped),)
