"""What is known of users: worth much with few ratings, never by their own, the same from a file."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import metaloop as ml
from metaloop.catalogue.families import DataOptions, open_data
from metaloop.cli import run
from metaloop.core.columns import Beside, take
from metaloop.core.errors import DataError, InputError, ModelFileError
from metaloop.domains.ratings.items import Ratings, cross_fitted
from metaloop.domains.ratings.leaning import cross_fitted_leanings, leanings
from metaloop.domains.ratings.users import KnownUsers
from metaloop.engine.evaluation import evaluate
from metaloop.estimators.recommending import recommend
from metaloop.jobs.shipping import load_shipped, ship_family
from metaloop.models import Model, open_for
from metaloop.models.checking import check_assets
from metaloop.models.training import Trained, train_model
from metaloop.tasks.groups import GroupFamily
from metaloop.tasks.readers.about_files import read_about

USERS, ITEMS, EACH, SHOTS = 160, 40, 16, 2
RATED, STARS = ["i1", "i4", "i7"], [5, 1, 4]


def side_of(user: int) -> int:
    return 1 if user % 2 else -1


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Ratings of two groups of opposite tastes, and a table that has more than which one it is."""
    folder, rng = tmp_path_factory.mktemp("groups"), np.random.default_rng(0)
    kinds, lines = rng.normal(size=ITEMS), ["user_id,item_id,rating"]
    said = ["user_id,team,age,nickname,mean_rating,ratings,country"]
    for user in range(USERS):
        items = rng.choice(ITEMS, int(rng.integers(8, 2 * EACH)), replace=False)
        stars = np.clip(3 + kinds[items] * side_of(user) + rng.normal(0, 0.5, len(items)), 1, 5)
        stars = stars.round(1)
        lines += [f"u{user},i{i},{star}" for i, star in zip(items, stars, strict=True)]
        if user >= 8:  # nothing is known of the first
            team = "red, tall" if side_of(user) > 0 else "blue"
            cells = f'{team}",{20 + user % 37},nick {user},{stars.mean():.3f},{len(items)},here'
            said.append(f'u{user},"{cells}')
    (folder / "stars.csv").write_text("\n".join(lines) + "\n")
    (folder / "who.csv").write_text("\n".join(said) + "\n")
    return folder / "stars.csv", folder / "who.csv"


def opened(stars: Path, users: Path | None) -> GroupFamily:
    found = open_data(stars, DataOptions(users=users)).family
    assert isinstance(found, GroupFamily)
    return found


@pytest.fixture(scope="module")
def family(files: tuple[Path, Path]) -> GroupFamily:
    return opened(*files)


def trained(family: GroupFamily, learner: str, budget: str = "1steps") -> Model:
    *_, last = train_model(family, learner, budget=budget, shots=SHOTS, queries=6)
    assert isinstance(last, Trained)
    return last.model


@pytest.fixture(scope="module")
def model(family: GroupFamily) -> Model:
    return trained(family, "deep_kernel", "80steps")


def error(model: Model, family: GroupFamily, shots: int = SHOTS) -> float:
    spec = replace(model.spec, shots=shots)
    return evaluate(model.learner, model.meta_params, family, "test", spec, 100)[0].value


def test_with_one_or_two_ratings_every_learner_is_clearly_better_where_users_are_known(
    family: GroupFamily, model: Model, files: tuple[Path, Path]
) -> None:
    without = opened(files[0], None)
    for learner in ("item_mean", "user_bias", "fold_in", "item_knn"):
        assert error(trained(family, learner), family) < 0.75 * error(
            trained(without, learner), without
        )
    plain = trained(without, "deep_kernel", "80steps")
    for shots in (1, 2):
        assert error(model, family, shots) < 0.85 * error(plain, without, shots)


def test_a_user_of_whom_nothing_is_said_is_still_served(
    model: Model, family: GroupFamily, files: tuple[Path, Path]
) -> None:
    unknown = open_for(model, files[0], DataOptions())
    assert any("nothing is known of the users: --users FILE" in each for each in unknown.notes)
    again = open_for(model, files[0], DataOptions(users=files[1]))
    assert any("known from 'who' by 'user_id': 152 of 160" in each for each in again.notes)
    assert isinstance(unknown.family, GroupFamily) and isinstance(again.family, GroupFamily)
    known = error(model, family)
    assert error(model, again.family) == pytest.approx(known, rel=1e-4)
    assert known < 0.9 * error(model, unknown.family) < 1.2


