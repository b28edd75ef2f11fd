"""Tables of items: nobody is predicted by her own ratings, and a new user is folded in exactly."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.linear_model import Ridge
from tests.domains.ratings.conftest import ITEMS, low_rank

from metaloop.catalogue.families import DataOptions, open_data
from metaloop.core.column_kinds import kind_of
from metaloop.core.columns import Lookup, take
from metaloop.core.errors import DataError
from metaloop.core.inputs import InputFormat
from metaloop.domains.ratings.als import factors, folded_in
from metaloop.domains.ratings.items import Ratings, cross_fitted, item_table
from metaloop.domains.ratings.known import KnownItems
from metaloop.learners.plain_ratings import SHRINKING, FoldIn
from metaloop.tasks.groups import GroupFamily
from metaloop.tasks.readers.about_files import read_about


def made(seed: int = 0) -> Ratings:
    rng = np.random.default_rng(seed)
    users = np.repeat(np.arange(20), 6)
    items = np.concatenate([rng.choice(9, 6, replace=False) for _ in range(20)])
    return Ratings(users, items, rng.normal(size=120), 9)


def test_her_own_ratings_do_not_change_the_table_that_a_user_sees() -> None:
    ratings, train, nothing = made(), np.arange(15), np.zeros((9, 0), np.float32)
    tables, fold_of, users = cross_fitted(ratings, train, nothing)
    for user in (0, 7, 14):
        own = ratings.users == user
        changed = replace(ratings, values=np.where(own, 9.0, ratings.values))
        others, *_ = cross_fitted(changed, train, nothing)
        fold = fold_of[users == user][0]
        assert np.array_equal(others[fold], tables[fold])
        assert not np.array_equal(others[-1], tables[-1])  # whoever comes later learns from her


def test_ratings_of_other_parts_are_in_no_table() -> None:
    ratings, train, nothing = made(), np.arange(15), np.zeros((9, 0), np.float32)
    later = ratings.users >= 15
    changed = replace(ratings, values=np.where(later, 9.0, ratings.values))
    assert np.array_equal(
        cross_fitted(ratings, train, nothing)[0], cross_fitted(changed, train, nothing)[0]
    )


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), strength=st.floats(0.1, 20), width=st.integers(1, 6))
def test_folding_in_is_the_least_squares_solution(seed: int, strength: float, width: int) -> None:
    rng = np.random.default_rng(seed)
    rows = sparse.random(7, 11, 0.4, "csr", random_state=rng)
    others = rng.normal(size=(11, width))
    found = folded_in(rows, others, strength)
    for row in range(7):
        known = rows[row].indices
        if not len(known):
            assert not found[row].any()
            continue
        # the ridge as further rows of a plain least squares problem
        system = np.concatenate([others[known], np.sqrt(strength) * np.eye(width)])
        right = np.concatenate([rows[row].data, np.zeros(width)])
        expected = np.linalg.lstsq(system, right, rcond=None)[0]
        np.testing.assert_allclose(found[row], expected, atol=1e-8)


def test_a_user_is_folded_in_as_scikit_learns_ridge_has_it() -> None:
    rng = np.random.default_rng(0)
    known, others = rng.normal(size=(9, 3)), rng.normal(size=(40, 3))
    left = rng.normal(size=9)
    rows = sparse.csr_matrix((left, (np.zeros(9, int), np.arange(9))), (1, 9))
    ridge = Ridge(alpha=5.0, fit_intercept=False).fit(known, left)
    np.testing.assert_allclose(folded_in(rows, known, 5.0)[0], ridge.coef_, atol=1e-10)
    columns = ("mean", "factor_0", "factor_1", "factor_2")
    inputs = InputFormat("item", (4,), (0.0,) * 4, (1.0,) * 4, columns=columns)
    guest = FoldIn(strength=5.0, input_format=inputs).make(0)
    bias = left.sum() / (len(left) + SHRINKING)
    of_user = Ridge(alpha=5.0, fit_intercept=False).fit(known, left - bias)
    guest.fit(np.c_[np.zeros(9), known], left)
    found = np.asarray(guest.predict(np.c_[np.full(40, 2.0), others]))[:, 0]
    np.testing.assert_allclose(found, 2 + bias + of_user.predict(others), atol=1e-10)


def test_als_ends_where_neither_users_nor_items_can_be_better() -> None:
    rng = np.random.default_rng(0)
    rows = sparse.random(12, 8, 0.6, "csr", random_state=rng)
    items = factors(rows, 2, 0.5, 300, rng)
    users = folded_in(rows, items, 0.5)
    for item in range(8):
        there = rows[:, [item]].toarray()[:, 0] != 0
        ridge = Ridge(alpha=0.5, fit_intercept=False)
        ridge.fit(users[there], rows[:, [item]].toarray()[there, 0])
        np.testing.assert_allclose(items[item], ridge.coef_, atol=1e-4)


def test_an_item_that_nobody_has_rated_is_the_usual_item() -> None:
    ratings = replace(made(), num_items=10)
    table = item_table(ratings, np.zeros((10, 0), np.float32))
    np.testing.assert_allclose(table[9], table[10], atol=1e-6)
    assert table[9, 0] == 0 and (table[9, 1] < table[:9, 1]).all()


def test_training_users_see_items_by_other_tables_than_those_who_come_later(
    family: GroupFamily,
) -> None:
    store = family.store
    assert isinstance(store.inputs, Lookup) and family.raw is not None
    assert kind_of(family.raw.inputs) == "items"
    items = len(family.view.assets["rated"])  # type: ignore[union-attr]
    tables = (store.inputs.index // (items + 1)).numpy()
    part_of = np.full(len(store.classes), "", object)
    for part, users in family.parts.items():
        part_of[users] = part
    of_train = part_of[store.targets.numpy()] == "train"
    assert set(tables[of_train]) == {0, 1, 2, 3, 4} and set(tables[~of_train]) == {5}
    full = family.view.assets["table"]  # type: ignore[union-attr]
    later = torch.from_numpy(np.flatnonzero(~of_train)[:50])
    places = family.raw.inputs.index[later]  # type: ignore[union-attr]
    assert torch.equal(take(store.inputs, later), full[places])  # type: ignore[arg-type]


def items_file(folder: Path, means: np.ndarray) -> Path:
    """A table that says half of a column's truth, and leaks what is to be predicted."""
    rows = ["item_id,title,genre,year,rating"]
    for item, mean in enumerate(means):
        genre = "Drama, War" if item % 2 else "Comedy"
        rows.append(f'i{item},Film {item},"{genre}",{1990 + item % 17},{mean:.3f}')
    rows.append("i999,Never rated,Comedy,1999,3.0")
    path = folder / "items.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_attributes_join_the_table_and_averages_of_ratings_are_left_out_and_told(
    family: GroupFamily, ratings_file: Path, tmp_path: Path
) -> None:
    raw = family.raw
    assert raw is not None and raw.values is not None and isinstance(raw.inputs, Lookup)
    names = take(raw.inputs.table, torch.arange(60))
    place = {name: int(str(name)[1:]) for name in names}
    items = np.array([place[name] for name in names])[raw.inputs.index.numpy()]
    values = raw.values[:, 0].numpy()
    means = np.bincount(items, values, 60) / np.bincount(items, minlength=60)
    opened = open_data(ratings_file, DataOptions(items=items_file(tmp_path, means)))
    columns = opened.family.input_format.columns
    assert {"genre=Drama", "genre=War", "genre=Comedy", "year"} <= set(columns)
    assert "rating" not in columns
    assert any("'rating'" in note and "left out" in note for note in opened.notes)
    other = tmp_path / "other.csv"
    other.write_text("id,genre\nx,Drama\ny,War\n")
    users = tmp_path / "users.csv"
    users.write_text("id,age\n" + "".join(f"u{user},{20 + user % 50}\n" for user in range(200)))
    with pytest.raises(DataError, match="users and items of the ratings may be swapped"):
        open_data(ratings_file, DataOptions(items=users))
    with pytest.raises(DataError, match="no column that names the items"):
        open_data(ratings_file, DataOptions(items=other))
    with pytest.raises(DataError, match="no ratings of items; leave --items away"):
        open_data("digits", DataOptions(items=tmp_path / "items.csv"))


