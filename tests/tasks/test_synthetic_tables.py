"""Synthetic tables: parts that are different tables, masks, classes that can be known."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from metaloop.core.errors import EpisodeError
from metaloop.tasks.synthetic_tables import COLUMNS, SyntheticTables

FAMILY = SyntheticTables()
SPEC = FAMILY.spec(10, 10, 5)


def sample(part: str = "train", seed: int = 0, tables: int = 12):  # type: ignore[no-untyped-def]
    return FAMILY.sample(part, SPEC, tables, np.random.default_rng(seed))  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_tables_and_parts_have_others() -> None:
    assert sample().list_hash == sample().list_hash
    assert len({sample(part).list_hash for part in ("train", "search", "promotion", "test")}) == 4


def test_tables_differ_in_rows_columns_and_classes_and_are_finite() -> None:
    episodes = sample()
    inputs = episodes.store.inputs.numpy().reshape(12, -1, COLUMNS)  # type: ignore[union-attr]
    assert np.isfinite(inputs).all() and np.abs(inputs).max() <= 10
    assert len({int(mask.sum()) for mask in episodes.support.mask}) > 6
    assert len({int((table != 0).any(0).sum()) for table in inputs}) > 4
    assert len({int(labels.max()) for labels in episodes.support.labels}) > 1


def test_every_class_that_is_asked_for_is_in_the_support() -> None:
    episodes = sample(seed=3, tables=30)
    for task in range(30):
        known = episodes.support.labels[task][episodes.support.mask[task]]
        asked = episodes.query.labels[task][episodes.query.mask[task]]
        assert set(asked) <= set(known) == set(range(len(set(known))))


def test_most_tables_can_be_learned_from_their_rows() -> None:
    episodes = sample(seed=1, tables=25)
    rows, gains = episodes.store.inputs.numpy(), []  # type: ignore[union-attr]
    for task in range(25):
        there, asked = episodes.support.mask[task], episodes.query.mask[task]
        labels, truth = episodes.support.labels[task][there], episodes.query.labels[task][asked]
        if len(set(labels)) > 1:
            fitted = LogisticRegression(max_iter=200).fit(
                rows[episodes.support.examples[task][there]], labels
            )
            told = fitted.predict(rows[episodes.query.examples[task][asked]])
            gains.append((told == truth).mean() - (np.bincount(labels).argmax() == truth).mean())
    assert np.mean(gains) > 0.05


def test_more_classes_than_there_are_is_one_line() -> None:
    with pytest.raises(EpisodeError, match="10 classes at most, 11 were asked for"):
        FAMILY.spec(11, 5)
