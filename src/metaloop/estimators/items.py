"""Items that users rate, as inputs: named, and seen as what a model knows of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metaloop.core.errors import DataError, InputError
from metaloop.core.fitted_view import FittedView
from metaloop.domains.ratings.known import KnownItems, with_user
from metaloop.domains.ratings.users import KnownUsers, said_of_one
from metaloop.estimators.one_column import SHOWN, one_column
from metaloop.models import Model

_EXPECTED = "expected a list, array or column of items, by the names that the ratings had"


@dataclass(frozen=True, eq=False)
class ItemRows:
    """Rows of a model's table `[n, columns]`, one for each item; a slice is such a tensor.

    `names`: how the model calls each; of what it does not know, how it was called.
    """

    rows: Tensor
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice) -> Tensor:
        return self.rows[rows]


def last_of_each(items: Sequence[str]) -> list[int]:
    """Returns the places of the last rating of each of these items, in order.

    As in training (`tasks/readers/last_ratings.py`), where no times are known.
    """
    return sorted({item: place for place, item in enumerate(items)}.values())


def items_of(view: FittedView) -> KnownItems:
    """Returns the items that a model of ratings knows."""
    return KnownItems.of(view.assets)


def users_of(model: Model | None) -> KnownUsers | None:
    """Returns how a model reads users; None of one that knows nothing of them."""
    view = None if model is None else model.view
    return None if view is None or "leanings" not in view.assets else KnownUsers.of(view.assets)


def for_user(model: Model, user: Any) -> Model:
    """Returns the model as a user sees items, of whom columns of the users' table are given.

    None is a user of whom nothing is known. Raises `InputError` for columns that the model does not
    have, and for cells that are none.
    """
    if user is not None and not isinstance(user, Mapping):
        raise InputError(
            f"user is a dictionary of what is known of her, got a {type(user).__name__}"
        )
    users = users_of(model)
    if users is None or model.view is None:
        if user is not None:
            raise InputError("the model knows nothing of users; leave user away")
        return model
    known = {name.casefold() for name in users.columns}
    if strange := [str(name) for name in user or {} if str(name).casefold() not in known]:
        raise InputError(
            f"of a user the model knows {', '.join(users.columns)}; got {strange[0]!r:.60}"
        )
    try:
        said = said_of_one("user", users, {str(n): [each] for n, each in (user or {}).items()})
        cells = {name: np.array([each], object) for name, each in said.items()}
        about = users.read("user", cells)[0] if cells else np.zeros(len(users.about), np.float32)
    except DataError as error:
        raise InputError(str(error)) from error
    return replace(model, view=with_user(model.view, torch.from_numpy(about)))


def read_items(X: Any, view: FittedView) -> ItemRows:
    """Returns `X`, names of items (texts or whole numbers), as rows of the model's table.

    Items that the model does not know are the usual item. Raises `InputError` for anything else.
    """
    values = one_column(X, "item", _EXPECTED)
    known = items_of(view)
    names = known.called([_name(row, each) for row, each in enumerate(values)])
    return ItemRows(known.table[known.places(names)], tuple(names))


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
