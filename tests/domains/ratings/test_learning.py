"""Ratings from reading to recommending: better than plain methods, the same from a file."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import metaloop as ml
from metaloop.catalogue.families import DataOptions, open_data
from metaloop.cli import run
from metaloop.core.errors import InputError, ModelFileError
from metaloop.domains.ratings.known import KnownItems
from metaloop.engine.evaluation import evaluate
from metaloop.estimators.recommending import _moved, recommend
from metaloop.jobs.shipping import load_shipped, ship_family
from metaloop.models import Model
from metaloop.models.checking import check_assets
from metaloop.models.training import Trained, train_model
from metaloop.tasks.groups import GroupFamily

SHOTS = 8


def trained(family: GroupFamily, learner: str, budget: str) -> Model:
    *_, last = train_model(family, learner, budget=budget, shots=SHOTS, queries=10)
    assert isinstance(last, Trained)
    return last.model


@pytest.fixture(scope="module")
def model(family: GroupFamily) -> Model:
    """A deep kernel after some seconds."""
    return trained(family, "deep_kernel", "150steps")


@pytest.fixture(scope="module")
def model_file(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its file."""
    path = tmp_path_factory.mktemp("model") / "stars.metaloop"
    model.save(path)
    return path


def error(model: Model, family: GroupFamily) -> float:
    spec = replace(model.spec, shots=SHOTS)
    result, _ = evaluate(model.learner, model.meta_params, family, "test", spec, 120)
    assert result.metric == "rmse" and {m.metric for m in result.metrics} == {"mae", "ndcg@10"}
    return result.value


def test_it_beats_plain_methods_clearly_where_tastes_have_few_dimensions(
    family: GroupFamily, model: Model
) -> None:
    plain = {
        name: error(trained(family, name, "1steps"), family)
        for name in ("item_mean", "user_bias", "fold_in", "item_knn")
    }
    assert plain["fold_in"] < 0.95 * plain["user_bias"] < 0.95 * plain["item_mean"]
    assert plain["item_knn"] < 0.95 * plain["user_bias"]
    assert error(model, family) < 0.85 * plain["user_bias"]
    attentive = trained(family, "set_attention", "150steps")
    assert error(attentive, family) < 0.85 * plain["user_bias"]


def test_predictions_keep_to_the_scale_of_the_ratings(model: Model) -> None:
    items = model.view.assets["table"][:-1]  # type: ignore[union-attr]
    for value in (1.0, 5.0):
        state = model.adapt(items[:9], torch.full((9, 1), value, dtype=torch.float64), 0)
        found = model.predict(state, items)
        assert float(found.min()) >= 1 and float(found.max()) <= 5


RATED = ["i1", "i4", "i7", "i9"]
STARS = [5, 1, 4, 2]


def test_a_file_gives_the_same_predictions_and_ratings_are_added_as_they_come(
    model: Model, model_file: Path, tmp_path: Path
) -> None:
    loaded = ml.load(model_file)
    before = ml.FewShotRegressor(model).fit(RATED, STARS)
    after = loaded.fit(RATED[:2], STARS[:2]).partial_fit(RATED[2:], STARS[2:])
    asked = ["i2", "i3", "never heard of"]
    np.testing.assert_allclose(after.predict(asked), before.predict(asked))
    after.save(tmp_path / "mine.metaloop")
    again = ml.load(tmp_path / "mine.metaloop")
    np.testing.assert_array_equal(again.predict(asked), after.predict(asked))
    with pytest.raises(InputError, match="X is one item"):
        before.predict("i2")
    with pytest.raises(InputError, match=r"X\[1\] is a float \(2.5\)"):
        before.predict(["i2", 2.5])


def test_the_best_items_are_those_predicted_highest_and_none_that_was_rated(model: Model) -> None:
    regressor = ml.FewShotRegressor(model).fit(RATED, STARS)
    names = [f"i{item}" for item in range(60)]
    values = dict(zip(names, regressor.predict(names).tolist(), strict=True))
    best = recommend(regressor, 5, rated=RATED, explain=True)
    expected = sorted((v for n, v in values.items() if n not in RATED), reverse=True)[:5]
    np.testing.assert_allclose([each.value for each in best], expected)
    assert all(set(each.because) <= set(RATED) for each in best)
    every = recommend(regressor, 100, rated=RATED, exclude_seen=False)
    assert sorted(each.name for each in every) == sorted(names)


