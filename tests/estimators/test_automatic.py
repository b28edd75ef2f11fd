"""`AutoClassifier` and `AutoRegressor`: scikit-learn's own checks, mixed frames, archives."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import cross_val_score
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

import metaloop as ml
from metaloop import AutoClassifier, AutoRegressor
from metaloop.core.errors import MetaloopError
from metaloop.domains.tables.pipelines import filed, league_of_pipelines, offered
from metaloop.domains.tables.storing import can_store
from metaloop.estimators import TrainedTable, automatic
from metaloop.selecting.tabular.knowledge import prior_with


def quick(kind: type[Any]) -> Any:
    return kind(budget="2steps", pipelines=("logistic", "knn"))


CHEAP = (
    *("check_estimators_unfitted", "check_dict_unchanged", "check_fit2d_predict1d"),
    *("check_n_features_in", "check_set_params"),
)


@pytest.mark.parametrize("check", CHEAP)
def test_scikit_learn_finds_nothing_wrong_at_a_first_look(check: str) -> None:
    getattr(estimator_checks, check)("AutoClassifier", quick(AutoClassifier))


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.filterwarnings("ignore:'.*' alone tells 'y':UserWarning")  # its data are easy
@parametrize_with_checks([quick(AutoClassifier), quick(AutoRegressor)])
def test_scikit_learn_finds_nothing_wrong(estimator: Any, check: Any) -> None:
    check(estimator)


def test_a_classifier_chooses_and_says_what_it_tried() -> None:
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    model = AutoClassifier(budget="14steps", pipelines=("logistic", "svm", "knn")).fit(X, names)
    assert model.score(X, names) > 0.93 and model.score_ > 0.9
    assert model.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert np.allclose(model.predict_proba(X).sum(1), 1)
    assert {row["league"] for row in model.leaderboard_} == {"none"}
    assert [row["pipeline"] for row in model.leaderboard_] and sum(model.chosen_.values()) == 1
    assert cross_val_score(clone(model).set_params(budget="3steps"), X, y, cv=3).mean() > 0.9


def test_a_frame_of_mixed_columns_is_taken_and_unseen_words_are_no_trouble() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is an extra")
    rng = np.random.default_rng(0)
    town = rng.choice(["north", "south"], 80)
    frame = pandas.DataFrame({
        "age": np.where(rng.random(80) < 0.1, np.nan, rng.normal(40, 9, 80)),
        "town": town,
        "since": pandas.to_datetime("2024-01-01") + pandas.to_timedelta(range(80), "D"),
        "member": rng.random(80) < 0.5,
    })  # fmt: skip
    y = np.where(town == "north", 10.0, 0.0) + rng.normal(size=80)
    model = AutoRegressor(budget="4steps", pipelines=("logistic", "knn")).fit(frame, y)
    assert model.score(frame, y) > 0.8
    new = frame.head(3)[["town", "age", "member", "since"]].assign(town="east", more=1)
    assert np.isfinite(model.predict(new)).all()
    with pytest.raises(MetaloopError, match="lacks 1 column"):
        model.predict(frame.drop(columns="age"))
    with pytest.raises(ValueError, match="data frame"):
        model.predict(np.zeros((2, 4)))


def test_what_was_observed_again_may_be_told_by_what_is_equal_to_it() -> None:
    rng = np.random.default_rng(0)
    kinds = np.r_[np.repeat(np.arange(100), 2), 100:140]  # nothing else tells their classes
    X, y = rng.normal(size=(140, 2))[kinds], (rng.permutation(140) % 2)[kinds]
    asked: dict[str, Any] = {"budget": "5 steps", "pipelines": ("knn/nearest",)}
    told = AutoClassifier(**asked).fit(X, y).score_  # they may be copies
    y[:24:2] = 1 - y[:24:2]  # twelve of a hundred are none
    again = AutoClassifier(**asked).fit(X, y).score_
    assert told is not None and again is not None and told < 0.6 < 0.65 < again


def test_what_is_not_learned_from_is_told_and_a_leak_is_a_warning() -> None:
    rng = np.random.default_rng(0)
    y = rng.choice(["a", "b"], 80)
    columns = {
        "x": rng.normal(size=80), "customer": [f"K{i}" for i in range(80)],
        "cost": np.r_[np.inf, rng.normal(size=79)],
    }  # fmt: skip
    model = AutoClassifier(budget="2steps", pipelines=("logistic",)).fit(columns, y)
    assert model.dropped_ == {"customer": "has another word in every row: a name of it"}
    assert "'cost': 1 infinite numbers count as missing" in model.notes_
    with pytest.warns(UserWarning, match=r"'copy' alone tells 'y' .* leave it out of X") as warned:
        leaked = clone(model).fit({**columns, "copy": np.where(y == "a", 1.5, 0)}, y)
    assert leaked.notes_[:-1] == model.notes_ and str(warned[0].message) == leaked.notes_[-1]
    plain = AutoRegressor(budget="2steps", pipelines=("logistic",))
    levels = rng.integers(0, 4, 80).astype(float)
    with pytest.warns(UserWarning, match="'0' alone tells 'y'"):
        plain.fit(np.stack([levels, rng.normal(size=80)], axis=1), 3 * levels)
    assert plain.dropped_ == {}


@pytest.mark.skipif(not can_store(), reason="skops is not installed (the extra 'tables')")
@pytest.mark.parametrize("labels", [None, ["a", "b", "c"], [3.0, 5.0, 7.0]])
def test_what_was_fitted_goes_through_a_file(labels: list[Any] | None, tmp_path: Path) -> None:
    X, y = load_iris(return_X_y=True)
    kind = AutoRegressor if labels is None else AutoClassifier
    y = X[:, 0] if labels is None else np.array(labels)[y]
    model = kind(budget="4steps", pipelines=("logistic", "knn")).fit(X[:, 1:], y)
    model.save(tmp_path / "m.metaloop")
    back = kind.load(tmp_path / "m.metaloop")
    np.testing.assert_array_equal(back.predict(X[:, 1:]), model.predict(X[:, 1:]))
    assert (back.score_, back.chosen_) == (model.score_, model.chosen_)
    assert back.score(X[:, 1:], y) == model.score(X[:, 1:], y) and back.n_features_in_ == 3
    if labels is not None:
        np.testing.assert_array_equal(back.predict_proba(X[:, 1:]), model.predict_proba(X[:, 1:]))
        assert back.classes_.tolist() == labels
    other = AutoClassifier if labels is None else AutoRegressor
    with pytest.raises(MetaloopError, match=f"load it by {kind.__name__}"):
        other.load(tmp_path / "m.metaloop")
    with pytest.raises(MetaloopError, match="exists"):
        model.save(tmp_path / "m.metaloop")
    table = ml.load(tmp_path / "m.metaloop")
    assert isinstance(table, TrainedTable)
    np.testing.assert_array_equal(table.predict(X[:9, 1:]), model.predict(X[:9, 1:]))


WORDS = {"praise": ("warm", "friendly", "lovely"), "blame": ("cold", "rude", "bland")}
OTHERS = ("the", "soup", "waiter", "table", "evening", "street", "window", "rain")


def opinions(rows: int, seed: int) -> tuple[dict[str, Any], np.ndarray]:
    """Texts with one word that tells praise from blame, beside a number that tells nothing."""
    rng = np.random.default_rng(seed)
    y = rng.choice(list(WORDS), rows)
    texts = [" ".join([*rng.choice(OTHERS, 6), rng.choice(WORDS[label])]) for label in y]
    return {"x": rng.normal(size=rows), "text": texts}, y


@pytest.mark.skipif(not can_store(), reason="skops is not installed (the extra 'tables')")
@pytest.mark.parametrize("pipeline", ["logistic", "extra_trees"])  # one of each way to see columns
def test_texts_that_alone_tell_the_class_are_learned_and_go_through_a_file(
    pipeline: str, tmp_path: Path
) -> None:
    X, y = opinions(120, 0)
    model = AutoClassifier(budget="2steps", pipelines=(pipeline,)).fit(X, y)
    new, told = opinions(60, 1)
    assert model.score_ > 0.9 and model.score(new, told) > 0.9
    model.save(tmp_path / "m.metaloop")
    back = AutoClassifier.load(tmp_path / "m.metaloop")
    assert {column.name: column.kind for column in back._model.schema}["text"] == "text"
    new["text"][0] = ""  # nothing was said
    np.testing.assert_array_equal(back.predict_proba(new), model.predict_proba(new))
    assert np.isfinite(back.predict_proba(new)).all()


@pytest.mark.skipif(not can_store(), reason="skops is not installed (the extra 'tables')")
def test_an_archive_of_select_moves_what_is_tried_first(tmp_path: Path) -> None:
    X, y = load_iris(return_X_y=True)
    columns = {f"c{place}": X[:, place] for place in range(4)}
    archive = tmp_path / "all.sqlite"
    run = ml.select(
        {**columns, "y": [f"k{each}" for each in y]}, target="y", budget="6steps",
        out=tmp_path / "run", archive_to=archive, progress=False,
    )  # fmt: skip
    raced = [row["pipeline"] for row in run.content["leaderboard"]]
    seen: list[Any] = []

    def spied(*asked: Any) -> Any:
        seen.append(prior_with(*asked))
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(automatic, "prior_with", spied)
        other = np.random.default_rng(0).normal(size=X.shape) + y[:, None]
        for data in (other, X):
            AutoClassifier("2steps", pipelines=raced[:3], archive=archive).fit(data, y)
    assert seen[0].provenance["archive"] == "1 other table"
    assert "archive" not in seen[1].provenance  # these very rows
    with pytest.raises(MetaloopError, match=r"no\.sqlite"):
        AutoClassifier("2steps", archive=tmp_path / "no.sqlite").fit(X, y)


def test_a_strange_pipeline_or_metric_is_named_with_those_that_are_known() -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.raises(MetaloopError, match="did you mean 'logistic'"):
        AutoClassifier(budget="2steps", pipelines=("logistik",)).fit(X, y)
    with pytest.raises(MetaloopError, match="no metric for such a target is called 'rmse'"):
        AutoClassifier(budget="2steps", metric="rmse").fit(X, y)


@pytest.mark.long
@pytest.mark.skipif(not can_store(), reason="skops is not installed (the extra 'tables')")
def test_a_budget_of_seconds_is_kept_and_workers_leave_nothing_behind() -> None:
    import time

    X, y = load_iris(return_X_y=True)
    begun = time.perf_counter()
    model = AutoClassifier(budget="15s", workers=1).fit(X, y)
    assert time.perf_counter() - begun < 15 * 1.1 + 5
    # how many get their turn in that time is the machine's affair
    assert model.score_ > 0.9 and len(model.leaderboard_) > 1


def test_a_learner_of_another_library_takes_part_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its weights are its own affair: the name, the arguments and what it is asked for are not."""
    from sklearn.neighbors import KNeighborsClassifier

    class InItsPlace(KNeighborsClassifier):  # type: ignore[misc]
        def __init__(self, random_state: int = 0, device: str = "") -> None:
            assert device == "cpu"
            super().__init__(3)
            self.random_state, self.device = random_state, device

    library = ModuleType("tabpfn")
    library.__spec__ = ModuleSpec("tabpfn", None)
    library.TabPFNClassifier = InItsPlace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tabpfn", library)
    X, y = load_iris(return_X_y=True)
    model = AutoClassifier(budget="5steps", pipelines=("tabpfn",)).fit(X, y)
    assert model.chosen_ == {"tabpfn": 1.0} and model.score_ > 0.9
    assert [row["league"] for row in model.leaderboard_] == ["tabpfn"]  # it brings a pretrained net
    assert league_of_pipelines(["svm", "tabpfn", "tabicl"]) == "tabpfn + tabicl"
    names = offered(True, 3)
    assert "tabpfn" in names and "tabpfn" not in filed(names)
    assert "tabpfn" not in offered(True, 11) and "tabpfn" in offered(True, 10)


def test_what_cannot_be_in_a_model_file_takes_no_part_and_is_told() -> None:
    from metaloop.selecting.tabular.selecting import _not_filed

    assert _not_filed(("svm", "tabpfn"), filed(("svm", "tabpfn")))[0].startswith("tabpfn cannot")
    assert not _not_filed(("svm",), filed(("svm",)))
