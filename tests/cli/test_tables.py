"""Tables go through every verb: classes of vectors, and groups whose rows have a real target."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metaloop.api import learn, load
from metaloop.loop.settings import Settings

Command = Callable[..., Any]


def write(path: Path, header: Sequence[str], *columns: Any) -> Path:
    """Writes a CSV of these columns, packed if its name ends so."""
    opener: Any = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(zip(*columns, strict=True))
    return path


def groups_of(
    number: int, rows: int, seed: int, offset: float = 500.0, scale: float = 40.0
) -> dict[str, np.ndarray]:
    """Groups of noisy linear functions of two features; the third is of no use."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(number), rows)
    weights = rng.normal(size=(number, 2))
    x = rng.normal(size=(len(group), 3)).round(4)
    y = (weights[group] * x[:, :2]).sum(1) + 0.05 * rng.normal(size=len(group))
    names = np.array([f"shop {seed}-{g}" for g in group])
    return {"shop": names, "x": x, "price": (offset + scale * y).round(3)}


def write_groups(path: Path, data: dict[str, np.ndarray]) -> Path:
    x = data["x"]
    header = ("shop", "a", "b", "c", "price")
    return write(path, header, data["shop"], x[:, 0], x[:, 1], x[:, 2], data["price"])


ROLES = ("--columns", "group=shop,target=price")


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 40 groups of 14 rows."""
    return write_groups(tmp_path_factory.mktemp("data") / "shops.csv.gz", groups_of(40, 14, 1))


def test_data_says_how_a_table_of_groups_is_understood(
    command: Command, json_contract: Any, shops: Path
) -> None:
    shown = command("data", shops, *ROLES)
    assert shown.code == 0, shown.err
    assert "groups    40, each a function to learn: shop 1-0, shop 1-1, shop 1-10, ..." in shown.out
    assert "parts     train 20, search 5, promotion 5, test 10 groups" in shown.out
    said = "read so   columns: group 'shop', target 'price', 3 columns of numbers"
    assert said in shown.out and "--shots   at most 13" in shown.out
    report = command("data", shops, *ROLES, "--json").json
    json_contract.check("data", report)
    assert (report["groups"], report["examples"], report["classes"]) == (40, 560, 0)
    assert report["target"]["mean"][0] == pytest.approx(500, abs=20)


def test_a_learner_of_groups_is_trained_evaluated_fitted_and_predicts(
    command: Command, json_contract: Any, shops: Path, tmp_path: Path
) -> None:
    task = ("--shots", "8", "--queries", "6")
    trained = command("train", shops, *ROLES, "--learner", "ridge", "--net", "raw", *task,
                      "--budget", "60steps", "--out", "m.metaloop", "-q")  # fmt: skip
    assert trained.code == 0, trained.err
    figures = command("evaluate", "m.metaloop", shops, *ROLES, "--episodes", "200", "--json").json
    assert figures["metric"] == "mse" and figures["units"] == 10
    assert 10 < figures["value"] < 0.5 * 40**2  # in units of the target: a constant has 2 * 40^2
    assert figures["recognised"] == {
        "unknown": 0, "train": 20, "search": 5, "promotion": 5, "test": 10,
    }  # fmt: skip
    new = groups_of(1, 30, 7)
    first = {name: values[:12] for name, values in new.items()}
    support = write_groups(tmp_path / "support.csv", first)
    x = new["x"][12:]
    inputs = write(tmp_path / "inputs.csv", ("a", "b", "c"), *x.T)
    fitted = command("fit", "m.metaloop", "--support", support, "--out", "f.metaloop", *ROLES)
    assert fitted.out == "a function from 12 examples\nmodel  f.metaloop\n", fitted.err
    printed = command("predict", "f.metaloop", inputs, "--json").json
    json_contract.check("predict", printed)
    values = np.array([row["value"] for row in printed["predictions"]])
    assert np.abs(values - new["price"][12:]).mean() < 0.4 * new["price"][12:].std()
    other = write(tmp_path / "other.csv", ("c", "a", "b"), x[:, 2], x[:, 0], x[:, 1])
    around = command("predict", "f.metaloop", other, "--json").json["predictions"]
    assert [row["value"] for row in around] == values.tolist()
    less = write(tmp_path / "less.csv", ("a", "b", "d"), *x.T)
    said = command("predict", "f.metaloop", less).error
    assert "has no column 'c', which the model was trained with" in said
    at_once = command("predict", "m.metaloop", inputs, "--support", support, *ROLES, "--json")
    again = [row["value"] for row in at_once.json["predictions"]]
    np.testing.assert_allclose(again, values, rtol=1e-6)
    estimator = load("m.metaloop").fit(first["x"], first["price"])
    np.testing.assert_allclose(estimator.predict(x), values, rtol=1e-6)


@pytest.mark.parametrize(
    ("learner", "least", "most"), [("mean_of_support", 0.5, 3.0), ("gaussian_process", 0.0, 0.1)]
)
def test_a_black_box_of_groups_goes_through_every_verb(
    command: Command, shops: Path, tmp_path: Path, learner: str, least: float, most: float
) -> None:
    task = ("--shots", "8", "--queries", "6")
    trained = command("train", shops, *ROLES, "--learner", learner, *task, "--out", "m", "-q")
    assert trained.code == 0, trained.err
    figures = command("evaluate", "m", shops, *ROLES, "--episodes", "100", "--json").json
    variance = 2 * 40**2
    assert least * variance < figures["value"] < most * variance
    new = groups_of(1, 12, 7)
    support = write_groups(tmp_path / "support.csv", new)
    inputs = write(tmp_path / "inputs.csv", ("a", "b", "c"), *new["x"].T)
    fitted = command("fit", "m", "--support", support, "--out", "f", *ROLES)
    assert fitted.code == 0, fitted.err
    rows = command("predict", "f", inputs, "--json").json["predictions"]
    values = np.array([row["value"] for row in rows])
    estimator = load("m").fit(new["x"], new["price"])
    np.testing.assert_allclose(estimator.predict(new["x"]), values, rtol=1e-6)
    if learner == "mean_of_support":
        np.testing.assert_allclose(values, new["price"].mean(), rtol=1e-6)
    else:
        assert np.abs(values - new["price"]).mean() < 0.3 * new["price"].std()


def test_a_gradient_learner_learns_targets_far_from_zero(command: Command, shops: Path) -> None:
    task = ("--shots", "8", "--queries", "6", "--budget", "30steps", "-q")
    trained = command("train", shops, *ROLES, "--learner", "maml", *task, "--out", "m", "--json")
    search = trained.json["search"]
    assert search["metric"] == "mse" and search["value"] < 10 * 40**2  # not 500^2


def test_groups_that_are_wrong_are_one_line(command: Command, shops: Path, tmp_path: Path) -> None:
    several = write_groups(tmp_path / "several.csv", groups_of(2, 5, 3))
    task = ("--shots", "8", "--queries", "6", "--budget", "2steps", "-q")
    made = command("train", shops, *ROLES, "--learner", "ridge", *task, "--out", "m")
    assert made.code == 0, made.err
    wrong = command("fit", "m", "--support", several, "--out", "f", *ROLES)
    assert "its rows are of 2 groups ('shop'), and a task is one group" in wrong.error
    few = command("train", shops, *ROLES, "--learner", "ridge", "--shots", "14", "--out", "n")
    assert "lower --shots to 13" in few.error
    lost = command("data", shops)
    assert "has the columns 'shop', 'a', 'b', 'c', 'price'" in lost.error
    odd = command("data", shops, "--columns", "shop")
    assert "--columns takes ROLE=NAME" in odd.error
    images = command("train", shops, *ROLES, "--learner", "protonet", "--out", "n")
    assert "cannot learn regression tasks" in images.error


def test_classes_of_vectors_go_through_every_verb(command: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(24), 8)
    x = (rng.normal(size=(24, 5))[y] + 0.3 * rng.normal(size=(len(y), 5))).round(4)
    names = [f"kind {label}" for label in y]
    header = ("id", "species", *"abcde")
    data = write(tmp_path / "kinds.csv", header, np.arange(len(y)), names, *x.T)
    roles = ("--columns", "label=species")
    shown = command("data", data, *roles)
    assert "classes   24: kind 0, kind 1, kind 10, ..." in shown.out, shown.err
    assert "read so   columns: label 'species', 5 columns of numbers, not used: 'id'" in shown.out
    made = command("train", data, *roles, "--learner", "protonet", "--budget", "20steps",
                   "--out", "m", "-q")  # fmt: skip
    assert made.code == 0, made.err
    value = command("evaluate", "m", data, *roles, "--episodes", "100", "--json").json["value"]
    assert value > 0.5
    few = y < 4
    support = write(tmp_path / "support.csv", header[1:], np.array(names)[few], *x[few].T)
    inputs = write(tmp_path / "inputs.csv", tuple("abcde"), *x[few].T)
    fitted = command("fit", "m", "--support", support, "--out", "f", *roles)
    assert fitted.out == "4 classes from 32 examples\nmodel  f\n", fitted.err
    rows = command("predict", "f", inputs, "--json").json["predictions"]
    assert np.mean([r["label"] == n for r, n in zip(rows, np.array(names)[few], strict=True)]) > 0.9


def test_the_same_data_are_the_same_family_as_an_npz_and_as_a_table(
    command: Command, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    y, x = np.repeat(np.arange(12), 4), rng.normal(size=(48, 3)).astype(np.float32)
    np.savez(tmp_path / "same.npz", X=x, y=y)
    write(tmp_path / "same.csv", ("y", "p", "q", "r"), y, *x.T.astype(float))
    hashes = [
        command("data", tmp_path / name, "--json").json["data_hash"]
        for name in ("same.npz", "same.csv")
    ]
    assert hashes[0] == hashes[1]


@pytest.mark.long
def test_learn_chooses_a_learner_of_groups_and_reports_it(
    command: Command, shops: Path, settle: Any
) -> None:
    settle(learners=("ridge", "anil"), test_episodes=200)
    learned = command("learn", shops, *ROLES, "--shots", "8", "--queries", "6",
                      "--budget", "120steps", "--workers", "1")  # fmt: skip
    assert learned.code == 0, learned.err
    assert "20 / 5 / 5 / 10 groups to train / search / promotion / test" in learned.err
    assert "mse" in learned.out and "(200 episodes, 8-shot, part test" in learned.out
    assert "for new groups of the family" in learned.out
    folder = Path("runs/shops-1")
    report = command("report", folder, "--json")
    assert report.code == 0, report.err
    page = (folder / "report.html").read_text()
    assert "groups in parts" in page and "class names" not in page
    figures = command("evaluate", folder / "model.metaloop", shops, *ROLES, "--json",
                      "--episodes", "100")  # fmt: skip
    assert figures.json["value"] < 40**2


@pytest.mark.long
def test_learn_takes_a_data_frame(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    data = groups_of(24, 14, 1)
    frame = pandas.DataFrame(data["x"], columns=["a", "b", "c"])
    frame["group"], frame["y"] = data["shop"], data["price"]
    run = learn(
        frame, out=tmp_path / "run", budget="40steps", shots=8, queries=4, workers=1,
        settings=Settings(test_episodes=100),
    )  # fmt: skip
    assert run.test is not None and run.test.metric == "mse"
