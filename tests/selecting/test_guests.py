"""Guests in `select`: they are raced, may win, are kept in a model file, or fail in one line."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import metaloop as ml
from metaloop.archive import Archive
from metaloop.catalogue.guests import guest_of
from metaloop.cli import run as command
from metaloop.core.budget import Budget
from metaloop.core.errors import GuestError, MetaloopError, ModelFileError
from metaloop.guests.sklearn.storing import kept, restored
from metaloop.modelfile import read_model, write_model
from metaloop.selecting import SelectSettings
from metaloop.selecting.guests import kept_back, learned_rows
from metaloop.selecting.offer import Guesting
from metaloop.selecting.racing import Entry
from metaloop.selecting.run import Selecting
from metaloop.tasks.store import Reading

Images = Callable[..., tuple[np.ndarray, list[str]]]

SHORT = SelectSettings(proxy_steps=1, search_share=0.5, guest_seconds=120.0)
ASKED: dict[str, Any] = {
    "budget": "4steps",
    "workers": 1,
    "backbone": "none",
    "progress": False,
    "settings": SHORT,
}


class Raising(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Fails where it should learn."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> Raising:
        raise RuntimeError("no\nluck")


class Slow(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Never ends."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> Slow:
        time.sleep(600)
        return self


class Mine(LogisticRegression):  # type: ignore[misc]
    """Good, and of a type that no model file holds."""


needs_skops = pytest.mark.skipif(
    importlib.util.find_spec("skops") is None,
    reason="skops is not installed (the extra 'tables'): no model file holds an estimator",
)


@pytest.fixture(scope="module")
def run(reading: Reading, tmp_path_factory: pytest.TempPathFactory) -> ml.SelectResult:
    """A run too short for nets, in which a pipeline of the caller's own takes part."""
    guests = {"lines": make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))}
    return ml.select(reading, out=tmp_path_factory.mktemp("run") / "out", guests=guests, **ASKED)


@needs_skops
def test_a_guest_that_is_better_than_short_trained_nets_is_chosen(run: ml.SelectResult) -> None:
    best = run.content["best"]
    assert (best["learner"], best["name"], best["operator"]) == ("own", "lines", "guest")
    assert best["reason"].startswith("a guest") and best["league"] == "none"
    assert best["examples"] == run.content["data"]["examples"]["train"] and best["cpu_seconds"] > 0
    assert run.test is not None and run.test.value > 0.8
    assert run.cpu_seconds > best["cpu_seconds"]
    assert run.table[0][0] == "lines"


@needs_skops
def test_the_archive_and_the_page_have_the_guest(run: ml.SelectResult) -> None:
    with Archive.open(run.archive, read_only=True) as archive:
        (trial,) = archive.trials(candidate=run.content["best"]["candidate"])
    assert trial.trial.status == "finished" and "learned from" in trial.trial.message
    assert "guest" in run.report().read_text()


@needs_skops
def test_the_model_file_holds_the_fitted_guest(run: ml.SelectResult, squares: Images) -> None:
    content = read_model(run.path)
    assert (
        set(content.weights) == {"estimator"} and content.weights["estimator"].dtype is torch.uint8
    )
    images, names = squares(each=4, seed=5)
    loaded = ml.load(run.out)
    assert isinstance(loaded, ml.TrainedClassifier)
    assert (loaded.predict(images) == np.array(names)).mean() > 0.8
    shares = loaded.predict_proba(images)
    assert np.allclose(shares.sum(1), 1) and np.array_equal(shares, run.model.predict_proba(images))


@needs_skops
def test_a_guest_of_a_file_that_does_not_fit_is_refused(
    run: ml.SelectResult, tmp_path: Path
) -> None:
    content = read_model(run.path)
    other = kept(GaussianNB().fit(np.eye(4), [0, 1, 0, 1]))
    for weights in ({}, {"estimator": torch.zeros(9, dtype=torch.uint8)}, {"estimator": other}):
        tensors = {
            name: torch.from_numpy(np.frombuffer(data, np.uint8).copy())
            if isinstance(data, bytes)
            else data
            for name, data in weights.items()
        }
        changed = dataclasses.replace(content, weights=tensors)
        write_model(tmp_path / "bad.metaloop", changed, overwrite=True)
        with pytest.raises(ModelFileError):
            ml.load(tmp_path / "bad.metaloop")


@needs_skops
def test_bad_guests_are_rows_that_say_why_and_nothing_is_lost(reading: Reading) -> None:
    guests = {"none": object(), "raising": Raising(), "slow": Slow(), "mine": Mine(max_iter=200)}
    settings = dataclasses.replace(SHORT, guest_seconds=25.0)
    run = ml.select(reading, out="run", guests=guests, **{**ASKED, "settings": settings})
    assert run.status == "finished" and run.content["best"]["learner"] == "classifier"
    rows = {row["name"]: row for row in run.content["leaderboard"] if row["learner"] == "own"}
    assert {name: row["status"] for name, row in rows.items()} == {
        "none": "failed",
        "raising": "failed",
        "slow": "failed",
        "mine": "finished",
    }
    assert "expected a scikit-learn classifier" in rows["none"]["message"]
    assert "no luck" in rows["raising"]["message"] and "longer than 25" in rows["slow"]["message"]
    assert "no model file can hold it: your Mine" in rows["mine"]["message"]
    assert rows["mine"]["search"]["value"] > 0.8
    assert not [row for row in rows.values() if "\n" in row["message"]]