GENRES = 19
MOVIES: dict[str, Callable[[int], str]] = {
    "movies.csv": lambda i: f'{i},"Amélie {i}",{"Drama|War" if i % 2 else "Comedy"}',
    "movies.dat": lambda i: f"{i}::Amélie {i}::{'Drama|War' if i % 2 else 'Comedy'}",
    "u.item.gz": lambda i: f"{i}|Amélie {i}|01-Jan-{1990 + i % 9}||http://x/{i}|{flags(i)}",
}


def flags(item: int) -> str:
    """Drama and War for odd ones, Comedy for others, by their places in MovieLens' list."""
    having = (8, 17) if item % 2 else (5,)
    return "|".join("1" if place in having else "0" for place in range(GENRES))


@pytest.mark.parametrize("name", MOVIES)
def test_movielens_items_are_read_with_their_genres_and_titles(name: str, tmp_path: Path) -> None:
    rows = low_rank(users=40)
    with (tmp_path / "u.data").open("w") as file:
        np.savetxt(file, np.c_[rows, rows[:, 0]], "%g", delimiter="\t")
    lines = ["movieId,title,genres"] if name.endswith("csv") else []
    lines += [MOVIES[name](item) for item in range(ITEMS)]
    content = "\n".join([*lines, ""]).encode("utf-8" if name.endswith("csv") else "latin-1")
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    found = open_data(tmp_path / "u.data", DataOptions(items=tmp_path / name)).family
    columns = list(found.input_format.columns)
    genres = ["genres=Comedy", "genres=Drama", "genres=War"]
    assert sorted(each for each in columns if each.startswith("genres=")) == genres
    assert ("year" in columns) is name.startswith("u.item")
    known = KnownItems.of(found.view.assets)  # type: ignore[union-attr]
    for place, item in enumerate(map(int, known.names)):
        assert known.titles[place] == f"Amélie {item}"
        of_item = [known.table[place, columns.index(genre)].item() for genre in genres]
        assert of_item == ([0.0, 1.0, 1.0] if item % 2 else [1.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("movies.dat", "1::A::Drama\n2::B\n", "line 2: expected item, title, genres apart by '::'"),
        ("u.item", "1|A|01-Jan-1995||x|1|0\n", "line 1: expected item, .*, 19 genres as 0 or 1"),
        ("u.item", f"1|A|?-?||x|{'0|' * 18}1\n", "line 1: expected item, title, year"),
        ("u.item", f"1|A|01-Jan-1995||x|{'0|' * 18}2\n", "line 1: expected item, title, year"),
        ("movies.dat", "\n\n", "has no rows"),
        ("movies.dat.gz", "1::A::Drama\n", "cannot be read"),
        ("movies.dat", "1::\x81::Drama\n", "neither UTF-8 nor Latin-1"),
    ],
    ids=["short", "few flags", "no year", "no flag", "empty", "no gzip", "no text"],
)
def test_a_bad_file_of_items_is_one_line(
    name: str, content: str, says: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=says) as caught:
        read_about(tmp_path / name)
    assert "\n" not in str(caught.value)