def test_what_follows_ratings_and_what_nobody_shares_is_left_out_and_told(
    files: tuple[Path, Path],
) -> None:
    notes = open_data(files[0], DataOptions(users=files[1])).notes
    assert any("'mean_rating', 'ratings' follow what users rate" in each for each in notes)
    assert any("'nickname' hold texts that hardly any two users share" in each for each in notes)
    assert "of users is used: age, team" in notes  # all are from one country
    assert "users are known from 'who' by 'user_id': 152 of 160" in notes


def test_users_are_read_by_what_training_users_have_and_others_are_unknown(
    family: GroupFamily,
) -> None:
    assert family.view is not None
    known = KnownUsers.of(family.view.assets)
    assert known.about == ("age", "team", "team", "team")
    assert set(known.flags) == {"", "red", "tall", "blue"}
    read = known.read(
        "x", {"TEAM": np.array(["tall", "green"], object), "Age": np.array([38, np.nan])}
    )
    flags = dict(zip(known.flags, read.T, strict=True))
    assert flags["tall"].tolist() == [1, 0] and flags["red"].tolist() == flags["blue"].tolist()
    assert abs(read[0, 0]) < 0.3 and read[1].tolist() == [0, 0, 0, 0]
    inputs = family.store.inputs
    assert isinstance(inputs, Beside)
    rows = torch.from_numpy(family.store.examples_of[0])  # of u0, who is not in the table
    seen = take(inputs, rows)
    assert isinstance(seen, torch.Tensor) and torch.equal(seen[:, 0], seen[:, 1])


def made(seed: int = 0) -> tuple[Ratings, np.ndarray]:
    rng = np.random.default_rng(seed)
    users = np.repeat(np.arange(20), 6)
    items = np.concatenate([rng.choice(9, 6, replace=False) for _ in range(20)])
    return Ratings(users, items, rng.normal(size=120), 9), rng.normal(size=(20, 3))


