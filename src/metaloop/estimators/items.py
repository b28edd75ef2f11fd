"""Items that users rate, as inputs: named, and seen as what a model knows of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from metaloop.core.errors import InputError
from metaloop.core.fitted_view import FittedView
from metaloop.domains.ratings.known import KnownItems
from metaloop.estimators.one_column import SHOWN, one_column

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
    values = one_column(X, "item", _EXPECTED)
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
        f"the model takes items: X[{row}] is a {type(value).__name__} ({value!r:.{SHOWN}}); "
        f"{_EXPECTED}"
    )
