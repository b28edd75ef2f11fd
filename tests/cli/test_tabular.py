"""Tables of mixed columns from the command line: `select`, its files, and `predict` on new rows."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metaloop.api import load, select
from metaloop.archive import Archive
from metaloop.domains.tables.pipelines import offered
from metaloop.domains.tables.storing import can_store
from metaloop.domains.tables.task import table_task
from metaloop.selecting.tabular.knowledge import prior_with
from metaloop.selection.prior import Prior
from metaloop.tasks.readers.tables import read_table

Command = Callable[..., Any]
STEPS = "4steps"
needs_skops = pytest.mark.skipif(
    not can_store(), reason="skops is not installed (the extra 'tables')"
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four pipelines that learn in a moment."""
    from metaloop.selecting.tabular import selecting

    some = ("logistic", "naive_bayes", "knn", "svm")

    def few(for_classes: bool, classes: int) -> tuple[str, ...]:
        return tuple(name for name in some if name in offered(for_classes, classes))

    monkeypatch.setattr(selecting, "offered", few)


def write_customers(path: Path, rows: int, seed: int = 0, target: bool = True) -> Path:
    """Writes numbers, words, dates and gaps; who is young or from the north buys."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 80, rows)
    town = rng.choice(["north", "south", "east"], rows)
    buys = np.where((age < 40) | (town == "north"), "yes", "no")
    days = np.datetime64("2024-01-01") + rng.integers(0, 300, rows)
    columns: dict[str, Any] = {
        "customer": [f"K{seed}-{i}" for i in range(rows)],
        "age": [str(a) if i % 9 else "-" for i, a in enumerate(age)],
        "town": town,
        "since": days.astype(str),
        "spent": np.round(age * 1.5 + rng.normal(size=rows), 2),
    }
    columns |= {"buys": buys} if target else {}
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


@needs_skops
def test_a_table_is_learned_told_and_reported(
    command: Command, tmp_path: Path, json_contract: Any
) -> None:
    write_customers(Path("customers.csv"), 120)
    words = ("--target", "buys", "--budget", "20steps", "--out", "run", "--json")
    report = command("select", "customers.csv", *words).json
    json_contract.check("select of a table", report)
    assert report["objective"] == "classification" and report["metric"] == "balanced_accuracy"
    assert report["test"]["value"] > 0.7 and report["test"]["better_than_chance"]
    assert report["data"]["left_out"] == {"customer": "has another word in every row: a name of it"}
    told = report["explained"]["importances"]
    assert "town" in [row["column"] for row in told[:3]] and told[0]["loss"] > 0
    rows = [*report["leaderboard"], report["best"]]
    assert {row["league"] for row in rows} == {"none"}  # nobody brings a pretrained net
    with Archive.open(tmp_path / "run" / "archive.sqlite", read_only=True) as archive:
        looks = [one for one in archive.openings() if one.part == "test"]
    assert len(looks) == 1 and looks[0].result is not None

    write_customers(Path("new.csv"), 8, seed=1, target=False)
    answers = command("predict", "run/model.metaloop", "new.csv", "--json").json
    json_contract.check("predict", answers)
    assert [row["input"] for row in answers["predictions"]][:1] == ["new.csv[0]"]
    lines = command("predict", "run/model.metaloop", "new.csv").out.splitlines()
    assert [line.split("\t")[0] for line in lines] == [
        row["label"] for row in answers["predictions"]
    ]
    assert command("predict", "run/model.metaloop", "new.csv", "--csv", "out.csv").code == 0
    back = read_table("out.csv")
    assert back.columns["predicted buys"].tolist() == [line.split("\t")[0] for line in lines]
    assert (
        "already exists"
        in command("predict", "run/model.metaloop", "new.csv", "--csv", "out.csv").error
    )

    page = command("report", "run", "--out", "page.html")
    text = Path("page.html").read_text()
    assert page.code == 0 and "shuffled" in text and "data:image/png" in text
    assert "balanced_accuracy" in text


@needs_skops
def test_a_number_is_learned_and_new_rows_may_be_in_another_order(command: Command) -> None:
    write_customers(Path("c.csv"), 120)
    words = ("--target", "spent", "--budget", STEPS, "--ignore", "customer")
    shown = command("select", "c.csv", *words, "--out", "shown").out.splitlines()
    assert shown[0].split()[:2] == ["pipeline", "league"] and shown[1].split()[1] == "without"
    assert "This is in the league without pretraining: all was learned from these data." in shown
    report = command("select", "c.csv", *words, "--out", "run", "--json").json
    assert report["objective"] == "regression" and report["metric"] == "rmse"
    assert report["test"]["value"] < 0.7 * report["test"]["chance"]
    table = read_table("c.csv")
    model = load("run")
    rows = {name: column[:5] for name, column in reversed(table.columns.items())}
    assert np.allclose(model.predict({**rows, "more": [0] * 5}), model.predict("c.csv")[:5])
    assert "lacks 1 column" in _without(command, "town")
    lines = command("predict", "run/model.metaloop", "c.csv").out.splitlines()
    assert len(lines) == 120 and float(lines[0].split("\t")[0]) > 0


def _without(command: Command, name: str) -> str:
    table = read_table("c.csv")
    with Path("less.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([n for n in table.columns if n != name])
        writer.writerow(["1" for n in table.columns if n != name])
    error = command("predict", "run/model.metaloop", "less.csv").error
    assert isinstance(error, str)
    return error


@needs_skops
def test_what_was_learned_of_a_table_moves_what_is_expected_of_the_next(command: Command) -> None:
    write_customers(Path("c.csv"), 120)
    words = ("--target", "buys", "--budget", "4steps", "--out", "run", "--archive-to", "all.sqlite")
    assert command("select", "c.csv", *words).code == 0
    with Archive.open("all.sqlite", read_only=True) as archive:
        assert len(archive.runs()) == 1 and len(archive.trials()) > 4
    names = ("logistic", "naive_bayes", "knn", "svm")
    before = prior_with(names, True, "balanced_accuracy", None)
    after = prior_with(names, True, "balanced_accuracy", Path("all.sqlite"))
    assert not np.allclose(before.means, after.means)
    assert after.provenance["archive"] == "1 other table"


@needs_skops
def test_a_table_counts_once_and_its_own_runs_are_left_out(command: Command) -> None:
    write_customers(Path("c.csv"), 120)
    words = ("--target", "buys", "--budget", "4steps", "--archive-to", "all.sqlite")
    names = ("logistic", "naive_bayes", "knn", "svm")

    def expected(table: str | None = None) -> Prior:
        return prior_with(names, True, "balanced_accuracy", Path("all.sqlite"), table)

    assert command("select", "c.csv", *words, "--out", "a").code == 0
    once = expected()
    assert command("select", "c.csv", *words, "--out", "b").code == 0
    np.testing.assert_allclose(expected().means, once.means)  # the same folds again
    seeds = ("--split-seed", "3", "--out", "c", "--archive", "all.sqlite", "--json")
    report = command("select", "c.csv", *words, *seeds).json
    assert "archive" not in report["prior"]
    assert expected().provenance["archive"] == "1 other table"
    rows = table_task(read_table("c.csv"), "buys", split_seed=9)
    plain = prior_with(names, True, "balanced_accuracy", None)
    np.testing.assert_array_equal(expected(rows.content).means, plain.means)


@needs_skops
def test_groups_a_test_file_a_metric_and_a_limit_per_row_are_kept(command: Command) -> None:
    write_customers(Path("c.csv"), 120)
    write_customers(Path("t.csv"), 30, seed=2)
    report = command(
        "select", "c.csv", "--target", "buys", "--budget", STEPS, "--out", "run", "--json",
        "--metric", "accuracy", "--groups", "town", "--test", "t.csv",
        "--time-limit-per-row", "1s", "--ignore", "customer",
    ).json  # fmt: skip
    assert report["metric"] == "accuracy" and report["test"]["metric"] == "accuracy"
    assert report["data"]["examples"] == {"train": 120, "test": 30}
    assert all("too slow" not in row["message"] for row in report["leaderboard"])
    with Archive.open("run/archive.sqlite", read_only=True) as archive:
        asked = archive.runs()[0].arguments
    assert asked["groups"] == "town" and asked["per_row"] == 1.0


@needs_skops
def test_a_header_in_the_middle_of_a_file_is_told_and_a_number_stays_one(command: Command) -> None:
    header = "a,b,y\n"
    rows = [f"{i % 7},{i % 5},{i % 7 + 0.1 * (i % 5):g}\n" for i in range(40)]
    Path("t.csv").write_text(header + "".join([*rows[:20], header, *rows[20:]]))
    report = command(
        "select", "t.csv", "--target", "y", "--budget", STEPS, "--out", "run", "--json"
    ).json
    assert report["objective"] == "regression"
    assert sum(report["data"]["examples"].values()) == 40
    assert "line 22 repeats the header and is left out" in report["notes"]


@needs_skops
def test_decimal_commas_with_words_for_nothing_stay_numbers(command: Command) -> None:
    odd = {3: "-", 5: "--", 9: ".", 11: "nil", 13: "missing", 15: "unknown"}
    rows = [f"{odd.get(i, f'{i % 7},{i % 10}')};{i % 3};{i % 7},5\n" for i in range(80)]
    Path("t.csv").write_text("a;b;y\n" + "".join(rows))
    report = command(
        "select", "t.csv", "--target", "y", "--budget", STEPS, "--out", "run", "--json"
    ).json
    assert report["objective"] == "regression"
    assert report["test"]["value"] < 0.7 * report["test"]["chance"]
    assert "'a': 'unknown' count as missing" in report["notes"]


ARFF = """@relation flowers
@attribute 'petal length' numeric
@attribute colour {red, 'dark blue'}
@attribute class {a, b}
@data
"""


@needs_skops
def test_files_of_openml_and_parquet_are_selected_on(command: Command) -> None:
    numbers, words = [i % 10 for i in range(60)], ["red", "dark blue"]
    colours = [words[i % 3 == 0] for i in range(60)]
    told = ["ab"[n > 4] for n in numbers]
    rows = zip(numbers, colours, told, strict=True)
    Path("t.arff").write_text(ARFF + "".join(f"{n},'{w}',{y}\n" for n, w, y in rows))
    asked = ("--budget", STEPS, "--json", "--target", "class")
    report = command("select", "t.arff", *asked, "--out", "one").json
    assert report["data"]["examples"] == {"train": 48, "test": 12}
    assert report["test"]["value"] > 0.9
    arrow, parquet = (pytest.importorskip(f"pyarrow{name}") for name in ("", ".parquet"))
    columns = {"petal length": numbers, "colour": colours, "class": told}
    parquet.write_table(arrow.table(columns), "t.parquet")
    other = command("select", "t.parquet", *asked, "--out", "two").json
    assert other["test"] == report["test"] | {"protocol": other["test"]["protocol"]}
    lines = command("predict", "one/model.metaloop", "t.parquet").out.splitlines()
    assert [line.split("\t")[0] for line in lines].count("a") == told.count("a")


@needs_skops
def test_more_than_a_thousand_classes_are_refused(command: Command) -> None:
    rows = [f"{i % 7},c{i % 1001}\n" for i in range(2002)]
    said = refused(command, "x,y\n" + "".join(rows), "--target", "y")
    assert "has 1,001 classes, and 1,000 are the most" in said


@pytest.mark.long
@needs_skops
def test_two_hundred_classes_are_told_from_start_to_end(command: Command) -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(200, 6))
    kinds = np.repeat(np.arange(200), 8)
    cells = centres[kinds] + 0.05 * rng.normal(size=(1600, 6))
    rows = [
        ",".join([*(f"{x:.4f}" for x in row), f"kind {k}"])
        for row, k in zip(cells, kinds, strict=True)
    ]
    Path("t.csv").write_text("a,b,c,d,e,f,y\n" + "\n".join(rows) + "\n")
    report = command(
        "select", "t.csv", "--target", "y", "--budget", "12steps", "--out", "run", "--json"
    ).json
    assert report["data"]["classes"] == 200 and report["test"]["value"] > 0.9
    lines = command("predict", "run/model.metaloop", "t.csv").out.splitlines()
    told = [line.split("\t")[0] for line in lines]
    assert np.mean([t == f"kind {k}" for t, k in zip(told, kinds, strict=True)]) > 0.9


@pytest.mark.long
@needs_skops
def test_ten_thousand_columns_are_selected_on_in_time(command: Command) -> None:
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 100, (120, 10_000))
    told = np.where(cells[:, :5].sum(1) > 250, "yes", "no")
    names = ",".join(f"c{place}" for place in range(10_000))
    rows = [",".join(map(str, row)) + f",{y}" for row, y in zip(cells.tolist(), told, strict=True)]
    Path("t.csv").write_text(f"{names},y\n" + "\n".join(rows) + "\n")
    report = command(
        "select", "t.csv", "--target", "y", "--budget", "30s", "--out", "run", "--json"
    ).json
    assert report["data"]["columns"] == 10_000 and report["test"] is not None
    assert report["wall_seconds"] < 1.1 * 30 + 5
    assert command("predict", "run/model.metaloop", "t.csv").code == 0


def refused(command: Command, text: str, *words: str, name: str = "t.csv") -> str:
    Path(name).write_text(text)
    error = command("select", name, "--budget", STEPS, *words).error
    assert isinstance(error, str)
    return error


NUMBERS = "a,b,y\n" + "".join(f"{i % 7},{i % 5},{i % 2}\n" for i in range(30))


@needs_skops
@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        ("", ("--target", "y"), "is empty"),
        ("a,y\n", ("--target", "y"), "has no rows"),
        ("a,a,y\n1,2,3\n", ("--target", "y"), "2 columns are called 'a'"),
        (NUMBERS, (), "--target"),
        (NUMBERS, ("--target", "yy"), "did you mean 'y'"),
        (NUMBERS, ("--target", "y", "--metric", "rmse"), "not for classification"),
        (NUMBERS, ("--target", "y", "--metric", "acuracy"), "did you mean 'accuracy'"),
        (NUMBERS, ("--target", "y", "--resume"), "--resume: not for a table"),
        (NUMBERS, ("--target", "y", "--image-size", "32"), "--image-size: not for a table"),
        (NUMBERS, ("--target", "y", "--test", "no.csv"), "does not exist"),
        (NUMBERS, ("--target", "y", "--ignore", "q"), "no column"),
        (NUMBERS.replace("1\n", "1\n1,2\n", 1), ("--target", "y"), "line"),
        (NUMBERS, ("--target", "y", "--groups", "y"), "is the target"),
        (NUMBERS, ("--target", "y", "--time-limit-per-row", "3steps"), "is a time"),
        (NUMBERS, ("--target", "y", "--archive-to", "no/such.sqlite"), "in a folder that exists"),
        (NUMBERS, ("--target", "y", "--archive-to", "t.csv"), "t.csv"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(
    command: Command, text: str, words: tuple[str, ...], said: str
) -> None:
    assert said in refused(command, text, *words)
    assert not Path("runs").exists() or not any(Path("runs").iterdir())  # refused before the race


@needs_skops
def test_a_limit_that_nobody_keeps_is_told_with_the_option_to_change(command: Command) -> None:
    words = ("--target", "y", "--quiet", "--time-limit-per-row", "0.000000001s")
    assert "larger --time-limit-per-row" in refused(command, NUMBERS, *words)


@needs_skops
def test_options_of_tables_are_refused_for_images(command: Command, tmp_path: Path) -> None:
    np.savez("two.npz", X=np.zeros((24, 8, 8), np.uint8), y=[0, 1] * 12)
    assert "--target: not for images" in command("select", "two.npz", "--target", "y").error
    Path("t.csv").write_text(NUMBERS)
    run = select("t.csv", target="y", budget="2steps", out="run", progress=False)
    assert run.test is not None and json.dumps(run.to_json())
    assert (
        "leave --support away"
        in command("predict", "run/model.metaloop", "t.csv", "--support", "t.csv").error
    )
    assert (
        "is fitted to a table"
        in command("fit", "run/model.metaloop", "--support", "t.csv", "--out", "m.metaloop").error
    )
