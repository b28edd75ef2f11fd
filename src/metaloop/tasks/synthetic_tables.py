"""Synthetic tables: a family of small classification tables, to train in-context learners on.

A table is drawn in three steps. Causes: up to eight numbers a row, normal, uniform or in clusters.
A random net of one to three layers (each unit of a few others, with a function of its own and
noise) makes further numbers of them. Columns are units of any layer, some of them pure noise, cut
into a few values, or skewed; the target is another unit (or the least of several), cut at random
places, a decision tree of the columns, or the cluster that a row is of. Some labels are wrong.
The four parts are random streams of their own.

After Hollmann et al. 2023, arXiv:2207.01848 (structural causal models) and den Breejen et al. 2024,
arXiv:2405.13396 (trees), much simplified.

Shapes: R rows, Z causes, U units of a layer, F columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from metaloop.core.errors import EpisodeError
from metaloop.core.inputs import InputFormat
from metaloop.core.records import PARTS, Part
from metaloop.core.spec import TaskSpec
from metaloop.tasks.episodes import Episodes, Indices
from metaloop.tasks.family import TaskFamily
from metaloop.tasks.store import ClassInfo, Store

COLUMNS, MOST_CLASSES = 20, 10
_CAUSES, _UNITS = 8, 24
_FEWEST_ROWS = 3  # to learn from, for each class, in the smallest tables
_FAR = 10.0  # standard deviations

_FUNCTIONS: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    np.tanh,
    np.sin,
    np.abs,
    lambda x: np.maximum(x, 0.0),
    lambda x: x,
    lambda x: (x > 0).astype(float),
    lambda x: np.exp(-(x**2)),
)


@dataclass(frozen=True)
class SyntheticTables(TaskFamily):
    """Tables of two to `ways` classes; `ways * shots` rows at most are there to learn from.

    How many rows and columns there are, and how common the classes, differs from table to table:
    rows that are not there are masked, columns that are not there are zero.
    """

    name: str = "synthetic_tables"
    place: str = "cpu"

    @property
    def digest(self) -> str:
        """Identity of the distribution."""
        return "synthetic-tables-1"

    @property
    def input_format(self) -> InputFormat:
        """Twenty numbers, of about unit variance."""
        return InputFormat("vector", (COLUMNS,), (0.0,) * COLUMNS, (1.0,) * COLUMNS)

    @property
    def device(self) -> torch.device:
        """Where rows are put."""
        return torch.device(self.place)

    def to(self, device: torch.device | str) -> SyntheticTables:
        """Returns the family putting its rows on `device`."""
        return SyntheticTables(self.name, str(device))

    def spec(self, ways: int, shots: int, queries: int = 15, part: Part | None = None) -> TaskSpec:
        """Returns the spec; raises `EpisodeError` for more than ten classes."""
        if ways > MOST_CLASSES:
            raise EpisodeError(
                f"synthetic tables have {MOST_CLASSES} classes at most, {ways} were asked for; "
                f"lower --ways"
            )
        return TaskSpec(ways, shots, queries, (COLUMNS,))

    def sample(
        self, part: Part, spec: TaskSpec, num_tasks: int, rng: np.random.Generator
    ) -> Episodes:
        """Returns episodes over a store of freshly drawn tables."""
        own = np.random.default_rng([PARTS.index(part), *rng.integers(0, 2**32, 4)])
        known, asked = spec.ways * spec.shots, spec.ways * spec.queries
        rows = known + asked
        inputs = np.zeros((num_tasks, rows, COLUMNS), np.float32)
        labels = np.zeros((num_tasks, rows), np.int64)
        there = np.ones((num_tasks, rows), bool)
        for task in range(num_tasks):
            columns, drawn, classes = _table(rows, spec.ways, own)
            inputs[task, :, : columns.shape[1]] = columns
            least = min(known, _FEWEST_ROWS * classes)
            number = int(np.exp(own.uniform(np.log(least), np.log(known))) + 0.5)
            there[task, number:known] = False
            seen = np.unique(drawn[:number])
            there[task, known:] &= np.isin(drawn[known:], seen)  # nobody can know the others
            place = np.searchsorted(seen, drawn).clip(0, len(seen) - 1)
            labels[task] = np.where(there[task], place, 0)
        store = _store(inputs, labels, spec.ways, self.place)
        index = np.arange(num_tasks * rows).reshape(num_tasks, rows)

        def side(columns: slice) -> Indices:
            return Indices(index[:, columns], labels[:, columns], there[:, columns])

        return Episodes(store, side(slice(known)), side(slice(known, None)), spec.ways)


def _store(inputs: np.ndarray, labels: np.ndarray, ways: int, device: str) -> Store:
    """The rows of all tables, the classes of each its own."""
    number = len(labels)
    own = labels + ways * np.arange(number)[:, None]
    classes = tuple(ClassInfo(f"{t}/{c}") for t in range(number) for c in range(ways))
    flat = torch.from_numpy(inputs.reshape(-1, inputs.shape[-1])).to(device)
    return Store(flat, torch.from_numpy(own.reshape(-1)).to(device), classes)


def _table(
    rows: int, most_classes: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, int]:
    """Columns `[R, F]` and classes `[R]` of a table, and how many of these there may be."""
    classes = min(most_classes, 2 + int(rng.exponential(1.5)))
    causes, clusters = _causes(rows, classes, rng)
    units = _units(causes, rng)
    number = int(rng.integers(2, COLUMNS + 1))
    picked = rng.permutation(units.shape[1])[:number]
    columns = units[:, picked]
    if columns.shape[1] < number:
        columns = np.concatenate([columns, rng.normal(size=(rows, number - len(picked)))], 1)
    pure = rng.random(number) < rng.choice([0.0, 0.1, 0.4])
    columns[:, pure] = rng.normal(size=(rows, int(pure.sum())))
    kind = rng.choice(["cut", "least", "tree", "cluster"], p=[0.4, 0.15, 0.25, 0.2])
    if kind == "cluster" and clusters is not None:
        labels = clusters
    elif kind == "tree":
        labels = _by_tree(columns, classes, rng)
    elif kind == "least":
        labels = units[:, rng.integers(0, units.shape[1], classes)].argmin(1)
    else:
        labels = _cut(units[:, rng.integers(units.shape[1])], classes, rng)
    wrong = rng.random(rows) < rng.choice([0.0, 0.0, 0.05, 0.2])
    labels = np.where(wrong, rng.permutation(labels), labels)
    return _as_measured(columns, rng)[:, rng.permutation(number)], labels, classes


def _causes(
    rows: int, classes: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray | None]:
    """What a table is made of `[R, Z]`, and the clusters of rows where there are any."""
    number = int(rng.integers(1, _CAUSES + 1))
    kind = rng.choice(["normal", "uniform", "clusters"])
    if kind == "normal":
        return rng.normal(size=(rows, number)), None
    if kind == "uniform":
        return rng.uniform(-1.7, 1.7, (rows, number)), None
    share = rng.dirichlet(np.full(classes, 2.0))
    places = rng.choice(classes, rows, p=share)
    centres = rng.normal(size=(classes, number)) * rng.uniform(0.5, 3.0)
    widths = rng.uniform(0.5, 1.5, (classes, number))
    return centres[places] + widths[places] * rng.normal(size=(rows, number)), places


def _units(causes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Causes and all that a random net makes of them `[R, units]`, standardised."""
    noise = rng.choice([0.0, 0.05, 0.3])
    layer, found = _standard(causes), [_standard(causes)]
    for _ in range(int(rng.integers(1, 4))):
        width = int(rng.integers(4, _UNITS + 1))
        weights = rng.normal(size=(layer.shape[1], width))
        weights *= rng.random(weights.shape) < rng.uniform(0.2, 1.0)
        sums = layer @ weights + rng.normal(size=width)
        layer = np.empty_like(sums)
        kinds = rng.integers(0, len(_FUNCTIONS), width)
        for kind in np.unique(kinds):
            layer[:, kinds == kind] = _FUNCTIONS[kind](sums[:, kinds == kind])
        layer = _standard(layer)
        layer += noise * rng.normal(size=layer.shape)
        found.append(layer)
    return np.concatenate(found, 1)