def test_guests_by_name_from_the_command_line(
    squares: Images, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez("d.npz", **dict(zip("Xy", squares(each=12), strict=True)))
    words = ["select", "d.npz", "--budget", "2steps", "--workers", "1", "--backbone", "none"]
    assert command([*words, "--out", "run", "--guest", "svm"]) == 0
    printed = capsys.readouterr()
    assert "svm" in printed.out and "tried svm" in printed.err
    assert command([*words, "--out", "other", "--guest", "keras_cn"]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "did you mean 'keras_cnn'" in line


def test_an_interrupted_run_goes_on_with_its_guests(reading: Reading) -> None:
    asked_so_often = iter(range(1000))
    asked = {**ASKED, "guests": ["gaussian_naive_bayes"]}
    first = ml.select(reading, out="run", stop=lambda: next(asked_so_often) > 0, **asked)
    assert first.status == "interrupted"
    assert [row["name"] for row in first.content["leaderboard"]] == ["gaussian_naive_bayes"]
    with pytest.raises(MetaloopError, match="other values of --guest"):
        ml.select(reading, out="run", resume=True, **{**asked, "guests": ["svm"]})
    run = ml.select(reading, out="run", resume=True, **asked)
    assert run.status == "finished"
    assert "gaussian_naive_bayes" in {row["name"] for row in run.content["leaderboard"]}


def test_a_winner_learns_from_what_its_time_buys() -> None:
    made = guest_of("svm", None)
    guest = Guesting(made, Entry(made.candidate, "guest"), examples=100, seconds=2.0)

    def run(budget: Budget) -> Selecting:
        part: Any = object.__new__(Selecting)
        part.labelled, part.budget, part.seed = SimpleNamespace(known=np.arange(1000)), budget, 0
        return cast(Selecting, part)

    timed, counted = run(Budget(wall_seconds=60.0)), run(Budget(steps=9))
    assert kept_back(counted, guest, 9.0) == 0 and len(learned_rows(counted, guest, 0.0)) == 1000
    assert kept_back(timed, guest, 1e6) == pytest.approx(200.0)  # ten times as many, squared
    assert len(learned_rows(timed, guest, 200.0)) == 1000
    assert kept_back(timed, guest, 36.0) == 18.0  # half of what is left
    assert len(learned_rows(timed, guest, 18.0)) == 300
    assert len(learned_rows(timed, guest, 0.5)) == 100


def test_a_table_takes_no_guests_so_far() -> None:
    Path("t.csv").write_text("label,a\n" + "x,1\ny,2\n" * 8)
    with pytest.raises(MetaloopError, match="--guest: not for a table"):
        ml.select("t.csv", target="label", guests=["svm"], out="run")


@needs_skops
@pytest.mark.parametrize(
    "estimator",
    [
        SVC(C=10),
        make_pipeline(StandardScaler(), GaussianNB()),
        RandomForestClassifier(5, random_state=0),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_what_is_kept_answers_as_before(estimator: Any) -> None:
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(60, 5)), np.arange(60) % 3
    inputs[:, 0] += targets
    fitted = estimator.fit(inputs, targets)
    again = restored(kept(fitted))
    assert np.array_equal(again.predict(inputs), fitted.predict(inputs))


@needs_skops
def test_what_a_file_could_not_hold_safely_is_not_kept() -> None:
    inputs, targets = np.eye(6), np.arange(6) % 2
    with pytest.raises(GuestError, match="KNeighborsClassifier is none of"):
        kept(KNeighborsClassifier(1).fit(inputs, targets))
    machine = SVC().fit(inputs, targets)
    machine._n_support = np.array([100, 100], np.int32)
    with pytest.raises(GuestError, match="do not fit together"):
        kept(machine)
    with pytest.raises(ModelFileError, match="damaged"):
        restored(b"no zip")


@pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="needs 'metaloop[keras]'")
def test_the_textbook_s_net_is_kept_as_its_weights(
    reading: Reading, squares: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "torch"))
    run = ml.select(reading, out="run", guests=["keras_cnn"], **ASKED)
    assert run.content["best"]["name"] == "keras_cnn"
    assert run.test is not None and run.test.value > 0.8
    assert len(read_model(run.path).weights) == 6
    images, names = squares(each=4, seed=5)
    assert (ml.load(run.out).predict(images) == np.array(names)).mean() > 0.8
