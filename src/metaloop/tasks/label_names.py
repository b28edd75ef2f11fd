"""The name of a class as one more example of it: part of every support, never of the queries.

A text for a new intent comes with what the intent is called, and that is worth several examples
where there is one (docs/results.md). It is another protocol: figures with names are not comparable
with figures without, so the family is called `NAME, names shown`.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from metaloop.core.columns import Texts, behind
from metaloop.core.errors import DataError
from metaloop.tasks.family import ClassFamily
from metaloop.tasks.readers.names import as_text


def with_label_names(family: ClassFamily) -> ClassFamily:
    """Returns the family of texts with the name of every class behind its examples.

    Underscores of a name are spaces. Raises `DataError` for inputs that are no texts, and for a
    name without a letter: it says nothing.
    """
    store = family.store
    if not isinstance(store.inputs, Texts):
        raise DataError(
            f"names of classes are texts, and {family.name} has none; leave --use-label-names away"
        )
    names = [as_text(info.name) for info in store.classes]
    silent = [name for name in names if not any(letter.isalpha() for letter in name)]
    if silent:
        raise DataError(
            f"{family.name} has classes whose names say nothing, such as '{silent[0]}'; leave "
            "--use-label-names away"
        )
    classes = torch.arange(len(names)).to(store.targets)
    is_name = torch.zeros(len(store) + len(names), dtype=torch.bool)
    is_name[len(store) :] = True
    return replace(
        family,
        name=f"{family.name}, names shown",
        store=replace(
            store,
            inputs=behind([store.inputs, Texts.of(names)]),
            targets=torch.cat([store.targets, classes]),
            names=is_name,
        ),
    )