def test_the_command_line_ranks_items_for_a_user_nobody_has_seen(
    model_file: Path, ratings_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "my_ratings.csv"
    rows = zip(RATED, STARS, strict=True)
    mine.write_text("item,rating\n" + "".join(f"{i},{r}\n" for i, r in rows))

    def typed(*words: str, code: int = 0) -> str:
        capfd.readouterr()
        found = run(["predict", str(model_file), *words])
        out, err = capfd.readouterr()
        assert found == code, err
        return err if code else out

    lines = typed("--support", str(mine), "--top", "3", "--explain").splitlines()
    assert len(lines) == 3 and "because you rated" in lines[0]
    told = json.loads(typed("--support", str(mine), "--top", "2", "--json"))
    assert [set(row) for row in told["predictions"]] == [
        {"input", "title", "value", "confidence"}
    ] * 2
    assert lines[0].startswith(f"{told['predictions'][0]['value']:.2f}\t")
    (tmp_path / "asked.txt").write_text("i2\ni3\n")
    named = typed("--support", str(mine), str(tmp_path / "asked.txt")).splitlines()
    assert [line.split("\t")[1] for line in named] == ["i2", "i3"]
    for words, says in (
        (("--support", str(mine)), "name inputs to be told apart, or --top N"),
        (("--support", str(mine), "--top", "0"), "at least 1; got 0"),
        (("--support", str(ratings_file), "--top", "3"), "240 users ('user_id')"),
        (("--support", str(mine), "--explain", "x.txt"), "--explain is for --top"),
    ):
        assert says in " ".join(typed(*words, code=2).split())


def test_what_ratings_move_adds_up_to_what_ridge_predicts(family: GroupFamily) -> None:
    model = trained(family, "ridge", "10steps")
    items = model.view.assets["table"][:-1]  # type: ignore[union-attr]
    regressor = ml.FewShotRegressor(model).fit(RATED, STARS)
    moved = _moved(regressor.task_, items)
    assert moved is not None and moved.shape == (60, 4)
    standard = model.learner.predict(
        model.meta_params, regressor.task_.state, model.input_format.to_float(items)
    )
    np.testing.assert_allclose(moved.sum(1), standard[:, 0].detach().numpy(), atol=1e-4)
    assert any(each.because for each in recommend(regressor, 5, rated=RATED, explain=True))


@pytest.mark.parametrize(
    ("learner", "tells"),
    [("item_knn", True), ("fold_in", True), ("set_attention", True), ("user_bias", False)],
)
def test_plain_learners_tell_why_or_a_line_says_that_they_cannot(
    family: GroupFamily, learner: str, tells: bool, tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    plain = trained(family, learner, "1steps")
    plain.save(tmp_path / "m.metaloop")
    (tmp_path / "mine.csv").write_text("item,rating\ni1,5\ni4,1\ni7,4\ni9,2\n")
    words = ["--support", str(tmp_path / "mine.csv"), "--top", "3", "--explain"]
    assert run(["predict", str(tmp_path / "m.metaloop"), *words]) == 0
    out, err = capfd.readouterr()
    assert ("because you rated" in out) is tells
    said = "user_bias cannot tell which ratings speak for an item; these learners can: deep_kernel"
    assert (said in err) is not tells
    if tells:
        regressor = ml.FewShotRegressor(plain).fit(RATED, STARS)
        best = recommend(regressor, 60, rated=RATED, explain=True, exclude_seen=False)
        because = {each.name: each.because for each in best}
        assert "i1" in because["i1"] and "i4" not in because["i4"]  # liked, and not


GENRES = ("Drama", "Comedy")


@pytest.fixture(scope="module")
def genres(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Ratings by users who like one of two genres, and items with two that nobody has rated."""
    folder, rng = tmp_path_factory.mktemp("genres"), np.random.default_rng(0)
    lines = ["user_id,item_id,rating"]
    for user in range(240):
        for item in rng.choice(40, 20, replace=False):
            liked = (item % 2) == (user % 2)
            lines.append(f"u{user},i{item},{np.clip(rng.normal(4.5 if liked else 1.5, 0.4), 1, 5)}")
    (folder / "stars.csv").write_text("\n".join(lines) + "\n")
    items = [f"i{item},{GENRES[item % 2]}" for item in range(40)]
    new = [f"new {genre},{genre}" for genre in GENRES]
    (folder / "items.csv").write_text("\n".join(["item_id,genre", *items, *new]) + "\n")
    return folder / "stars.csv", folder / "items.csv"


def test_an_item_that_nobody_has_rated_is_recommended_by_its_features(
    genres: tuple[Path, Path],
) -> None:
    stars, items = genres
    opened = open_data(stars, DataOptions(items=items)).family
    assert isinstance(opened, GroupFamily)
    regressor = ml.FewShotRegressor(trained(opened, "deep_kernel", "150steps"))
    for likes, genre in enumerate(GENRES):
        rated = [f"i{item}" for item in range(8)]
        regressor.fit(rated, [5.0 if item % 2 == likes else 1.0 for item in range(8)])
        other = GENRES[1 - likes]
        liked, not_liked = regressor.predict([f"new {genre}", f"new {other}"])
        assert liked > 3 > not_liked + 0.5
        names = [each.name for each in recommend(regressor, 42, rated=rated)]
        better = [names.index(f"i{item}") for item in range(8, 40) if item % 2 == likes]
        worse = [names.index(f"i{item}") for item in range(8, 40) if item % 2 != likes]
        assert max(better) < min(worse)
        assert names.index(f"new {genre}") < min(names.index(f"new {other}"), min(worse))
        assert names.index(f"new {other}") > max(better)


def test_the_command_line_recommends_a_new_item_by_what_a_file_says_of_it(
    genres: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stars, items = map(str, genres)
    model = str(tmp_path / "m.metaloop")
    assert run(["data", stars, "--items", items]) == 0
    assert "items are known from 'items' by 'item_id': 42 of 42" in capfd.readouterr().out
    asked = ("--learner", "deep_kernel", "--shots", "6", "--budget", "60steps", "--out", model)
    assert run(["train", stars, "--items", items, *asked]) == 0
    for likes, genre in enumerate(GENRES):
        mine = tmp_path / f"{genre}.csv"
        rows = [f"i{item},{5 if item % 2 == likes else 1}" for item in range(6)]
        mine.write_text("\n".join(["item,rating", *rows]) + "\n")
        capfd.readouterr()
        words = ["predict", model, "--support", str(mine), "--top", "36", "--json"]
        assert run(words) == 0
        out, err = capfd.readouterr()
        assert "unknown" not in err
        best = {row["input"]: row["value"] for row in json.loads(out)["predictions"]}
        assert len(best) == 36 and not set(best) & {f"i{item}" for item in range(6)}
        assert best[f"new {genre}"] > 3 > best[f"new {GENRES[1 - likes]}"]


def test_a_family_of_ratings_reaches_workers_as_it_is(family: GroupFamily, tmp_path: Path) -> None:
    again = load_shipped(ship_family(family, tmp_path / "family"))
    assert again.digest == family.digest
    spec = again.spec(0, 5, 5)
    assert spec.objective == "rating"
    rng = [np.random.default_rng(0) for _ in range(2)]
    one, other = (f.sample("train", spec, 4, r) for f, r in zip((family, again), rng, strict=True))
    batches = [each.gather(family.input_format) for each in (one, other)]
    assert torch.equal(batches[0].query.features, batches[1].query.features)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: {**a, "table": a["table"][:-1]},
        lambda a: {**a, "name_ends": a["name_ends"].flip(0)},
        lambda a: {**a, "rated": a["rated"] - 1000},
        lambda a: {**a, "names": torch.full_like(a["names"], 255)},
    ],
    ids=["table", "ends", "counts", "letters"],
)
def test_items_of_a_file_that_do_not_fit_are_refused(model: Model, change: Any) -> None:
    view = model.view
    assert view is not None
    check_assets(view)
    assert KnownItems.of(view.assets).names[0].startswith("i")
    with pytest.raises(ModelFileError, match="damaged"):
        check_assets(replace(view, assets=change(view.assets)))


@pytest.mark.long
def test_the_page_of_a_run_shows_figures_a_user_and_the_map_of_items(
    ratings_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "run")
    words = ("--shots", "5", "--budget", "60steps", "--workers", "1", "--out", out, "--json")
    assert run(["learn", str(ratings_file), *words]) == 0
    report = json.loads(capfd.readouterr().out)
    page = tmp_path / "page.html"
    assert run(["report", out, "--out", str(page)]) == 0
    text = page.read_text()
    assert report["best"]["promotion"]["metric"] == "rmse"
    assert "rmse" in text and "her rating" in text and "A user of" in text
    assert "rate alike lie near each other" in text and "data:image/png" in text


MOST_BYTES = 600  # a rating, at the peak: text, columns, and what ALS solves
READ = """
import resource, sys
from metaloop.catalogue.families import open_data
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
family = open_data(sys.argv[1]).family
print(len(family.store), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.long
def test_two_million_ratings_are_read_in_memory_that_grows_with_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    users, each, items = 40_000, 50, 2000
    path = tmp_path / "u.data"
    with path.open("w") as file:
        for start in range(0, users, 2000):
            who = np.repeat(np.arange(start, start + 2000), each)
            what = np.concatenate([rng.permutation(items)[:each] for _ in range(2000)])
            rows = np.stack([who, what, rng.integers(1, 6, len(who)), who], 1)
            np.savetxt(file, rows, "%d", delimiter="\t")
    asked = [sys.executable, "-c", READ, str(path)]
    told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    assert int(told[0]) == users * each
    assert int(told[1]) < MOST_BYTES * users * each
