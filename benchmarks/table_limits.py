"""Is the time limit kept, is more time no worse, and what of many classes? On synthetic tables.

    python benchmarks/table_limits.py limits [--rows 1000 50000 500000] [--seconds 30]
    python benchmarks/table_limits.py classes [--classes 200 1000] [--seconds 60] [--cpu]
    python benchmarks/table_limits.py tails [--rows 2000] [--seconds 20] [--cpu]

`limits`: `metaloop select` as a user calls it, on a file of numbers, words, dates and gaps; prints
wall seconds from reading on, of which the budget is, how late it was, and those of the whole
command. `classes`: letters, as it were: each class has a few outlines of 16 numbers, drawn with
noise, and how common it is falls off as 1 / rank, so that many have two to five rows; beside it
extra trees of scikit-learn on the same rows. `tails`: a regression whose noise has the tails of
Student's t with 2 degrees, and whose target is skewed. With `--cpu` these two are raced in this
process by the clock of its CPU, as in table_rivals.py: for a machine on which others compute.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from table_rivals import jobs_here

from metaloop import AutoClassifier, AutoRegressor
from metaloop.selecting.tabular import running

_NUMBERS = 12
_OUTLINE, _STYLES = 16, 3
_TEST, _MANY = 0.2, 300


def mixed(rows: int, rng: np.random.Generator) -> dict[str, Any]:
    """Returns columns of every kind and a target of three classes."""
    numbers = rng.normal(size=(rows, _NUMBERS))
    town = rng.choice(["north", "south", "east", "west"], rows)
    days = np.datetime64("2024-01-01") + rng.integers(0, 700, rows)
    score = numbers[:, 0] + np.abs(numbers[:, 1]) * (town == "north") + 0.5 * rng.normal(size=rows)
    columns: dict[str, Any] = {f"x{i}": np.round(numbers[:, i], 4) for i in range(_NUMBERS)}
    columns["x3"] = np.where(rng.random(rows) < 0.1, "", columns["x3"].astype(str))
    bands = np.array(["low", "middle", "high"])
    return {
        **columns,
        "town": town,
        "day": days.astype(str),
        "y": bands[np.digitize(score, (0, 1))],
    }


def letters(classes: int, rows: int, rng: np.random.Generator) -> dict[str, Any]:
    """Returns numbers of many classes, a few of them common."""
    share = 1 / np.arange(1, classes + 1)
    labels = np.concatenate(
        [np.repeat(np.arange(classes), 2), rng.choice(classes, rows, p=share / share.sum())]
    )
    outlines = rng.normal(size=(classes, _STYLES, _OUTLINE))
    drawn = outlines[labels, rng.integers(0, _STYLES, len(labels))]
    inputs = np.round(4 * (drawn + 0.45 * rng.normal(size=drawn.shape)))
    return {**_columns(inputs), "y": np.char.add("class ", labels.astype(str))}


def heavy(rows: int, rng: np.random.Generator) -> dict[str, Any]:
    """Returns a target that is skewed, with errors of heavy tails."""
    inputs = rng.normal(size=(rows, 8))
    mean = np.exp(inputs[:, 0]) + 2 * np.sin(2 * inputs[:, 1]) + inputs[:, 2] * inputs[:, 3]
    return {**_columns(inputs), "y": mean + 0.5 * rng.standard_t(2, rows)}


def _columns(inputs: np.ndarray) -> dict[str, Any]:
    return {f"x{i}": inputs[:, i] for i in range(inputs.shape[1])}


def selected(columns: dict[str, Any], seconds: float, *more: str) -> dict[str, Any]:
    """Returns the report of `metaloop select` on these columns, with `command_seconds`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        _write(columns, path)
        words = ["select", str(path), "--target", "y", "--budget", f"{seconds:g}s"]
        command = [
            sys.executable,
            "-m",
            "metaloop",
            *words,
            "--out",
            f"{folder}/run",
            "--json",
            *more,
        ]
        begun = time.perf_counter()
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        took = time.perf_counter() - begun
    if ended.returncode:
        raise SystemExit(f"select ended with {ended.returncode}: {ended.stderr.strip()}")
    return {**json.loads(ended.stdout), "command_seconds": took}


