"""What is known of users beside their ratings: fitted on those of `train`, used on whoever comes.

A learner sees it at items, in the mean of each among users like her (`domains/ratings/leaning.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from metaloop.core.errors import DataError
from metaloop.core.fitted_view import FittedView
from metaloop.core.randomness import numpy_stream
from metaloop.domains.ratings.attributes import key_of, places_of
from metaloop.domains.ratings.items import Ratings
from metaloop.domains.ratings.leaning import cross_fitted_leanings, moved
from metaloop.domains.ratings.users import KnownUsers, about_users, known_users
from metaloop.tasks.readers.about_files import read_about
from metaloop.tasks.store import Store

_UNKNOWN = 0.1  # of training users are seen as if nothing were known: later some will be (LOG.md)


@dataclass(frozen=True, eq=False)
class FittedUsers:
    """Assets of a view, how far the mean of each rating's item moves `[N]`, and what is to be said.

    `assets` are empty where a table says nothing of use.
    """

    assets: dict[str, Tensor]
    moved: Tensor
    told: tuple[str, ...]


def fitted_users(
    store: Store,
    users: str | Path,
    items: Sequence[str],
    ratings: Ratings,
    train: np.ndarray,
    fold_U: np.ndarray,
    tables: np.ndarray,
) -> FittedUsers:
    """Returns what a table says of the users of a store, by what those of `train` rate.

    `fold_U`, `tables`: whose table of items each user sees (`cross_fitted`). Raises `DataError` for
    a table that does not name the users.
    """
    table = read_about(users)
    names = [one.name for one in store.classes]
    key = key_of(table, "users", names, "items", items)
    of_train = np.isin(np.arange(len(names)), train)
    hers = ratings.of(of_train[ratings.users])
    count = np.bincount(hers.users, minlength=len(names))
    mean = np.bincount(hers.users, hers.values, len(names)) / np.maximum(count, 1)
    known, about, told = known_users(table, key, names, of_train, mean, count)
    if not known.about:
        return FittedUsers({}, torch.zeros(0), told)
    leanings, found = cross_fitted_leanings(ratings, fold_U, tables, about)
    unseen = numpy_stream(0, "users seen as unknown").permutation(train)
    found[np.isin(ratings.users, unseen[: int(_UNKNOWN * len(train))])] = 0.0
    assets = known.to_assets()
    assets["leanings"] = torch.from_numpy(leanings.astype(np.float32))
    assets["user"] = torch.zeros(len(known.about))
    return FittedUsers(assets, torch.from_numpy(found.astype(np.float32)), told)


def for_model(
    store: Store,
    view: FittedView,
    users: str | Path | None,
    items: Sequence[str],
    places: Tensor,
) -> tuple[Tensor, Tensor | None, tuple[str, ...]]:
    """Returns a model's table of items, how far the means of these `places` move, what to say.

    None does where the model knows nothing of users. Raises `DataError` if there is a table of
    `users` all the same, or if it does not name those of the store.
    """
    table = view.assets["table"]
    if "leanings" not in view.assets:
        if users is not None:
            raise DataError("the model was trained without --users, and takes none; leave it away")
        return table, None, ()
    if users is None:
        said = "nothing is known of the users: --users FILE, as in training, would say more"
        return table, torch.zeros(len(places)), (said,)
    described, names = read_about(users), [one.name for one in store.classes]
    key = key_of(described, "users", names, "items", items)
    place = places_of(described, key, names)
    about = about_users(KnownUsers.of(view.assets), described, place)
    asked = Ratings(store.targets.numpy(), places.numpy(), np.zeros(len(places)), len(table) - 1)
    found = moved(view.assets["leanings"].numpy(), about, asked)
    told = f"users are known from '{described.name}' by '{key}': {(place >= 0).sum():,} of "
    return table, torch.from_numpy(found.astype(np.float32)), (f"{told}{len(names):,}",)
