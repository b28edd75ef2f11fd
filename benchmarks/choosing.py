"""Choosing algorithms for a new data set: regret after 1, 4, 8 and 16 tried models.

    .venv/bin/python benchmarks/choosing.py [DATA_FOLDER] [--repeats 20] [--seed 0] [--json]
        [--equal-time]

DATA_FOLDER holds `error_matrix.csv.gz` of OBOE (Yang et al., KDD 2019): the balanced error rate of
219 models on 418 data sets. Without it: the folder `oboe_error_matrix` of METALOOP_SHARED_DATA.
10-fold over data sets: what to try on a data set is decided from those of the other folds. Regret
is in points: 100 x (best error among the tried - best of all errors on that data set). Random
search is its exact expectation. Repeats are averaged for each data set before anything else;
intervals are 95 %, over data sets. The constants of the adaptive picks were chosen by
cross-validation within a random half of the data sets: "untouched" has the other half alone.

--equal-time compares at equal seconds instead (`runtime_matrix.csv.gz`, 10-fold once): a data set
has the time that the first 4 models of the portfolio take there, or 2 or 4 times that. What is
not finished does not count; before anything is, a data set has its worst error. The costs that
"adaptive per second" is given are the geometric means over the other data sets.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from metaloop.core.randomness import numpy_stream
from metaloop.core.statistics import Estimate, mean_with_interval
from metaloop.selection.adaptive import AdaptivePicks
from metaloop.selection.portfolio import portfolio

TRIED = (1, 4, 8, 16)
TIMES = (1, 2, 4)  # in the time that the first 4 models of the portfolio take
FOLDS = 10
DESIGN_SEED = 12345  # fixes for ever which half of the data sets the design has seen
COMPARISONS = (  # method and models tried, minus method and models tried
    ("portfolio", 4, "random", 16),
    ("adaptive", 4, "portfolio", 4),
    ("adaptive", 8, "portfolio", 8),
    ("adaptive", 16, "portfolio", 16),
)


def read_matrix(path: Path) -> np.ndarray:
    """Returns the numbers `[data sets, models]`."""
    with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    return np.array([row[1:] for row in rows], dtype=float)


def fold_members(num_data_sets: int, seed: int, repeat: int) -> Iterator[np.ndarray]:
    """Yields the held-out data sets of each fold."""
    order = numpy_stream(seed, "folds", repeat).permutation(num_data_sets)
    yield from np.array_split(order, FOLDS)


def best_of(order: list[int], errors: np.ndarray) -> np.ndarray:
    """Returns the best error on each data set after each number in `TRIED`: `[.., tried]`."""
    best = np.minimum.accumulate(errors[..., order], axis=-1)
    return best[..., [tried - 1 for tried in TRIED]]


def best_of_random(errors: np.ndarray) -> np.ndarray:
    """Returns the expected best error of models drawn without replacement, `[data sets, tried]`."""
    ordered = np.sort(errors, axis=1)
    num_models = errors.shape[1]
    left = num_models - np.arange(num_models)  # models at least as bad as each one
    columns = []
    for tried in TRIED:
        # none of the tried is better than this one: (left choose tried) / (models choose tried)
        ratios = [(left - drawn).clip(0) / (num_models - drawn) for drawn in range(tried)]
        at_least = np.append(np.prod(ratios, axis=0), 0.0)
        columns.append(ordered @ (at_least[:-1] - at_least[1:]))
    return np.stack(columns, axis=1)


def best_of_adaptive(picks: AdaptivePicks, errors: np.ndarray) -> np.ndarray:
    """Returns the best error on one data set (`errors [models]`) after each number in `TRIED`."""
    return best_of(list(islice(adaptive_order(picks, errors), max(TRIED))), errors)


def regrets(errors: np.ndarray, repeats: int, seed: int) -> dict[str, np.ndarray]:
    """Returns the regret in points of each method, `[data sets, tried]`, mean over repeats."""
    shape = (repeats, len(errors), len(TRIED))
    best = {name: np.empty(shape) for name in ("best on average", "portfolio", "adaptive")}
    best["random"] = best_of_random(errors)[None]
    for repeat in range(repeats):
        for held_out in fold_members(len(errors), seed, repeat):
            archive = np.delete(errors, held_out, axis=0)
            on_average = archive.mean(axis=0).argsort(kind="stable")
            best["best on average"][repeat, held_out] = best_of(
                on_average.tolist(), errors[held_out]
            )
            order = portfolio(archive, max(TRIED))
            best["portfolio"][repeat, held_out] = best_of(order, errors[held_out])
            picks = AdaptivePicks(archive)
            for data_set in held_out:
                best["adaptive"][repeat, data_set] = best_of_adaptive(picks, errors[data_set])
    least = errors.min(axis=1, keepdims=True)
    names = ("random", "best on average", "portfolio", "adaptive")
    return {name: 100 * (best[name].mean(axis=0) - least) for name in names}


def compare(regret: dict[str, np.ndarray], data_sets: np.ndarray) -> dict[str, dict[str, float]]:
    """Returns the paired differences of `COMPARISONS` over these data sets."""
    table = {}
    for method, tried, other, other_tried in COMPARISONS:
        difference = mean_with_interval(
            regret[method][data_sets, TRIED.index(tried)]
            - regret[other][data_sets, TRIED.index(other_tried)]
        )
        table[f"{method} {tried} - {other} {other_tried}"] = as_json(difference)
    return table


def as_json(estimate: Estimate) -> dict[str, float]:
    """Returns an estimate over data sets as rounded numbers, in points."""
    return {
        "value": round(estimate.value, 4),
        "ci95": round(estimate.ci95, 4),
        "data_sets": estimate.episodes,
    }


def figures(errors: np.ndarray, repeats: int, seed: int) -> dict[str, Any]:
    """Returns all that is reported, as `--json` prints it."""
    regret = regrets(errors, repeats, seed)
    everything = np.arange(len(errors))
    designed_on = np.random.default_rng(DESIGN_SEED).permutation(len(errors))[: len(errors) // 2]
    untouched = np.setdiff1d(everything, designed_on)
    table: dict[str, Any] = {}
    intervals: dict[str, Any] = {}
    for name, values in regret.items():
        estimates = [mean_with_interval(column) for column in values.T]
        pairs = list(zip(map(str, TRIED), estimates, strict=True))
        table[name] = {tried: round(estimate.value, 4) for tried, estimate in pairs}
        intervals[name] = {tried: round(estimate.ci95, 4) for tried, estimate in pairs}
    return {
        **table,
        "ci95": intervals,
        "paired": compare(regret, everything),
        "paired, untouched": compare(regret, untouched),
        "protocol": {
            "data_sets": len(errors),
            "models": errors.shape[1],
            "folds": FOLDS,
            "repeats": repeats,
            "seed": seed,
            "unit": "points of balanced error rate",
        },
    }


def best_in_time(
    order: Iterator[int], errors: np.ndarray, seconds: np.ndarray, allowed: np.ndarray
) -> np.ndarray:
    """Returns the best error on one data set within each of the `allowed` seconds, ascending."""
    best, used = np.full(len(allowed), errors.max()), 0.0
    for model in order:
        used += seconds[model]
        if used > allowed[-1]:
            break
        best = np.where(used <= allowed, np.minimum(best, errors[model]), best)
    return best


def adaptive_order(picks: AdaptivePicks, errors: np.ndarray) -> Iterator[int]:
    """Yields models in the order in which they are picked, until all were tried."""
    tried: dict[int, float] = {}
    while len(tried) < len(errors):
        pick = picks.next(tried)
        yield pick
        tried[pick] = float(errors[pick])


def figures_at_equal_time(errors: np.ndarray, seconds: np.ndarray, seed: int) -> dict[str, Any]:
    """Returns mean regrets in points for each of `TIMES`, and paired differences."""
    names = ("portfolio", "adaptive", "adaptive per second")
    best = {name: np.empty((len(errors), len(TIMES))) for name in names}
    for held_out in fold_members(len(errors), seed, repeat=0):
        archive = np.delete(errors, held_out, axis=0)
        costs = np.exp(np.log(np.delete(seconds, held_out, axis=0)).mean(axis=0))
        order = portfolio(archive, errors.shape[1])
        plain, per_second = AdaptivePicks(archive), AdaptivePicks(archive, costs)
        for index in held_out:
            here = errors[index]
            orders = (iter(order), adaptive_order(plain, here), adaptive_order(per_second, here))
            allowed = np.array(TIMES) * seconds[index, order[:4]].sum()
            for name, models in zip(names, orders, strict=True):
                best[name][index] = best_in_time(models, here, seconds[index], allowed)
    regret = {name: 100 * (best[name] - errors.min(axis=1, keepdims=True)) for name in names}
    means = {
        name: dict(zip(map(str, TIMES), regret[name].mean(axis=0).round(4).tolist(), strict=True))
        for name in names
    }
    paired = {
        f"{name} - portfolio, time x {time}": as_json(
            mean_with_interval(regret[name][:, index] - regret["portfolio"][:, index])
        )
        for name in names[1:]
        for index, time in enumerate(TIMES)
    }
    return {**means, "paired": paired}


def print_table(result: dict[str, Any]) -> None:
    """Prints the regrets and the comparisons as Markdown."""
    protocol = result["protocol"]
    print(
        f"Regret in points, {protocol['data_sets']} data sets x {protocol['models']} models, "
        f"{protocol['repeats']} x {protocol['folds']}-fold\n"
    )
    print("| models tried | " + " | ".join(map(str, TRIED)) + " |")
    print("|---" * (len(TRIED) + 1) + "|")
    for name, intervals in result["ci95"].items():
        cells = [f"{result[name][tried]:.2f} ± {half:.2f}" for tried, half in intervals.items()]
        print(f"| {name} | {' | '.join(cells)} |")
    print("\n| paired difference | all data sets | untouched by design |")
    print("|---|---|---|")
    for name, everything in result["paired"].items():
        both = (everything, result["paired, untouched"][name])
        cells = [f"{d['value']:+.2f} ± {d['ci95']:.2f} (n={d['data_sets']})" for d in both]
        print(f"| {name} | {' | '.join(cells)} |")


def print_times(result: dict[str, Any]) -> None:
    """Prints the regrets at equal time, and the comparisons, as Markdown."""
    print("| regret in points, at time x | " + " | ".join(map(str, TIMES)) + " |")
    print("|---" * (len(TIMES) + 1) + "|")
    for name in ("portfolio", "adaptive", "adaptive per second"):
        print(f"| {name} | " + " | ".join(f"{value:.2f}" for value in result[name].values()) + " |")
    print("\n| paired difference | points |\n|---|---|")
    for name, d in result["paired"].items():
        print(f"| {name} | {d['value']:+.2f} ± {d['ci95']:.2f} (n={d['data_sets']}) |")


def main() -> None:
    """Prints the table, or one line and exit code 2 where there is no data."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--equal-time", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.repeats < 1:
        parser.error(f"--repeats is 1 or more, got {options.repeats}")
    shared = os.environ.get("METALOOP_SHARED_DATA")
    folder = options.data or (Path(shared) / "oboe_error_matrix" if shared else None)
    if folder is None or not (folder / "error_matrix.csv.gz").is_file():
        found = f"no error_matrix.csv.gz in {folder}" if folder else "no data folder"
        print(f"{found}; give the folder of it, or set METALOOP_SHARED_DATA", file=sys.stderr)
        sys.exit(2)
    start = time.perf_counter()
    errors = read_matrix(folder / "error_matrix.csv.gz")
    if options.equal_time:
        seconds = read_matrix(folder / "runtime_matrix.csv.gz").clip(min=1e-3)
        result = figures_at_equal_time(errors, seconds, options.seed)
    else:
        result = figures(errors, options.repeats, options.seed)
    result["wall_seconds"] = round(time.perf_counter() - start, 1)
    if options.json:
        print(json.dumps(result))
    elif options.equal_time:
        print_times(result)
    else:
        print_table(result)
        print(f"\n{result['wall_seconds']} s")


if __name__ == "__main__":
    main()
