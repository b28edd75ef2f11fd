"""Rows into a sealed part and folds: classes evenly, groups and equal rows together."""

from __future__ import annotations

import numpy as np

from metaloop.core.randomness import numpy_stream

TEST_SHARE = 0.2
MOST_TESTED = 50_000  # rows: more would only cost time
_SLICES = 10  # of real targets, that are dealt as classes are
FEWEST_PARTS = 3  # that stay together: to learn from, to choose by and to test
_OWN_TARGETS = 0.1  # of the contents that rows share, with several targets: no copies make that
_MOST_TOGETHER = 0.5  # of all rows, in one part


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


def are_copies(contents: np.ndarray, targets: np.ndarray) -> bool:
    """Returns whether rows of equal content, both `[n]`, may be copies of each other.

    A copy has the target of its original. Where equal rows differ in it, or where most rows are
    equal to another one, the same was observed again: new rows will be equal to known ones as
    often, and rows that are dealt one by one are like these.
    """
    _, place, counts = np.unique(contents, return_inverse=True, return_counts=True)
    if 2 * len(counts) <= len(contents):
        return False
    told = np.unique(np.stack([place, np.unique(targets, return_inverse=True)[1]]), axis=1)[0]
    shared = counts > 1
    several = np.bincount(told, minlength=len(counts))[shared] > 1
    return bool(several.sum() <= _OWN_TARGETS * shared.sum())


def kept_together(groups: np.ndarray, hashes: np.ndarray) -> tuple[np.ndarray, bool]:
    """Returns parts of rows that hold groups and equal rows together, uint64 `[n]`, if that can be.

    Equal rows of two groups make one part of both. Where one part were more than half of all rows
    for it, or fewer than three were left, parts are the groups, and False is returned.
    """
    groups = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    copies = np.unique(hashes, return_inverse=True)[1].astype(np.int64)
    number, different = int(groups.max()) + 1, int(copies.max()) + 1
    pairs = np.unique(groups * different + copies)
    if len(pairs) == different:  # no copy is in two groups
        return groups.astype(np.uint64), True
    from scipy.sparse import coo_array  # lazy: few tables have copies in several groups
    from scipy.sparse.csgraph import connected_components  # lazy: likewise

    size = number + different
    edges = (pairs // different, number + pairs % different)
    links = coo_array((np.ones(len(pairs)), edges), shape=(size, size))
    parts = connected_components(links, directed=False)[1][groups]
    usual = max(_MOST_TOGETHER * len(groups), np.bincount(groups).max())
    if np.bincount(parts).max() > usual or len(np.unique(parts)) < FEWEST_PARTS:
        return groups.astype(np.uint64), False
    return parts.astype(np.uint64), True


def sealed_rows(layers: np.ndarray, blocks: np.ndarray, seed: int, classes: bool) -> np.ndarray:
    """Returns the rows of a sealed part, about a fifth, or 50,000; every class keeps rows to learn from.

    Blocks are in one part as a whole. It is the first of the folds that are dealt which is neither
    less than half nor more than twice of what it should be once it has given back the blocks that
    a class needs, or the one that is nearest to it. There is no row where every block holds a class
    that no other has. `classes`: whether layers are classes, each of which is needed.
    """  # noqa: E501
    share = min(TEST_SHARE, MOST_TESTED / len(layers))
    folds = max(2, round(1 / share))
    fold = deal(layers, blocks, folds, seed, "test")
    usual, nearest = len(layers) / folds, np.zeros(0, np.int64)
    for one in range(folds):
        rows = np.flatnonzero(fold == one)
        rows = _without_needed(layers, blocks, rows) if classes else rows
        if usual / 2 <= len(rows) <= 2 * usual:
            return rows
        if len(rows) and (not len(nearest) or abs(len(rows) - usual) < abs(len(nearest) - usual)):
            nearest = rows
    return nearest


def _without_needed(layers: np.ndarray, blocks: np.ndarray, sealed: np.ndarray) -> np.ndarray:
    """The sealed rows without the smallest block of every class that had no row elsewhere."""
    number = int(layers.max()) + 1
    inside = layers[sealed]
    _, places, sizes = np.unique(blocks[sealed], return_inverse=True, return_counts=True)
    sealed_of = np.bincount(inside, minlength=number)
    left = np.bincount(layers, minlength=number) - sealed_of
    kept = np.ones(len(sealed), bool)
    for layer in np.flatnonzero((left == 0) & (sealed_of > 0)):
        if left[layer]:
            continue  # it was in a block that another class needed
        holding = np.unique(places[inside == layer])
        given = places == holding[sizes[holding].argmin()]
        kept &= ~given
        left += np.bincount(inside[given], minlength=number)
    return np.asarray(sealed[kept])
