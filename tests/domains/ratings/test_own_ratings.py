"""A user's own ratings: which one of an item counts, and what items say that no one else rated."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.domains.ratings.conftest import ITEMS, USERS, low_rank

import metaloop as ml
from metaloop.catalogue.families import DataOptions, open_data
from metaloop.cli import run
from metaloop.core.columns import Lookup, take
from metaloop.core.errors import ModelFileError
from metaloop.domains.ratings.known import KnownItems
from metaloop.estimators.files import adapted_file, task_from_file
from metaloop.estimators.recommending import recommend
from metaloop.models import Model
from metaloop.models.training import Trained, train_model
from metaloop.serve.answering import learned
from metaloop.serve.limits import Limits
from metaloop.serve.sent import Sent
from metaloop.serve.served import Reader, served
from metaloop.tasks.groups import GroupFamily
from metaloop.tasks.readers.own_ratings import ratings_of_one
from metaloop.tasks.readers.tables import table_of

ASKED = ["i2", "i3", "Film 9", "never heard of"]


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> GroupFamily:
    """Low-rank ratings; every other user has an item besides that only she rated; with titles."""
    folder = tmp_path_factory.mktemp("own")
    lines = [f"u{int(user)},i{int(item)},{star:g}" for user, item, star in low_rank()]
    lines += [f"u{user},own{user},{1 + user % 5}" for user in range(0, USERS, 2)]
    (folder / "stars.csv").write_text("\n".join(["user_id,item_id,rating", *lines]) + "\n")
    titles = [f"i{item},Film {item}" for item in range(ITEMS)]
    (folder / "items.csv").write_text("\n".join(["item_id,title", *titles]) + "\n")
    found = open_data(folder / "stars.csv", DataOptions(items=folder / "items.csv")).family
    assert isinstance(found, GroupFamily)
    return found


@pytest.fixture(scope="module")
def model(family: GroupFamily) -> Model:
    *_, last = train_model(family, "fold_in", budget="1steps", shots=5, queries=10)
    assert isinstance(last, Trained)
    return last.model


@pytest.fixture(scope="module")
def model_file(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "stars.metaloop"
    model.save(path)
    return path


def fitted(model: Model, items: list[str], stars: list[float]) -> ml.FewShotRegressor:
    return ml.FewShotRegressor(model).fit(items, stars)


def same(one: ml.FewShotRegressor, other: ml.FewShotRegressor) -> None:
    np.testing.assert_allclose(one.predict(ASKED), other.predict(ASKED), rtol=1e-5)


@pytest.mark.parametrize(
    ("times", "expected", "says"),
    [
        ({}, {"a": 5.0, "b": 2.0}, "the last in the file counts"),
        ({"timestamp": [30, 10, 20]}, {"a": 1.0, "b": 2.0}, "the last by time counts"),
        ({"timestamp": [20, 10, 20]}, {"a": 5.0, "b": 2.0}, "the last by time counts"),
        ({"timestamp": [20, 10, None]}, {"a": 1.0, "b": 2.0}, "the last by time counts"),
        (
            {"Date": ["2024-02-01", "2024-01-01", "2023-12-31"]},
            {"a": 1.0, "b": 2.0},
            "the last by time counts",
        ),
        (
            {"date": ["monday", "friday", "sunday"]},
            {"a": 5.0, "b": 2.0},
            "the last in the file counts",
        ),
    ],
    ids=["order", "time", "tie", "no time", "date", "no date"],
)
def test_of_an_item_that_a_user_rated_again_the_last_rating_counts(
    times: dict[str, list[Any]], expected: dict[str, float], says: str
) -> None:
    table = table_of({"item": ["a", "b", "a"], "rating": [1, 2, 5], **times})
    items, stars, left_out, notes = ratings_of_one("mine", table, None)
    assert dict(zip(items, stars, strict=True)) == expected
    assert [(each.count, each.reason) for each in left_out] == [(1, says)]
    assert any("time" in note for note in notes) is (says == "the last by time counts")
    assert any("the order of rows counts" in note for note in notes) is ("date" in times)


def test_a_time_that_is_named_counts_and_events_have_none() -> None:
    table = table_of({"item": ["a", "a"], "rating": [1, 5], "seen": [2, 1]})
    columns = {"item": "item", "rating": "rating", "time": "seen"}
    assert ratings_of_one("mine", table, columns)[:2] == (["a"], [1.0])
    assert ratings_of_one("mine", table, None)[:2] == (["a"], [5.0])
    assert ratings_of_one("mine", table, columns, events=True)[:2] == (["a"], [1.0])


def test_the_command_line_takes_the_latest_rating_of_an_item_whatever_it_is_called(
    model: Model, model_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text("item,rating,timestamp\ni1,1,30\ni4,4,10\nFilm 1,5,20\ni7,2,10\n")
    words = ["predict", str(model_file), "--support", str(mine), "--top", "5", "--json"]
    assert run(words) == 0
    out, err = capfd.readouterr()
    assert "left out: 1 x the last by time counts: ratings of an item rated again" in err
    assert "item 'item', rating 'rating', time 'timestamp'" in err
    expected = fitted(model, ["i1", "i4", "i7"], [1, 4, 2])
    best = recommend(expected, 5, rated=["i1", "i4", "i7"])
    told = json.loads(out)["predictions"]
    assert [row["input"] for row in told] == [each.name for each in best]
    np.testing.assert_allclose([row["value"] for row in told], [each.value for each in best])


def test_fit_says_that_an_item_came_twice_and_the_later_rating_counts(model: Model) -> None:
    with pytest.warns(UserWarning, match="X has 4 items of which 3 are different"):
        twice = fitted(model, ["i1", "i4", "film 1", "i7"], [1, 4, 5, 2])
    same(twice, fitted(model, ["i4", "i1", "i7"], [4, 5, 2]))
    names = ["i1", "i4", "film 1", "i7"]
    best = recommend(twice, 1000, rated=names, explain=True, exclude_seen=False)
    because = {each.name: each.because for each in best}
    assert "Film 1" in because["i1"]


def test_a_new_rating_takes_the_place_of_the_earlier_one_from_a_file_too(
    model: Model, tmp_path: Path
) -> None:
    expected = fitted(model, ["i4", "x", "i1"], [4, 5, 2])
    before = fitted(model, ["i1", "i4", "x"], [5, 4, 5])
    before.save(tmp_path / "mine.metaloop")
    same(ml.load(tmp_path / "mine.metaloop").partial_fit(["Film 1"], [2]), expected)
    after = before.partial_fit(["Film 1"], [2])
    same(after, expected)
    assert after.task_.support is not None and after.task_.support.items == ("i4", "x", "i1")


def test_a_model_that_was_adapted_leaves_out_what_its_user_has_rated_and_tells_why(
    model_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    mine, adapted = tmp_path / "mine.csv", str(tmp_path / "mine.metaloop")
    mine.write_text("item,rating\ni1,5\ni4,1\nFilm 7,4\n")
    rank = ("--top", "100", "--explain", "--json")
    assert run(["predict", str(model_file), "--support", str(mine), *rank]) == 0
    told = capfd.readouterr().out
    assert run(["fit", str(model_file), "--support", str(mine), "--out", adapted]) == 0
    capfd.readouterr()
    assert run(["predict", adapted, *rank]) == 0
    found, expected = (json.loads(out)["predictions"] for out in (capfd.readouterr().out, told))
    assert found == expected and any(row["because"] for row in found)
    assert not {"i1", "i4", "i7"} & {row["input"] for row in found}


def test_items_that_a_model_does_not_know_are_told_apart_by_their_names(model: Model) -> None:
    regressor = fitted(model, ["x", "y"], [5, 1]).partial_fit(["x"], [3])
    assert regressor.task_.support is not None
    assert regressor.task_.support.targets.flatten().tolist() == [1.0, 3.0]


def test_a_server_counts_an_item_once_as_fit_does(model: Model) -> None:
    of = served("films", ml.FewShotRegressor(model))
    reader = Reader(of, Limits())
    names = ("i1", "i4", "Film 1", "x", "y")
    inputs = [reader.read(Sent("item", name.encode())) for name in names]
    ready = learned(of, reader, inputs, [1.0, 4.0, 5.0, 3.0, 2.0], [10, 11, 12, 13, 14])
    assert ready.examples == (11, 12, 13, 14) and ready.adapted is not None
    expected = fitted(model, ["i4", "i1", "x", "y"], [4, 5, 3, 2])
    asked = expected.task_.model.view
    assert asked is not None
    rows = asked.assets["table"][:5]
    torch.testing.assert_close(ready.adapted.outputs(rows), expected.task_.outputs(rows))


@pytest.mark.parametrize(
    "change",
    [
        lambda s: {**s, "item_ends": s["item_ends"][:-1]},
        lambda s: {**s, "item_ends": s["item_ends"] + 1},
        lambda s: {**s, "items": s["items"].float()},
        lambda s: {**s, "items": torch.full_like(s["items"], 255)},
        lambda s: {name: tensor for name, tensor in s.items() if name != "items"},
    ],
    ids=["number", "ends", "kind", "letters", "half"],
)
def test_names_of_a_file_that_do_not_fit_its_support_are_refused(model: Model, change: Any) -> None:
    content = adapted_file(fitted(model, ["i1", "x"], [5, 1]).task_, ())
    assert content.support is not None
    support = task_from_file(content).support
    assert support is not None and support.items == ("i1", "x")
    older = {name: content.support[name] for name in ("inputs", "targets")}
    support = task_from_file(replace(content, support=older)).support
    assert support is not None and support.items is None
    with pytest.raises(ModelFileError):
        task_from_file(replace(content, support=change(content.support)))


def alone(family: GroupFamily, part: str) -> tuple[int, str]:
    """A user of this part who has rated an item that no one else has, and that item."""
    names = {place: family.store.classes[place].name for place in family.parts[part].tolist()}
    user = next(place for place, name in names.items() if int(name[1:]) % 2 == 0)
    return user, f"own{names[user][1:]}"


def test_an_item_that_only_a_new_user_rated_counts_as_one_that_nobody_knows(
    family: GroupFamily, model: Model, model_file: Path, tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    hers, of_training = alone(family, "test")[1], alone(family, "train")[1]
    regressor = fitted(model, ["i1", "i4", hers, "never"], [5, 4, 1, 2])
    same(regressor, fitted(model, ["i1", "i4", "one", "another"], [5, 4, 1, 2]))
    without = fitted(model, ["i1", "i4"], [5, 4])
    assert (regressor.predict(ASKED) < without.predict(ASKED)).all()  # it tells how she rates
    names = {each.name for each in recommend(regressor, 1000)}
    assert hers not in names and of_training in names and "never" not in names
    mine = tmp_path / "mine.csv"
    rows = ("i1,5", "i4,4", f"{hers},1", "never,2", f"{of_training},3")
    mine.write_text("\n".join(["item,rating", *rows]) + "\n")
    assert run(["predict", str(model_file), "--support", str(mine), "--top", "3"]) == 0
    out, err = capfd.readouterr()
    assert "2 of 5 items are unknown to the model, and count as usual ones" in err
    assert len(out.splitlines()) == 3


def test_an_item_that_only_she_rated_is_unknown_to_a_user_in_training(family: GroupFamily) -> None:
    user, hers = alone(family, "train")
    store, raw, view = family.store, family.raw, family.view
    assert raw is not None and view is not None and isinstance(store.inputs, Lookup)
    known = KnownItems.of(view.assets)
    table = store.inputs.table
    assert isinstance(table, torch.Tensor)
    rows = torch.from_numpy(store.examples_of[user])
    names = take(raw.inputs, rows)
    (place,) = (place for place, name in enumerate(names) if name == hers)
    fold = int(store.inputs.index[rows[place]]) // (len(known.names) + 1)
    unknown = table[(fold + 1) * (len(known.names) + 1) - 1]
    torch.testing.assert_close(take(store.inputs, rows[place : place + 1])[0], unknown)
    assert bool(known.heard_of[known.places([hers])])  # whoever comes later hears of it from her