def _cut(values: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    """Classes by where a number lies among cuts; a class may have several bands."""
    bands = classes if rng.random() < 0.6 else 2 * classes
    cuts = np.sort(np.quantile(values, rng.uniform(0.05, 0.95, bands - 1)))
    names = np.concatenate([rng.permutation(classes) for _ in range(bands // classes)])
    return np.asarray(names[np.digitize(values, cuts)])


def _by_tree(columns: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    """Classes by the leaf of a random tree that a row comes to."""
    leaves = np.zeros(len(columns), np.int64)
    depth = int(rng.integers(1, 6))
    for _ in range(depth):
        features = rng.integers(0, columns.shape[1], leaves.max() + 1)
        cuts = rng.normal(size=len(features)) * 0.7
        right = columns[np.arange(len(columns)), features[leaves]] > cuts[leaves]
        leaves = 2 * leaves + right
    names = rng.integers(0, classes, leaves.max() + 1)
    return np.asarray(names[leaves])


def _as_measured(columns: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Columns as tables have them: some of a few values, some skewed, some with copies."""
    columns = columns.copy()
    share = rng.choice([0.0, 0.3, 0.8])
    for place in range(columns.shape[1]):
        drawn = rng.random()
        if drawn < share:
            levels = int(rng.integers(2, 9))
            cuts = np.sort(rng.normal(size=levels - 1))
            columns[:, place] = np.digitize(columns[:, place], cuts)
            if rng.random() < 0.3:  # the order of categories means nothing
                columns[:, place] = rng.permutation(levels)[columns[:, place].astype(int)]
        elif drawn > 0.85:
            columns[:, place] = np.exp(np.clip(columns[:, place], -4, 4))
    return np.asarray(np.clip(_standard(columns), -_FAR, _FAR))


def _standard(values: np.ndarray) -> np.ndarray:
    spread = values.std(0)
    return np.asarray((values - values.mean(0)) / np.where(spread > 1e-9, spread, 1.0))
