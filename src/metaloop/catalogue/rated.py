"""Ratings as tasks: users are split, and only then is anything said of items, by `train` alone.

A user of `train` sees items by a table that other users made (`domains/ratings/items.py`), all
others, and whoever comes later, by the table of the whole part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import torch

from metaloop.catalogue.rated_users import fitted_users, for_model
from metaloop.core.columns import Beside, Column, Lookup, Texts, take
from metaloop.core.errors import DataError
from metaloop.core.fitted_view import FittedView
from metaloop.core.inputs import InputFormat
from metaloop.core.ranking import RANKING
from metaloop.core.records import Choice
from metaloop.domains.ratings import events
from metaloop.domains.ratings import items as of_ratings
from metaloop.domains.ratings.attributes import (
    Attributes,
    attributes_of,
    no_attributes,
    with_new_items,
)
from metaloop.domains.ratings.items import Ratings, columns_of, cross_fitted
from metaloop.domains.ratings.known import FOR_USERS, KIND, KnownItems
from metaloop.tasks.groups import GroupFamily
from metaloop.tasks.readers.about_files import read_about
from metaloop.tasks.readers.tables import Table
from metaloop.tasks.store import Store


def with_items(
    family: GroupFamily,
    view: FittedView | None,
    items: str | Path | None = None,
    users: str | Path | None = None,
) -> tuple[GroupFamily, tuple[str, ...]]:
    """Returns a family of ratings with its items seen as numbers, and what to say of that.

    `view` is a model's; None: one is fitted. `items` is a table of what is known of items, `users`
    one of what is known of users. Raises `DataError` if these are others than those of the ratings,
    or if a model already knows its own items.
    """
    if users is not None and family.objective == RANKING.name:
        raise DataError(
            f"{family.name} is of events, and what is known of users is used with ratings; leave "
            "--users away"
        )
    if view is None:
        return _fitted(family, items, users)
    if items is not None:
        raise DataError("the model knows its items already; leave --items away")
    names, index = _items(family.store)
    known = KnownItems.of(view.assets)
    places = known.places(names)
    unknown = int((~known.heard_of[places]).sum())
    told = (f"{unknown:,} of {len(names):,} items are unknown to the model",) if unknown else ()
    place = places[index]
    table, moved, said = for_model(family.store, view, users, names, place)
    return _seen(family, view, _rows(table, place, moved)), (*told, *said)


def _fitted(
    family: GroupFamily, items: str | Path | None, users: str | Path | None
) -> tuple[GroupFamily, tuple[str, ...]]:
    store, train = family.store, family.parts["train"]
    names, index = _items(store)
    rated_names = names
    described, key = (None, "") if items is None else (read_about(items), "")
    if described is not None:
        people = [one.name for one in store.classes]
        names, key = with_new_items(described, names, people)
    assert store.values is not None
    user, place, values = store.targets.numpy(), index.numpy(), store.values[:, 0].numpy()
    of_train = np.isin(user, train)
    of_events = family.objective == RANKING.name
    mean, deviation, limits = (0.0, 1.0, ()) if of_events else _scale(values, of_train)
    ratings = Ratings(user, place, (values - mean) / deviation, len(names))
    told = no_attributes(names)
    if described is not None:
        told = _attributes(described, key, names, ratings.of(of_train))
    table_of = events.event_table if of_events else of_ratings.item_table
    tables, fold_of, dealt = cross_fitted(ratings, train, told.values, table_of=table_of)
    fold = np.full(len(store.classes), len(tables) - 1)
    fold[dealt] = fold_of
    rated = np.bincount(place[of_train], minlength=len(names))
    columns = columns_of(told.columns, (events if of_events else of_ratings).FACTORS)
    full = torch.from_numpy(tables[-1])
    known = KnownItems(names, told.titles, full, torch.from_numpy(rated.astype(np.int64)))
    assets, said, moved, kind = known.to_assets(), told.told, None, KIND
    if users is not None:
        of_users = fitted_users(store, users, rated_names, ratings, train, fold, tables)
        said = (*said, *of_users.told)
        if of_users.assets:
            assets, moved, kind = {**assets, **of_users.assets}, of_users.moved, FOR_USERS
            columns = ("mean", of_ratings.OF_ALL, *columns[1:])
    view = FittedView(Choice(kind, {"features": len(columns)}), assets)
    table = torch.from_numpy(tables.reshape(-1, tables.shape[-1]))
    inputs = _rows(table, torch.from_numpy(fold[user] * (len(names) + 1) + place), moved)
    spread = cast(torch.Tensor, take(inputs, torch.from_numpy(np.flatnonzero(of_train))))
    off = spread.std(0, correction=0)
    measured = InputFormat(
        "item",
        (len(columns),),
        tuple(spread.mean(0).tolist()),
        tuple(torch.where(off > 1e-8, off, 1.0).tolist()),
        target_mean=(mean,),
        target_deviation=(deviation,),
        columns=columns,
        target_range=limits,
    )
    family = replace(family, given_format=family.given_format or measured)
    return _seen(family, view, inputs), said


def _rows(table: torch.Tensor, places: torch.Tensor, moved: torch.Tensor | None) -> Column:
    """Ratings as rows of a table; `moved`: in front their item's mean, moved by so much `[N]`."""
    rows = Lookup(table, places)
    return rows if moved is None else Beside(((table[places, 0] + moved)[:, None], rows))


def _scale(values: np.ndarray, of_train: np.ndarray) -> tuple[float, float, tuple[float, float]]:
    """Mean and deviation of the ratings of `train`, and the range of all."""
    mean, deviation = float(values[of_train].mean()), float(values[of_train].std())
    deviation = deviation if deviation > 1e-12 else 1.0
    return mean, deviation, (float(values.min()), float(values.max()))


def _attributes(table: Table, key: str, names: Sequence[str], ratings: Ratings) -> Attributes:
    count = np.bincount(ratings.items, minlength=len(names))
    mean = np.bincount(ratings.items, ratings.values, len(names)) / np.maximum(count, 1)
    return attributes_of(table, key, names, mean, count)


def _seen(family: GroupFamily, view: FittedView, inputs: Column) -> GroupFamily:
    source = family.store
    store = replace(source, inputs=inputs, identity=source.digest)
    of_events = family.objective == RANKING.name
    number = len(view.assets["rated"]) if of_events else 0
    return replace(family, store=store, view=view, raw=source, num_items=number)


def _items(store: Store) -> tuple[tuple[str, ...], torch.Tensor]:
    """The names of the items, and which of them each rating is about."""
    lookup = cast(Lookup, store.inputs)
    names = cast(Texts, lookup.table)
    return names.all(), lookup.index
