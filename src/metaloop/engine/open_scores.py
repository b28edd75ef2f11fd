"""Figures of open episodes: how well evidence tells a task's classes from others.

    auroc    how often a query of the task has more evidence than one of another class, in a task
    recall   share of the task's queries that are accepted at one threshold for all tasks, the one
             at which so many of the others are accepted; `recognised`: and told rightly

The threshold of recall depends on the same episodes; its intervals know that (the delta method):

    recall = mean_t [ r_t - slope * (a_t - rate) ]      r_t, a_t: accepted of the task's, of others

with `slope` that of recall over false alarms there. Shapes: see `open_set.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metaloop.core.statistics import EpisodeScores
from metaloop.engine.open_set import OpenEpisodes

_WINDOW = 0.5  # of the rate: how far to both sides the slope is measured


@dataclass(frozen=True, eq=False)
class OpenTable:
    """What of every episode's queries belongs together: `there` bool `[T, N]`."""

    asked: OpenEpisodes

    @property
    def there(self) -> np.ndarray:
        """Which queries are there, bool `[T, N]`."""
        return self.asked.episodes.query.mask

    def auroc(self, evidence: np.ndarray) -> EpisodeScores:
        """Returns the area under each episode's ROC curve; a tie is half."""
        inside, number = self.asked.inside, self.asked.units.shape[1]
        values = np.empty(len(evidence))
        shares = np.full(evidence.shape, np.nan)
        for task, row in enumerate(evidence):
            own, other = (np.flatnonzero(self.there[task] & side) for side in (inside, ~inside))
            wins = np.sign(row[own][:, None] - row[other][None]) / 2 + 0.5
            values[task] = wins.mean()
            shares[task, own], shares[task, other] = wins.mean(1), wins.mean(0)
        return self._scores(values, self._of_units(shares), number)

    def recall(self, evidence: np.ndarray, counted: np.ndarray, rate: float) -> EpisodeScores:
        """Returns the share of the task's queries that are `counted` at a rate of false alarms."""
        inside = self.asked.inside
        others = evidence[:, ~inside][self.there[:, ~inside]]
        at, lower, upper = (
            np.quantile(others, 1 - share)
            for share in (rate, rate * (1 - _WINDOW), rate * (1 + _WINDOW))
        )
        own = self.there & inside

        def share(threshold: float) -> float:
            return float(((evidence > threshold) & counted)[own].mean())

        slope = max(0.0, (share(upper) - share(lower)) / (2 * _WINDOW * rate))
        return self.accepted(evidence, counted, at, slope, rate)

    def accepted(
        self,
        evidence: np.ndarray,
        counted: np.ndarray,
        threshold: float,
        slope: float = 0.0,
        rate: float = 0.0,
    ) -> EpisodeScores:
        """Returns the share of the task's queries that are `counted` above a threshold."""
        inside = self.asked.inside
        hits = ((evidence > threshold) & np.where(inside, counted, True)).astype(float)
        values = self._mean(hits, inside) - slope * (self._mean(hits, ~inside) - rate)
        level = float(values.mean())
        per_unit = self._of_units(np.where(self.there, hits, np.nan))
        ways = self.asked.episodes.num_classes
        per_unit[:, ways:] = level - slope * (per_unit[:, ways:] - rate)
        return self._scores(values, per_unit, per_unit.shape[1])

    def false_alarms(self, evidence: np.ndarray, threshold: float) -> EpisodeScores:
        """Returns the share of other classes' queries that are accepted at a threshold."""
        hits = (evidence > threshold).astype(float)
        values = self._mean(hits, ~self.asked.inside)
        per_unit = self._of_units(np.where(self.there, hits, np.nan))
        ways = self.asked.episodes.num_classes
        units = self.asked.units.copy()
        units[:, :ways] = -1
        per_unit[:, :ways] = np.nan
        return EpisodeScores(values, per_unit, units)

    def _scores(self, values: np.ndarray, per_unit: np.ndarray, number: int) -> EpisodeScores:
        """What a unit does to the mean: a class of W counts for 1 / W, in shares of 1 / U."""
        ways, level = self.asked.episodes.num_classes, float(values.mean())
        weight = np.where(np.arange(number) < ways, number / ways, number / (number - ways))
        return EpisodeScores(values, level + weight * (per_unit - level), self.asked.units)

    def _of_units(self, shares: np.ndarray) -> np.ndarray:
        """Returns the mean over the queries of each unit `[T, U]`, not a number without any."""
        number = self.asked.units.shape[1]
        rows = (self.asked.classes[:, None] == np.arange(number)).astype(float)
        known = (~np.isnan(shares)).astype(float)  # counted: a product of truths would be a truth
        with np.errstate(invalid="ignore"):
            found: np.ndarray = (np.nan_to_num(shares) @ rows) / (known @ rows)
        return found

    def _mean(self, hits: np.ndarray, side: np.ndarray) -> np.ndarray:
        there = self.there & side
        mean: np.ndarray = (hits * there).sum(1) / there.sum(1)
        return mean