def test_her_own_ratings_do_not_change_what_users_like_her_are_said_to_think() -> None:
    ratings, about = made()
    train = np.arange(15)

    def found(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        changed = replace(ratings, values=values)
        tables, fold_of, users = cross_fitted(changed, train, np.zeros((9, 0), np.float32))
        fold = np.full(20, len(tables) - 1)
        fold[users] = fold_of
        every, moved = cross_fitted_leanings(changed, fold, tables, about)
        return every, moved, leanings(changed.of(np.isin(changed.users, train)), about)

    every, moved, plain = found(ratings.values)
    share = np.linalg.norm(every) / np.linalg.norm(plain)
    np.testing.assert_allclose(every, share * plain)
    assert 0 <= share <= 1
    for user in (0, 7, 19):
        own = ratings.users == user
        hers = found(np.where(own, ratings.values[::-1] * 3, ratings.values))[1][own]
        # all that may change is the one number by which all are shrunk
        if np.linalg.norm(moved[own]) and np.linalg.norm(hers):
            np.testing.assert_allclose(
                hers / np.linalg.norm(hers), moved[own] / np.linalg.norm(moved[own]), atol=1e-9
            )


def test_what_people_of_other_parts_rate_is_in_no_leaning() -> None:
    ratings, about = made()
    later = ratings.users >= 15
    tables, fold_of, users = cross_fitted(ratings, np.arange(15), np.zeros((9, 0), np.float32))
    fold = np.full(20, len(tables) - 1)
    fold[users] = fold_of
    changed = replace(ratings, values=np.where(later, 9.0, ratings.values))
    for one, other in zip(
        *(cross_fitted_leanings(each, fold, tables, about) for each in (ratings, changed)),
        strict=True,
    ):
        assert np.array_equal(one, other)


def test_a_leaning_is_the_shrunken_mean_of_what_users_with_a_flag_think_more() -> None:
    flag = np.arange(40) % 2 == 0
    users, items = np.repeat(np.arange(40), 2), np.tile([0, 1], 40)
    likes = np.where(items == 0, 1.0, -1.0) * np.where(flag[users], 1.0, -1.0)
    about = np.stack([flag, ~flag], 1).astype(np.float32)
    found = leanings(Ratings(users, items, likes, 2), about)
    np.testing.assert_allclose(found[0], [20 / 30, -20 / 30], atol=1e-9)
    np.testing.assert_allclose(found[1], [-20 / 30, 20 / 30], atol=1e-9)
    np.testing.assert_allclose(found[2], [0, 0], atol=1e-9)  # nobody rates higher than others


def test_a_user_is_told_to_fit_kept_by_partial_fit_and_by_the_file(
    model: Model, tmp_path: Path
) -> None:
    asked = [f"i{item}" for item in range(ITEMS)]
    red = ml.FewShotRegressor(model).fit(RATED, STARS, user={"team": ["red", "tall"], "age": 30})
    blue = ml.FewShotRegressor(model).fit(RATED, STARS, user={"Team": "blue"})
    nobody = ml.FewShotRegressor(model).fit(RATED, STARS)
    alike = np.corrcoef([each.predict(asked) for each in (red, blue, nobody)])
    assert alike[0, 1] < 0.5 and alike[0, 1] < min(alike[2, 0], alike[2, 1]) - 0.1
    step = ml.FewShotRegressor(model).partial_fit(RATED[:1], STARS[:1], user={"team": "blue"})
    step.partial_fit(RATED[1:], STARS[1:])
    np.testing.assert_allclose(step.predict(asked), blue.predict(asked), rtol=1e-5)
    blue.save(tmp_path / "blue.metaloop")
    loaded = ml.load(tmp_path / "blue.metaloop")
    np.testing.assert_array_equal(loaded.predict(asked), blue.predict(asked))
    best = recommend(loaded, 3, rated=RATED)
    np.testing.assert_allclose(
        loaded.predict([e.name for e in best]), [e.value for e in best], rtol=1e-5
    )
    loaded.fit(RATED, STARS)  # of another user, of whom nothing is known
    np.testing.assert_allclose(loaded.predict(asked), nobody.predict(asked), rtol=1e-5)
    for user, says in (
        ({"sex": "F"}, "of a user the model knows age, team; got 'sex'"),
        ({"age": "old"}, "'age' of a user is a number, got 'old'"),
        ("red", "a dictionary of what is known of her, got a str"),
    ):
        with pytest.raises(InputError, match=says):
            nobody.fit(RATED, STARS, user=user)
    with pytest.raises(InputError, match="given with her first ratings, to fit"):
        nobody.partial_fit(RATED, STARS, user={"team": "red"})
    with pytest.raises(InputError, match="without a model nothing is known of users"):
        ml.FewShotRegressor().fit([[0.0], [1.0]], [0, 1], user={"team": "red"})


def typed(capfd: pytest.CaptureFixture[str], *words: str, code: int = 0) -> tuple[str, str]:
    capfd.readouterr()
    found = run([*words])
    out, err = capfd.readouterr()
    assert found == code, err
    assert "Traceback" not in err
    return out, " ".join(err.split())


def test_the_command_line_takes_users_and_columns_of_a_support(
    files: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stars, who, path = str(files[0]), str(files[1]), tmp_path / "m.metaloop"
    shown = typed(capfd, "data", stars, "--users", who)[0]
    assert "of users is used: age, team" in shown
    asked = ("--learner", "fold_in", "--budget", "1steps", "--shots", "2", "--out", str(path))
    typed(capfd, "train", stars, "--users", who, *asked)
    mine = tmp_path / "mine.csv"
    best = {}
    for team in ("red", "blue", ""):
        rows = zip(RATED, STARS, ("", team, team), strict=True)
        mine.write_text("item,rating,team\n" + "".join(f"{i},{r},{t}\n" for i, r, t in rows))
        words = ("predict", str(path), "--support", str(mine), "--top", "5", "--json")
        out, err = typed(capfd, *words)
        best[team] = [row["input"] for row in json.loads(out)["predictions"]]
        unknown = "nothing is known of the user; columns as in training would tell: age, team"
        assert (f"of the user: team {team}" if team else unknown) in err
        regressor = ml.load(path).fit(RATED, STARS, user={"team": team} if team else None)
        assert [e.name for e in recommend(regressor, 5, rated=RATED)] == best[team]
    assert not set(best["red"]) & set(best["blue"])
    mine.write_text("item,rating,team\ni1,5,red\ni4,1,blue\n")
    said = typed(capfd, "predict", str(path), "--support", str(mine), "--top", "3", code=2)[1]
    assert "rows are of one user, and 'team' is 'red' and 'blue'; give her the same" in said
    mine.write_text("item,rating,age\ni1,5,old\ni4,1,old\n")
    said = typed(capfd, "predict", str(path), "--support", str(mine), "--top", "3", code=2)[1]
    assert "'age' of a user is a number, got 'old'" in said
    words = ("evaluate", str(path), stars, "--shots", "1", "--episodes", "40", "--json")
    of_known, of_unknown = (
        json.loads(typed(capfd, *words, *more)[0])["value"] for more in (("--users", who), ())
    )
    assert of_known < 0.8 * of_unknown


BAD: dict[str, tuple[str, str]] = {
    "x.csv": (
        "id,team\nx,red\ny,blue\n",
        "no column that names the users: the best, 'id', has 0 of 160",
    ),
    "items.csv": (
        "id,team\n" + "".join(f"i{n},red\n" for n in range(ITEMS)),
        "users and items of the ratings may be swapped",
    ),
    "empty.csv": ("", "expected"),
    "u.user": ("1|24|M|technician|85711\n2|53|F\n", "line 2: expected user, age, gender"),
    "users.dat": ("1::F::young::10::48067\n", "line 1: expected user, gender, age"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_table_of_users_is_one_line(
    name: str, files: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content, says = BAD[name]
    (tmp_path / name).write_text(content)
    words = ("data", str(files[0]), "--users", str(tmp_path / name))
    capfd.readouterr()
    assert run([*words]) == 2
    err = capfd.readouterr().err
    assert says in err or name == "empty.csv"
    assert len(err.strip().splitlines()) == 1 and "Traceback" not in err


def test_users_where_they_are_of_no_use_are_refused(
    files: tuple[Path, Path], events_file: Path, family: GroupFamily
) -> None:
    with pytest.raises(DataError, match=r"is of events, .* leave --users away"):
        open_data(events_file, DataOptions(users=files[1]))
    with pytest.raises(DataError, match="no ratings of items; leave --users away"):
        open_data("digits", DataOptions(users=files[1]))
    plain = trained(opened(files[0], None), "item_mean")
    with pytest.raises(DataError, match="trained without --users"):
        open_for(plain, files[0], DataOptions(users=files[1]))
    with pytest.raises(InputError, match="the model knows nothing of users"):
        ml.FewShotRegressor(plain).fit(RATED, STARS, user={"team": "red"})


def test_movielens_users_are_known_by_their_files(tmp_path: Path) -> None:
    (tmp_path / "users.dat").write_text("1::F::1::10::48067\n2::M::56::16::70072\n\n")
    with gzip.open(tmp_path / "u.user.gz", "wt") as file:
        file.write("1|24|M|technician|85711\n2|53|F|other|94043\n")
    for name, columns in (
        ("users.dat", ("user", "gender", "age", "occupation", "zip")),
        ("u.user.gz", ("user", "age", "gender", "occupation", "zip")),
    ):
        table = read_about(tmp_path / name)
        assert tuple(table.columns) == columns and table.columns["user"].tolist() == ["1", "2"]
        assert [name for name in columns if not table.is_text(name)] == ["age"]
    assert read_about(tmp_path / "users.dat").columns["occupation"].tolist() == ["10", "16"]


def test_a_family_with_users_reaches_workers_as_it_is(family: GroupFamily, tmp_path: Path) -> None:
    again = load_shipped(ship_family(family, tmp_path / "family"))
    spec = again.spec(0, 2, 5)
    one, other = (
        each.sample("train", spec, 4, np.random.default_rng(0)).gather(family.input_format)
        for each in (family, again)
    )
    assert torch.equal(one.query.features, other.query.features)


CHANGES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "leanings": lambda a: {**a, "leanings": a["leanings"][:-1]},
    "user": lambda a: {**a, "user": a["user"][:-1]},
    "scales": lambda a: {**a, "scales": -a["scales"]},
    "ends": lambda a: {**a, "flag_ends": a["flag_ends"] + 1},
    "letters": lambda a: {**a, "about": torch.full_like(a["about"], 255)},
    "table": lambda a: {**a, "table": a["table"][:, :-1]},
}


@pytest.mark.parametrize("change", CHANGES)
def test_users_of_a_file_that_do_not_fit_are_refused(model: Model, change: str) -> None:
    view = model.view
    assert view is not None
    check_assets(view)
    with pytest.raises(ModelFileError, match="damaged"):
        check_assets(replace(view, assets=CHANGES[change](dict(view.assets))))
