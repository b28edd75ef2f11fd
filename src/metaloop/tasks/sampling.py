"""Drawing without replacement, vectorised over rows: the inner loop of making episodes."""

from __future__ import annotations

import numpy as np

# Up to here a row of random keys is sorted: short rows cost little, and nothing is redrawn.
_SORT_UP_TO = 64


def draw_distinct(counts: np.ndarray, num_draws: int, rng: np.random.Generator) -> np.ndarray:
    """Returns int64 `[*counts.shape, num_draws]`: distinct numbers below each count, uniformly.

    Where a count is smaller than `num_draws`, its numbers come first, each once, in random order,
    and the rest of the row is -1.
    """
    flat = counts.reshape(-1)
    largest = int(flat.max(initial=0))
    if largest <= max(_SORT_UP_TO, _crowded(num_draws)):
        drawn = _by_sorting(flat, largest, num_draws, rng)
    else:
        drawn = _by_redrawing(flat, num_draws, rng)
    return drawn.reshape(*counts.shape, num_draws)


def inserted(
    drawn: np.ndarray, examples: np.ndarray, place: int, more: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns both as `[*, K + 1]`, with the examples `more [*]` at `place` of the last axis.

    `drawn` is -1 where nothing is, as `more` may be; `examples` are 0 or more everywhere.
    """
    added = more[..., None]
    return (
        np.insert(drawn, [place], added, axis=-1),
        np.insert(examples, [place], np.maximum(added, 0), axis=-1),
    )


def _by_sorting(
    counts: np.ndarray, largest: int, num_draws: int, rng: np.random.Generator
) -> np.ndarray:
    keys = rng.random((len(counts), max(largest, num_draws)), dtype=np.float32)
    columns = np.arange(keys.shape[1])
    keys[columns >= counts[:, None]] = 2.0  # beyond the count: sorted behind all real keys
    order = np.argsort(keys, axis=1)[:, :num_draws]
    return np.where(columns[:num_draws] < counts[:, None], order, -1)


def _by_redrawing(counts: np.ndarray, num_draws: int, rng: np.random.Generator) -> np.ndarray:
    drawn = np.full((len(counts), num_draws), -1, dtype=np.int64)
    few = counts <= _crowded(num_draws)
    if few.any():
        drawn[few] = _by_sorting(counts[few], int(counts[few].max()), num_draws, rng)
    rows = np.flatnonzero(~few)
    while len(rows):  # each pass keeps at least half of the rows, in expectation
        numbers = rng.integers(0, counts[rows, None], (len(rows), num_draws))
        ordered = np.sort(numbers, axis=1)
        collides = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
        drawn[rows[~collides]] = numbers[~collides]
        rows = rows[collides]
    return drawn


def _crowded(num_draws: int) -> int:
    """The count up to which most rows of `num_draws` would collide: the birthday paradox."""
    return max(2 * num_draws, num_draws**2)
