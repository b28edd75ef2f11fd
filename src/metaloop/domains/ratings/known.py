"""The items that a model knows: their names, titles and table, as the assets of a view.

names, titles   UTF-8 and where each ends, as `Texts` has it; titles are what people read
table           float32 `[items + 1, columns]`, the last row is that of an unknown item
rated           int64 `[items]`, by how many training users

Where something is known of users there are besides, for A numbers of each (`users.py`):

about, flags, scales    how a user is read
leanings                float32 `[items + 1, A]`, what they say of an item (`leaning.py`)
user                    float32 `[A]`, the user of this view: 0 in a learner, for it knows no one
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from metaloop.core.columns import Texts
from metaloop.core.errors import ModelFileError
from metaloop.core.fitted_view import FittedView
from metaloop.domains.ratings import users as of_users

KIND = "items"  # what raw inputs are, and the view that sees them
FOR_USERS = "items_for_users"  # the view that sees them as users like the one who asks do
_ANY = -1
_ALIKE = 1e-5  # apart: sums of the same numbers round otherwise
EXPECTED: dict[str, tuple[tuple[int, ...], torch.dtype]] = {
    "names": ((_ANY,), torch.uint8),
    "name_ends": ((_ANY,), torch.int64),
    "titles": ((_ANY,), torch.uint8),
    "title_ends": ((_ANY,), torch.int64),
    "table": ((_ANY, _ANY), torch.float32),
    "rated": ((_ANY,), torch.int64),
}
EXPECTED_FOR_USERS = {
    **EXPECTED,
    **of_users.ASSETS,
    "leanings": ((_ANY, _ANY), torch.float32),
    "user": ((_ANY,), torch.float32),
}


@dataclass(frozen=True, eq=False)
class KnownItems:
    """Items by their names; `titles` are empty where nothing but the name is known.

    `table` is as the user of the view sees it: where something is known of users, a first column
    has the items' means among users like her.
    """

    names: tuple[str, ...]
    titles: tuple[str, ...]
    table: Tensor
    rated: Tensor

    @staticmethod
    def of(assets: Mapping[str, Tensor]) -> KnownItems:
        """Returns the items in the assets of a view."""
        names, titles = _texts(assets)
        table = assets["table"]
        if "leanings" in assets:
            table = for_users_like(table, assets["leanings"] @ assets["user"])
        return KnownItems(names.all(), titles.all(), table, assets["rated"])

    def to_assets(self) -> dict[str, Tensor]:
        """Returns the items as tensors by name; see `of`."""
        names, titles = Texts.of(self.names), Texts.of(self.titles)
        return {
            "names": names.utf8,
            "name_ends": names.ends,
            "titles": titles.utf8,
            "title_ends": titles.ends,
            "table": self.table,
            "rated": self.rated,
        }

    @cached_property
    def heard_of(self) -> Tensor:
        """Of which rows of the table something is known, bool `[items + 1]`: ratings or features.

        An item that none of the training users has rated is else the usual item, under a name.
        """
        told = ((self.table - self.table[-1]).abs() > _ALIKE).any(1)
        told[:-1] |= self.rated > 0
        return told

    @cached_property
    def place_of(self) -> dict[str, int]:
        """The place of each name."""
        return {name: place for place, name in enumerate(self.names)}

    def places(self, names: Sequence[str]) -> Tensor:
        """Returns the rows of the table for these names, int64: the last one for unknown ones.

        What is no name may be a title, whatever its case.
        """
        unknown, place_of = len(self.names), self.place_of
        found = [place_of.get(name, unknown) for name in names]
        for row, place in enumerate(found):
            if place == unknown:
                found[row] = self._place_of_title.get(names[row].casefold(), unknown)
        return torch.tensor(found, dtype=torch.int64)

    def called(self, names: Sequence[str]) -> list[str]:
        """Returns the names by which the model knows items that are named or titled so.

        Unknown ones stay as they are.
        """
        unknown = len(self.names)
        pairs = zip(self.places(names).tolist(), names, strict=True)
        return [name if place == unknown else self.names[place] for place, name in pairs]

    @cached_property
    def _place_of_title(self) -> dict[str, int]:
        return {title.casefold(): place for place, title in enumerate(self.titles) if title}

    def shown(self, place: int) -> str:
        """Returns what people call the item at a place."""
        return self.titles[place] or self.names[place]


def for_users_like(rows: Tensor, moved: Tensor) -> Tensor:
    """Returns rows of a table `[n, columns + 1]`: in front their mean, moved by so much `[n]`."""
    return torch.cat([(rows[:, 0] + moved)[:, None], rows], 1)


def with_user(view: FittedView, user: Tensor) -> FittedView:
    """Returns a view of items as a user `[A]` sees them."""
    return replace(view, assets={**view.assets, "user": user})


def see(assets: Mapping[str, Tensor], names: Any, num_features: int) -> Tensor:
    """Returns the rows `[N, columns]` of items by their names."""
    known = KnownItems.of(assets)
    return known.table[known.places(names)]


def check(assets: Mapping[str, Tensor], num_features: int) -> None:
    """Raises `ModelFileError` unless names, titles and table of a file fit each other."""
    number = len(assets["name_ends"])
    width = num_features - 1 if "leanings" in assets else num_features
    fits = (
        tuple(assets["table"].shape) == (number + 1, width)
        and len(assets["title_ends"]) == len(assets["rated"]) == number
        and bool((assets["rated"] >= 0).all())
        and all(each.is_sound for each in _texts(assets))
    )
    if not fits:
        raise ModelFileError("the model file is damaged: the items that it knows do not fit")
    if "leanings" in assets:
        of_users.check(assets, number)
    if len(KnownItems.of(assets).place_of) != number:
        raise ModelFileError("the model file is damaged: two of its items have one name")


def _texts(assets: Mapping[str, Tensor]) -> tuple[Texts, Texts]:
    """Names and titles of the assets of a view."""
    return (
        Texts(assets["names"], assets["name_ends"]),
        Texts(assets["titles"], assets["title_ends"]),
    )
