"""Ratings that are made: users and items have tastes of few dimensions, as real ones seem to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metaloop.catalogue.families import open_data
from metaloop.tasks.groups import GroupFamily

USERS, ITEMS, EACH, WIDTH = 240, 60, 24, 2


def low_rank(seed: int = 0, users: int = USERS) -> np.ndarray:
    """Rows of user, item, rating from 1 to 5: a mean of each item, a user's bias, a taste."""
    rng = np.random.default_rng(seed)
    tastes, kinds = rng.normal(size=(users, WIDTH)), rng.normal(size=(ITEMS, WIDTH))
    means, biases = rng.normal(0, 0.3, ITEMS), rng.normal(0, 0.3, users)
    rows = []
    for user in range(users):
        items = rng.choice(ITEMS, EACH, replace=False)
        liked = 3 + means[items] + biases[user] + kinds[items] @ tastes[user] * 0.7
        stars = np.clip(liked + rng.normal(0, 0.2, EACH), 1, 5).round(1)
        rows += [(user, item, star) for item, star in zip(items, stars, strict=True)]
    return np.array(rows)


def write(path: Path, rows: np.ndarray) -> Path:
    """A table of ratings; users are `u7`, items are `i3`."""
    lines = [f"u{int(user)},i{int(item)},{star:g}" for user, item, star in rows]
    path.write_text("user_id,item_id,rating\n" + "\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="session")
def ratings_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of low-rank ratings."""
    return write(tmp_path_factory.mktemp("ratings") / "stars.csv", low_rank())


@pytest.fixture(scope="session")
def family(ratings_file: Path) -> GroupFamily:
    """The family of that table."""
    found = open_data(ratings_file).family
    assert isinstance(found, GroupFamily)
    return found


@pytest.fixture(scope="session")
def events_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What these users rated 3.4 or more; one of it twice, and a column of no use."""
    rows = low_rank()
    kept = rows[rows[:, 2] >= 3.4]
    lines = [f"u{int(user)},i{int(item)},{place % 7}" for place, (user, item, _) in enumerate(kept)]
    path = tmp_path_factory.mktemp("events") / "seen.csv"
    path.write_text("user,item,clicks\n" + "\n".join([*lines, lines[0]]) + "\n")
    return path
