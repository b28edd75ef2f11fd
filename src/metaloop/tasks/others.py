"""Items that a user has not had, drawn into her queries: events alone say nothing of them.

They are further rows behind a store's own: every row of its table of items, with target 0. So an
episode stays a list of places in one store.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch

from metaloop.core.columns import Lookup
from metaloop.tasks.episodes import Episodes, Indices
from metaloop.tasks.store import Store

NUM_OTHERS = 100  # items of a task that the user has not had; a few of them may be drawn twice


@dataclass(frozen=True, eq=False)
class OtherItems:
    """A store of events, all items behind them; `had` are the pairs of user and item, sorted.

    `per_table`: rows of a table of items, of which the store's has several; the last row of each is
    that of an unknown item and is not drawn.
    """

    store: Store
    num_events: int
    per_table: int
    had: np.ndarray

    @staticmethod
    def of(store: Store, per_table: int) -> OtherItems:
        """Returns the items of a store of events, whose inputs are places in tables."""
        lookup = cast(Lookup, store.inputs)
        assert store.values is not None
        rows = len(lookup.table)
        index = torch.cat([lookup.index, torch.arange(rows).to(lookup.index)])
        everything = replace(
            store,
            inputs=Lookup(lookup.table, index),
            targets=torch.cat([store.targets, store.targets.new_zeros(rows)]),
            values=torch.cat([store.values, store.values.new_zeros(rows, 1)]),
            identity=store.digest,
        )
        users, items = store.targets.cpu().numpy(), lookup.index.cpu().numpy() % per_table
        return OtherItems(everything, len(store), per_table, np.unique(users * per_table + items))

    def beside(self, episodes: Episodes, users_T: np.ndarray, rng: np.random.Generator) -> Episodes:
        """Returns the episodes of these users with others among the queries, in random order.

        Order says nothing then where a learner gives all the same. Items that she has had, and
        those drawn twice, are masked.
        """
        tasks, query = len(users_T), episodes.query
        lookup = cast(Lookup, self.store.inputs)
        drawn_TN = np.sort(rng.integers(0, self.per_table - 1, (tasks, NUM_OTHERS)), 1)
        wanted = users_T[:, None] * self.per_table + drawn_TN
        place = np.minimum(np.searchsorted(self.had, wanted), len(self.had) - 1)
        there_TN = self.had[place] != wanted
        there_TN[:, 1:] &= np.diff(drawn_TN, axis=1) > 0
        first = episodes.support.examples[:, 0]  # of users with one table all are in it
        table_T = lookup.index.cpu().numpy()[first] // self.per_table
        rows_TN = self.num_events + table_T[:, None] * self.per_table + drawn_TN
        rows = np.concatenate([query.examples, rows_TN], 1)
        mask = np.concatenate([query.mask, there_TN], 1)
        order = rng.permuted(np.broadcast_to(np.arange(rows.shape[1]), rows.shape), axis=1)
        rows, mask = (np.take_along_axis(each, order, 1) for each in (rows, mask))
        queries = Indices(np.where(mask, rows, 0), np.zeros_like(rows), mask)
        return Episodes(self.store, episodes.support, queries, 0, episodes.alike)
