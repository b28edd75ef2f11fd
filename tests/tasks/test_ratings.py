"""Tables of ratings: which column is what, what is left out and told, what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metaloop.core.columns import Lookup, take
from metaloop.core.errors import DataError
from metaloop.tasks.groups import group_family
from metaloop.tasks.readers import read, read_frame
from metaloop.tasks.store import Reading

Rows = list[tuple[Any, ...]]
ROWS: Rows = [(u, i, 1 + (u * i) % 13) for u in range(1, 13) for i in range(1, 6)]


def frame(rows: Rows, names: tuple[str, ...] = ("user_id", "item_id", "rating")) -> dict[str, Any]:
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def rated(reading: Reading) -> dict[tuple[str, str], float]:
    """The rating of each user of each item, by their names."""
    store = reading.store
    assert store.values is not None
    items = take(store.inputs, torch.arange(len(store)))
    users = [store.classes[user].name for user in store.targets.tolist()]
    pairs = zip(users, map(str, items), strict=True)
    return dict(zip(pairs, store.values[:, 0].tolist(), strict=True))


EXPECTED = {(str(u), str(i)): float(r) for u, i, r in ROWS}


@pytest.mark.parametrize(
    "names",
    [
        ("user_id", "item_id", "rating"),
        ("User_ID", "Anime_ID", "Feedback"),
        ("userId", "movieId", "rating"),
        ("User-ID", "ISBN", "Book-Rating"),
    ],
)
def test_ratings_are_known_by_the_names_of_their_columns(names: tuple[str, ...]) -> None:
    reading = read_frame(frame(ROWS, names))
    assert rated(reading) == EXPECTED
    assert isinstance(reading.store.inputs, Lookup)
    assert any("12 users rated 5 items" in note for note in reading.notes)
    declared = read_frame(
        frame(ROWS, ("a", "b", "c")), columns={"user": "a", "item": "b", "rating": "c"}
    )
    assert rated(declared) == EXPECTED


def test_the_files_of_movielens_need_no_header(tmp_path: Path) -> None:
    tabs = "\n".join(f"{u}\t{i}\t{r}\t{u + i}" for u, i, r in ROWS)
    (tmp_path / "u.data").write_text(tabs + "\n")
    colons = "\n".join(f"{u}::{i}::{r}::{u + i}" for u, i, r in ROWS)
    with gzip.open(tmp_path / "ratings.dat.gz", "wt") as file:
        file.write(colons)
    (tmp_path / "ratings.csv").write_text(
        "userId,movieId,rating,timestamp\n" + "\n".join(f"{u},{i},{r},{u}" for u, i, r in ROWS)
    )
    for name in ("u.data", "ratings.dat.gz", "ratings.csv"):
        assert rated(read(tmp_path / name)) == EXPECTED, name
    (tmp_path / "u.data").write_text("1\t2\t3\t4\n1\t2\tfive\t4\n")
    with pytest.raises(DataError, match="line 2: expected user, item, rating and time"):
        read(tmp_path / "u.data")


def test_who_rates_again_counts_with_the_last_rating_by_time_and_it_is_told() -> None:
    timed = [(*row, 10) for row in ROWS] + [(1, 1, 5, 3), (1, 2, 5, 30)]
    reading = read_frame(frame(timed, ("user", "item", "rating", "timestamp")))
    assert rated(reading) == {**EXPECTED, ("1", "2"): 5.0}
    assert [(item.count, item.reason) for item in reading.left_out] == [
        (2, "the last by time counts")
    ]
    untimed = read_frame(frame([*ROWS, (1, 1, 5)]))
    assert rated(untimed) == {**EXPECTED, ("1", "1"): 5.0}


def test_users_with_one_rating_and_rows_that_lack_something_are_left_out_and_told() -> None:
    rows = [*ROWS, (99, 1, 3), (1, 7, None)]
    reading = read_frame(frame(rows))
    assert rated(reading) == EXPECTED
    assert {(item.what, item.count) for item in reading.left_out} == {
        ("rows without 'rating'", 1),
        ("user '99'", 1),
    }
    with pytest.raises(DataError, match="strict"):
        read_frame(frame(rows), strict=True)


def test_ratings_are_the_same_from_every_kind_of_file(tmp_path: Path) -> None:
    columns = frame(ROWS, ("userId", "movieId", "rating"))
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert rated(read(tmp_path / "r.jsonl")) == EXPECTED
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow")
    parquet.write_table(arrow.table(columns), tmp_path / "r.parquet")
    assert rated(read(tmp_path / "r.parquet")) == EXPECTED


FEW: Rows = [(u, 1 + (u + k) % 3, 100 * (k % 7) + u) for u in range(1, 5) for k in range(7)]
NAMED = ("user_id", "item_id", "rating")


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (NAMED, "28 different ratings of 3 items; the two columns may be swapped"),
        (("item_id", "user_id", "rating"), "28 different ratings of 3 users; .* --columns user="),
    ],
)
def test_ratings_that_name_rows_are_swapped_with_what_does_not(
    names: tuple[str, ...], says: str
) -> None:
    with pytest.raises(DataError, match=says):
        read_frame(frame(FEW, names))


def test_whole_numbers_of_few_items_are_ratings() -> None:
    rows = [(u, i, (37 * u + 11 * i) % 101) for u in range(1, 13) for i in range(1, 6)]
    assert rated(read_frame(frame(rows))) == {(str(u), str(i)): float(r) for u, i, r in rows}


def test_users_and_items_that_were_named_the_other_way_round_are_told() -> None:
    swapped = {"user": "item_id", "item": "user_id"}
    notes = read_frame(frame(ROWS), columns=swapped).notes
    assert "'item_id' is read as the users, as was asked for; by its name they may be swapped" in (
        notes
    )
    assert not any("swapped" in note for note in read_frame(frame(ROWS)).notes)


MANY: Rows = [(u, 1 + u % 5, u * 300 + k) for u in range(1, 13) for k in range(30)]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([*ROWS[:3], (1, 9, "good")], "the rating 'rating' of row 4 after the header is 'good'"),
        ([*ROWS, (1, 9, float("inf"))], "1 of 61 ratings are infinite or too large"),
        ([*ROWS, (1, 9, -1)], "1 ratings are -1 and .* .seen, not rated"),
        ([(u, i, 4) for u, i, _ in ROWS], "every rating is 4; there is nothing to tell"),
        (MANY, "may be swapped"),
    ],
)
def test_what_are_no_ratings_is_refused_in_one_line(rows: Rows, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        read_frame(frame(rows))
    assert "\n" not in str(caught.value)


def test_events_have_no_ratings_and_other_groups_are_not_taken_for_ratings() -> None:
    events = read_frame(frame([(u, i, 3) for u, i, _ in ROWS], ("user", "item", "time")))
    assert events.objective == "ranking" and events.store.values is not None
    assert set(events.store.values.flatten().tolist()) == {1.0}
    groups = read_frame(frame(ROWS, ("user", "age", "rating")))
    assert not isinstance(groups.store.inputs, Lookup)


def test_scales_may_go_below_zero() -> None:
    reading = read_frame(frame([(u, i, r - 4) for u, i, r in ROWS]))
    assert reading.store.values is not None
    assert float(reading.store.values.min()) == -2


def test_a_user_who_is_another_under_a_second_name_is_left_out() -> None:
    twin = [("again", i, r) for u, i, r in ROWS if u == 3]
    rows = [(str(u), i, r) for u, i, r in ROWS]
    once = read_frame(frame(rows))
    distinct = len({tuple(sorted((i, r) for v, i, r in ROWS if v == u)) for u in range(1, 13)})
    family, left_out, _ = group_family(read_frame(frame([*rows, *twin])))
    assert len(family.store.classes) == distinct
    assert any(item.reason == "copy of another user" for item in left_out)
    assert len(once.store.classes) == 12


def test_training_users_are_known_by_at_most_half_of_their_ratings() -> None:
    rows = [(u, i, (u * i) % 5) for u in range(40) for i in range(3 + u % 20)]
    family = group_family(read_frame(frame(rows)))[0]
    spec = family.spec(0, 12, 9, part="train")
    episodes = family.sample("train", spec, 50, np.random.default_rng(0))
    sizes = np.array([len(family.store.examples_of[u]) for u in episodes.units[:, 0]])
    known, asked = episodes.support.mask.sum(1), episodes.query.mask.sum(1)
    assert (known == np.minimum(12, sizes // 2)).all() and (asked >= 1).all()
    both = np.where(episodes.support.mask, episodes.support.examples, -1)
    for task in range(50):
        query = episodes.query.examples[task][episodes.query.mask[task]]
        assert not set(query) & set(both[task]) and len(set(query)) == len(query)
        owners = family.store.targets[torch.from_numpy(query)]
        assert (owners == episodes.units[task, 0]).all()
