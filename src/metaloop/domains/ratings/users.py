"""What is known of users beside their ratings, as numbers: how a table says it, and one user.

A column of text is flags, one of numbers is standardised, as `attributes.py` has it for items, but
all of it is fitted on training users: which flags there are, scales, and which columns follow what
a user rates. A model keeps how to read a user, and of no user what she is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metaloop.core.columns import Texts
from metaloop.core.errors import DataError, ModelFileError
from metaloop.domains.ratings.attributes import (
    as_names,
    leaks,
    listed_in,
    places_of,
    scale_of,
    scaled,
    shared_names,
)
from metaloop.tasks.readers.tables import Table

MOST_ABOUT = 64  # numbers of a user: each item has a system of linear equations as large
ASSETS: dict[str, tuple[tuple[int, ...], torch.dtype]] = {
    "about": ((-1,), torch.uint8),
    "about_ends": ((-1,), torch.int64),
    "flags": ((-1,), torch.uint8),
    "flag_ends": ((-1,), torch.int64),
    "scales": ((-1, 3), torch.float64),
}

_About = tuple[str, str, tuple[bool, float, float]]  # column, flag, scale


@dataclass(frozen=True, eq=False)
class KnownUsers:
    """How a user is read: of each of A numbers its column, and the flag; "" where it is a number.

    `scales` float64 `[A, 3]`: of numbers whether their logarithm counts, its mean and deviation.
    """

    about: tuple[str, ...]
    flags: tuple[str, ...]
    scales: Tensor

    @staticmethod
    def of(assets: Mapping[str, Tensor]) -> KnownUsers:
        """Returns how users are read by the assets of a view."""
        about, flags = _texts(assets)
        return KnownUsers(about.all(), flags.all(), assets["scales"])

    def to_assets(self) -> dict[str, Tensor]:
        """Returns it as tensors by name; see `of`."""
        about, flags = Texts.of(self.about), Texts.of(self.flags)
        return {
            "about": about.utf8,
            "about_ends": about.ends,
            "flags": flags.utf8,
            "flag_ends": flags.ends,
            "scales": self.scales,
        }

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that say something, each once."""
        return tuple(dict.fromkeys(self.about))

    def read(self, where: str, cells: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns the users in columns of equal length as numbers `[n, A]`, float32.

        Names of columns may differ in case; what is not there is unknown. Raises `DataError` for
        text where numbers are expected.
        """
        there = {name.casefold(): values for name, values in cells.items()}
        number = len(next(iter(cells.values()))) if cells else 0
        found = np.zeros((number, len(self.about)), np.float32)
        listed: dict[str, list[set[str]]] = {}
        for place, (name, flag) in enumerate(zip(self.about, self.flags, strict=True)):
            values = there.get(name.casefold())
            if values is None:
                continue
            if flag and name not in listed:
                listed[name] = listed_in(as_names(values))
            if flag:
                found[:, place] = [flag in names for names in listed[name]]
                continue
            wide, mean, deviation = self.scales[place].tolist()
            found[:, place] = scaled(_as_numbers(where, name, values), bool(wide), mean, deviation)
        return found


def said_of_one(
    where: str, users: KnownUsers, cells: Mapping[str, Sequence[Any] | np.ndarray]
) -> dict[str, str]:
    """Returns what is said, in columns that count, of the one user whom all rows are about.

    Cells may be empty, those that are not have to agree: raises `DataError`.
    """
    known: dict[str, str] = {}
    for name in users.columns:
        given = next((v for n, v in cells.items() if n.casefold() == name.casefold()), ())
        said = list(dict.fromkeys(filter(None, map(_said, given))))
        if len(said) > 1:
            raise DataError(
                f"{where}: its rows are of one user, and '{name}' is {said[0][:40]!r} and "
                f"{said[1][:40]!r}; give her the same in every row"
            )
        if said:
            known[name] = said[0]
    return known


def known_users(
    table: Table,
    key: str,
    users: Sequence[str],
    of_train: np.ndarray,
    mean: np.ndarray,
    count: np.ndarray,
) -> tuple[KnownUsers, np.ndarray, tuple[str, ...]]:
    """Returns how users are read, the numbers of these `[users, A]`, and what is to be said.

    `key` is the column that names them; those whom the table does not have are unknown, all 0.
    `of_train` bool `[users]` says by whom all is fitted; `mean`, `count` `[users]` of their ratings
    find columns that leak.
    """
    place = places_of(table, key, users)
    named = (place >= 0).sum()
    told = [f"users are known from '{table.name}' by '{key}': {named:,} of {len(users):,}"]
    fitting = (place >= 0) & of_train
    numbers, following = _numbers(table, key, place, fitting, mean, count)
    flags, of_one = _flags(table, key, place[fitting])
    kept = [*numbers, *flags][:MOST_ABOUT]
    if following:
        told.append(_left_out(following, "follow what users rate, and would tell it"))
    if of_one:
        told.append(_left_out(of_one, "hold texts that hardly any two users share"))
    if len(kept) < len(numbers) + len(flags):
        told.append(f"of users {MOST_ABOUT} numbers are used: flags that fewer have are left out")
    scales = torch.tensor([each[2] for each in kept], dtype=torch.float64).reshape(-1, 3)
    known = KnownUsers(tuple(e[0] for e in kept), tuple(e[1] for e in kept), scales)
    told.append(f"of users is used: {', '.join(known.columns) or 'nothing'}")
    return known, about_users(known, table, place), tuple(told)


def _numbers(
    table: Table,
    key: str,
    place: np.ndarray,
    fitting: np.ndarray,
    mean: np.ndarray,
    count: np.ndarray,
) -> tuple[list[_About], list[str]]:
    """The columns of numbers that training users differ in, and those that leak."""
    kept: list[_About] = []
    following = []
    for name in table.columns:
        if name == key or table.is_text(name):
            continue
        raw = np.where(fitting, table.columns[name].astype(np.float64)[place], np.nan)
        scale = scale_of(raw)
        seen = scaled(raw, *scale)
        if leaks(seen, np.where(fitting, place, -1), mean, count):
            following.append(name)
        elif np.ptp(seen[fitting]) > 0 if fitting.any() else False:
            kept.append((name, "", scale))
    return kept, following


def _flags(table: Table, key: str, rows: np.ndarray) -> tuple[list[_About], list[str]]:
    """The names in columns of text, the most frequent first, and columns that share too few.

    What all or none of the training users, who are in these `rows`, have tells nothing.
    """
    found: list[tuple[int, _About]] = []
    of_one = []
    for name, values in table.columns.items():
        if name == key or not table.is_text(name):
            continue
        listed = listed_in(values[rows])
        shared = shared_names(listed)
        of_one += [] if shared else [name]
        for flag in shared:
            number = sum(flag in names for names in listed)
            if number < len(rows):
                found.append((number, (name, flag, (False, 0.0, 1.0))))
    found.sort(key=lambda each: -each[0])
    return [about for _, about in found], of_one


def about_users(known: KnownUsers, table: Table, place: np.ndarray) -> np.ndarray:
    """Returns the numbers `[n, A]` of users in these rows of a table; 0 where `place` is -1."""
    found = known.read(f"table '{table.name}'", table.columns)
    of_each: np.ndarray = found[place]
    of_each[place < 0] = 0
    return of_each


def check(assets: Mapping[str, Tensor], num_items: int) -> None:
    """Raises `ModelFileError` unless what a file has of users fits together, and its items."""
    scales, number = assets["scales"], len(assets["scales"])
    fits = (
        all(each.is_sound for each in _texts(assets))
        and len(assets["about_ends"]) == len(assets["flag_ends"]) == number
        and tuple(assets["leanings"].shape) == (num_items + 1, number)
        and tuple(assets["user"].shape) == (number,)
        and 0 < number <= MOST_ABOUT
        and bool((scales[:, 2] > 0).all() and ((scales[:, 0] == 0) | (scales[:, 0] == 1)).all())
    )
    if not fits:
        raise ModelFileError("the model file is damaged: what it knows of users does not fit")


def _texts(assets: Mapping[str, Tensor]) -> tuple[Texts, Texts]:
    """Columns and flags of the assets of a view."""
    return (
        Texts(assets["about"], assets["about_ends"]),
        Texts(assets["flags"], assets["flag_ends"]),
    )


def _as_numbers(where: str, name: str, values: np.ndarray) -> np.ndarray:
    if values.dtype != object:
        return values.astype(np.float64)
    found = np.full(len(values), np.nan)
    for row, each in enumerate(values.tolist()):
        try:
            found[row] = float(each) if str(each).strip() else np.nan
        except ValueError:
            raise DataError(
                f"{where}: '{name}' of a user is a number, got {str(each)[:40]!r}; mend it"
            ) from None
    return found


def _said(cell: Any) -> str:
    """A cell as text, the same for 25 and 25.0; "" where it is empty; a list as one is written."""
    if isinstance(cell, list | tuple | set):
        return ", ".join(map(str, cell))
    if isinstance(cell, float | np.floating):
        whole = np.isfinite(cell) and float(cell).is_integer()
        return str(int(cell)) if whole else "" if np.isnan(cell) else str(float(cell))
    return "" if cell is None else str(cell).strip()


def _left_out(names: Sequence[str], why: str) -> str:
    return f"left out of the users: {', '.join(map(repr, names))} {why}"
