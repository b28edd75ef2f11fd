"""Items that users rate, as inputs: named, and seen as what a model knows of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from metaloop.core.errors import InputError
from metaloop.core.fitted_view import FittedView
from metaloop.domains.ratings.known import KnownItems

_EXPECTED = "expected a list, array or column of items, by the names that the ratings had"


@dataclass(frozen=True, eq=False)
class ItemRows:
    """Places of items in a model's table; a slice is a tensor `[n, columns]`."""

    places: Tensor
    table: Tensor

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, rows: slice) -> Tensor:
        return self.table[self.places[rows]]


def items_of(view: FittedView) -> KnownItems:
    """Returns the items that a model of ratings knows."""
    return KnownItems.of(view.assets)


def read_items(X: Any, view: FittedView) -> ItemRows:
    """Returns `X`, names of items (texts or whole numbers), as rows of the model's table.

    Items that the model does not know are the usual item. Raises `InputError` for anything else.
    """
    if isinstance(X, str | bytes):
        raise InputError(f"X is one item ({X[:40]!r}); {_EXPECTED}: [X]")
    if isinstance(X, Iterator):
        raise InputError(f"X is a {type(X).__name__}, which can be read only once; give a list")
    values = X if isinstance(X, Sequence) else np.asarray(X, dtype=object)
    if isinstance(values, np.ndarray):
        if values.ndim == 2 and values.shape[1] == 1:  # a frame of one column
            values = values[:, 0]
        if values.ndim != 1:
            raise InputError(f"the model takes items: {_EXPECTED}, got X as {list(values.shape)}")
        values = values.tolist()
    if not len(values):
        raise InputError(f"X has no examples; {_EXPECTED}")
    known = items_of(view)
    names = [_name(row, each) for row, each in enumerate(values)]
    return ItemRows(known.places(names), known.table)


def _name(row: int, value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    number = isinstance(value, int | float | np.integer | np.floating)
    if number and not isinstance(value, bool) and float(value).is_integer():
        return str(int(value))
    raise InputError(
        f"the model takes items: X[{row}] is a {type(value).__name__} ({value!r:.40}); {_EXPECTED}"
    )