def _write(columns: dict[str, Any], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(
            zip(*(np.asarray(each).tolist() for each in columns.values()), strict=True)
        )


def limits(asked: argparse.Namespace) -> None:
    """Prints how late `select` is at these numbers of rows."""
    print("| rows | budget | wall | late | command | folds | test |\n|---|---|---|---|---|---|---|")
    for rows in asked.rows or (1000, 50_000, 500_000):
        found = selected(mixed(rows, np.random.default_rng(0)), asked.seconds)
        late = found["wall_seconds"] - asked.seconds
        kept = "kept" if late <= 0.1 * asked.seconds + 5 else "BROKEN"
        print(
            f"| {rows:,} | {asked.seconds:g} s | {found['wall_seconds']:.1f} s | {late:+.1f} s, "
            f"{kept} | {found['command_seconds']:.1f} s | {found['search']['folds']} | "
            f"{100 * found['test']['value']:.1f} |",
            flush=True,
        )


def many_classes(asked: argparse.Namespace) -> None:
    """Prints balanced accuracy on many classes beside that of extra trees."""
    print("| classes | rows | fewest | select | extra trees | wall | of |")
    print("|---|---|---|---|---|---|---|")
    for classes in asked.classes:
        columns = letters(classes, (asked.rows or [10 * classes])[0], np.random.default_rng(0))
        number = 200 if classes <= _MANY else 20  # 120 MB a tree, of 1,000 classes
        found, trees = _beside(columns, asked, "accuracy", ExtraTreesClassifier(number))
        labels = np.unique(columns["y"], return_counts=True)[1]
        value = 100 * found["test"]["value"]
        print(
            f"| {classes} | {labels.sum():,} | {labels.min()} | {value:.1f} | {100 * trees:.1f} | "
            f"{found['wall_seconds']:.1f} s | "
            f"{', '.join(found['best']['pipelines'])} |",
            flush=True,
        )


def tails(asked: argparse.Namespace) -> None:
    """Prints errors on a target with heavy tails beside those of extra trees, by two metrics."""
    print("| metric | select | extra trees | guessing | wall |\n|---|---|---|---|---|")
    columns = heavy((asked.rows or [2000])[0], np.random.default_rng(0))
    for metric in ("rmse", "mae"):
        found, trees = _beside(columns, asked, metric, ExtraTreesRegressor(200))
        print(
            f"| {metric} | {found['test']['value']:.3f} | {trees:.3f} | "
            f"{found['test']['chance']:.3f} | {found['wall_seconds']:.1f} s |",
            flush=True,
        )


def _beside(
    columns: dict[str, Any], asked: argparse.Namespace, metric: str, trees: Any
) -> tuple[dict[str, Any], float]:
    """The report of a run with rows kept for its test, and what the trees have on these."""
    rng = np.random.default_rng(1)
    inputs = np.stack([columns[name] for name in columns if name != "y"], 1).astype(float)
    targets = np.asarray(columns["y"])
    test = rng.random(len(targets)) < _TEST
    if metric == "accuracy":  # every class has a row to learn from
        first = np.unique(targets, return_index=True)[1]
        test[first] = False
    told = trees.set_params(random_state=0).fit(inputs[~test], targets[~test]).predict(inputs[test])
    beside = _value(told, targets[test], metric)
    if asked.cpu:
        return _by_cpu(inputs, targets, test, metric, asked.seconds), beside
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test.csv"
        _write({name: np.asarray(values)[test] for name, values in columns.items()}, path)
        known = {name: np.asarray(values)[~test] for name, values in columns.items()}
        found = selected(known, asked.seconds, "--metric", metric, "--test", str(path))
    return found, beside


def _value(told: np.ndarray, targets: np.ndarray, metric: str) -> float:
    if metric == "accuracy":
        return float((told == targets).mean())
    off = told - targets
    return float(np.sqrt((off**2).mean()) if metric == "rmse" else np.abs(off).mean())


def _by_cpu(
    inputs: np.ndarray, targets: np.ndarray, test: np.ndarray, metric: str, seconds: float
) -> dict[str, Any]:
    """What is printed of a race whose clock is that of this process's CPU."""
    kind = AutoClassifier if metric == "accuracy" else AutoRegressor
    start = time.process_time()
    with (
        patch.object(running, "LocalPool", jobs_here),
        patch.object(time, "perf_counter", time.process_time),
    ):
        model = kind(budget=f"{seconds:g}s", metric=metric, workers=1)
        model.fit(inputs[~test], targets[~test])
        told = model.predict(inputs[test])
    guess = np.full(int(test.sum()), 0.0 if metric == "accuracy" else targets[~test].mean())
    return {
        "test": {
            "value": _value(told, targets[test], metric),
            "chance": _value(guess, targets[test], metric),
        },
        "best": {"pipelines": model.chosen_},
        "wall_seconds": time.process_time() - start,
    }


def main() -> None:
    """Prints one of the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("limits", "classes", "tails"))
    parser.add_argument("--rows", type=int, nargs="*")
    parser.add_argument("--classes", type=int, nargs="*", default=[200, 1000])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--cpu", action="store_true", help="seconds are those of the CPU")
    asked = parser.parse_args()
    {"limits": limits, "classes": many_classes, "tails": tails}[asked.what](asked)


if __name__ == "__main__":
    main()
