"""Rows into a sealed part and folds: classes evenly, groups and equal rows together."""

from __future__ import annotations

import numpy as np

from metaloop.core.randomness import numpy_stream

TEST_SHARE = 0.2
MOST_TESTED = 50_000  # rows: more would only cost time
_SLICES = 10  # of real targets, that are dealt as classes are


def strata(targets: np.ndarray, classes: int) -> np.ndarray:
    """Returns what is dealt evenly, `[n]`: the classes, or slices of equally many real targets."""
    if classes:
        return np.asarray(targets, np.int64)
    ranks = np.argsort(np.argsort(targets, kind="stable"), kind="stable")
    return np.asarray(ranks * _SLICES // max(1, len(targets)), np.int64)


def deal(
    layers: np.ndarray, blocks: np.ndarray, folds: int, seed: int, *names: str | int
) -> np.ndarray:
    """Returns the fold of every row, `[n]`: rows of one block are in one fold.

    Blocks of each layer (that of their first row) are dealt in random order, so that folds have
    equally many of each; large blocks first, to the fold that has fewest rows.
    """
    rng = numpy_stream(seed, "deal", *names)
    _, first, place, sizes = np.unique(
        blocks, return_index=True, return_inverse=True, return_counts=True
    )
    layer = layers[first]
    order = np.lexsort((rng.random(len(first)), layer))
    fold = np.empty(len(first), np.int64)
    if sizes.max() <= 2:
        # one circle through all layers: no fold has two rows more than another
        fold[order] = (np.arange(len(order)) + int(rng.integers(folds))) % folds
        return np.asarray(fold[place])
    held = np.zeros((int(layers.max()) + 1, folds))
    whole = np.zeros(folds)
    for block in order[np.argsort(-sizes[order], kind="stable")]:
        found = int(np.lexsort((whole, held[layer[block]]))[0])
        fold[block] = found
        held[layer[block], found] += sizes[block]
        whole[found] += sizes[block]
    return np.asarray(fold[place])


def sealed_rows(layers: np.ndarray, blocks: np.ndarray, seed: int) -> np.ndarray:
    """Returns the rows of a sealed part: a fifth, or 50,000; every class keeps rows to learn from."""  # noqa: E501
    share = min(TEST_SHARE, MOST_TESTED / len(layers))
    folds = max(2, round(1 / share))
    fold = deal(layers, blocks, folds, seed, "test")
    return np.flatnonzero((fold == 0) & ~_would_lose(layers, fold == 0))


def _would_lose(layers: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """The taken rows of layers that would be left without any."""
    left = np.bincount(layers[~taken], minlength=int(layers.max()) + 1)
    return np.asarray(taken & (left[layers] == 0))
