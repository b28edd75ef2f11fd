"""Columns that tell the target alone: copies of it, what is only known afterwards, row numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metaloop.domains.tables.dealing import deal, strata
from metaloop.domains.tables.task import TableTask

_ROWS, _COLUMNS, _FOLDS, _LEAVES = 2000, 300, 3, 64
_FEWEST = 30
_TELLS, _NUMBER_TELLS = 0.995, 0.9  # of what can be gained over guessing


@dataclass(frozen=True)
class Leak:
    """A column that tells the target alone: `share` of what can be gained over guessing.

    `numbers_rows`: it is a row number, which is not learned from.
    """

    column: str
    target: str
    share: float
    numbers_rows: bool = False

    def told(self, remedy: str) -> str:
        """Returns what is to be said of it; `remedy` says how a column is left out."""
        gained = f"({100 * self.share:.1f} % of what can be gained)"
        if self.numbers_rows:
            return (
                f"the row number '{self.column}' tells '{self.target}' {gained}, so the order of "
                "the rows does; it is left out"
            )
        return (
            f"'{self.column}' alone tells '{self.target}' {gained}: is it a copy, or known only "
            f"afterwards? {remedy}"
        )


def leaking(task: TableTask, seed: int) -> list[Leak]:
    """Returns the columns that tell the target alone, by cross-validation.

    Looks at the rows that may be learned from, 2,000 of them and 300 columns at most. A column that
    numbers the rows is not learned from, but says how the file was made.
    """
    known = task.known
    if len(known) < _FEWEST:
        return []
    rows = np.sort(np.random.default_rng(seed).permutation(known)[:_ROWS])
    targets, classes = task.target.values[rows], len(task.classes)
    layers = strata(targets, classes)
    folds = deal(layers, np.arange(len(rows), dtype=np.uint64), _FOLDS, seed, "leaks")
    found = []
    for column in task.frame.schema[:_COLUMNS]:
        values = task.frame.values[column.name]
        if values.dtype == object:
            continue
        told = _told(values[rows].astype(np.float64), targets, folds, classes)
        if told >= _TELLS:
            found.append(Leak(column.name, task.target.name, told))
    for name, numbers in task.numbered.items():
        known_rows = rows[rows < len(numbers)]
        if len(known_rows) < len(rows) or numbers.dtype == object:
            continue
        told = _told(numbers[rows].astype(np.float64), targets, folds, classes)
        if told >= _NUMBER_TELLS:
            found.append(Leak(name, task.target.name, told, numbers_rows=True))
    return found


def _told(values: np.ndarray, targets: np.ndarray, folds: np.ndarray, classes: int) -> float:
    """The share of what can be gained that a small tree on one column has on unseen rows."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor  # lazy: a second

    make = DecisionTreeClassifier if classes else DecisionTreeRegressor
    column = np.nan_to_num(values, nan=-1e30, posinf=1e30, neginf=-1e30)[:, None]
    column = np.clip(column, -1e30, 1e30)
    found = np.empty(len(targets), np.float64)
    for fold in range(_FOLDS):
        inside = folds == fold
        if not inside.any() or inside.all():
            return 0.0
        tree = make(max_leaf_nodes=max(_LEAVES, 2 * classes), random_state=0)
        found[inside] = tree.fit(column[~inside], targets[~inside]).predict(column[inside])
    if not classes:
        spread = float(np.var(targets))
        return float(1 - np.mean((found - targets) ** 2) / spread) if spread else 0.0
    right = found == targets
    rates = [float(right[targets == c].mean()) for c in np.unique(targets)]
    if len(rates) < 2:
        return 0.0
    guessed = 1 / len(rates)
    return (float(np.mean(rates)) - guessed) / (1 - guessed)
