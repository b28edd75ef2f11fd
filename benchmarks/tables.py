"""Which pipeline for a table: regret against the best of eight fixed learners, on 39 data sets.

    python benchmarks/tables.py [DATA] [--runs FOLDER] [--max-rows 1250] [--splits 5] [--json]
    python benchmarks/tables.py [DATA] --measure measured.json
    python benchmarks/tables.py [DATA] --seconds 30 [--methods NAME ...] [--splits 1] [--sets NAME]
    python benchmarks/tables.py [DATA] --shuffled

DATA (default: METALOOP_SHARED_DATA) holds `pmlb_benchmark/` and `oboe_error_matrix/`. Regret is in
points of balanced accuracy on test rows, against the best of the eight (as they come: the class of
the largest probability) on that data set, mean over outer splits; it may be negative. Intervals are
95 % over data sets; "families" counts relatives (allbp, allhyper, ...) once. What is used of the
shipped knowledge is derived anew for every data set, from what is no relative of it.

Without further options rules are compared that choose from the same trained pipelines, of which a
folder keeps what they tell; `as select joins them` is the code of `metaloop select` on them, fitted
to all training rows (of few rows its model files hold learners of folds as well). `--seconds` gives
every method so many CPU-seconds of its own instead, training included; a method that is not
installed is left out and named.
`--shuffled` trains on targets in random order: all must end at chance. `--measure` writes what the
prior is derived from.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from table_data import EIGHT, SPLITS, DataSet, Told, eight_told, outer_splits, read_sets, told_of
from table_rivals import METHODS, Given, missing

sys.path.append(str(Path(__file__).resolve().parents[1] / "tools"))

from derive_table_prior import Matrices, family_of

from metaloop.core.statistics import mean_with_interval
from metaloop.domains.tables.scoring import lifted
from metaloop.selecting.tabular import ensembling
from metaloop.selection.ensembling import (
    balanced_error,
    class_shares,
    decide,
    greedy_weights,
    row_weights,
)
from metaloop.selection.prior import Prior
from metaloop.selection.shrinkage import paired_noise, posterior
from metaloop.selection.table_settings import SETTINGS

BAGS = 10
SELECT = "as select joins them"
_DECIDED = ("extra_trees", "random_forest")  # of the eight, decided for balanced accuracy as well
SIZES = ((0, 200), (200, 500), (500, 1000), (1000, 10**9))
Scores = dict[str, dict[str, float]]  # of a method: by data set, balanced accuracy in points


@dataclass(frozen=True)
class Case:
    """A split of a data set, with all that rules may look at; `as_told`: not tempered yet."""

    as_told: Told
    told: Told
    shares: np.ndarray
    weights: np.ndarray
    losses: np.ndarray  # [pipelines, train rows], by the balanced decision, out of fold
    prior: Prior

    def places(self, names: Iterable[str]) -> list[int]:
        """Returns where these pipelines stand, of those that were trained."""
        return [self.told.names.index(name) for name in names if name in self.told.names]

    def score(self, decisions: np.ndarray) -> float:
        """Returns the balanced accuracy of decisions on the test rows, in points."""
        return _points(decisions, self.told.test_targets)

    def averaged(
        self, weights: np.ndarray, places: Sequence[int], with_folds: bool = False
    ) -> float:
        """Returns the score of an average of these pipelines, by the balanced decision.

        They are fitted to all training rows; `with_folds`: averaged with those of the inner folds.
        """
        refit = self.told.refit[places]
        told = (refit + self.told.folds_mean[places]) / 2 if with_folds else refit
        return self.score(decide(np.tensordot(weights, told, 1), self.shares))

    def selected(self) -> float:
        """Returns the score of what `metaloop select` ships of these pipelines, by its own code."""
        told = self.as_told
        common = np.bincount(told.train_targets, minlength=told.num_classes)
        common = common / common.sum()
        known = ensembling.Told(
            dict(zip(told.names, told.out_of_fold, strict=True)), told.train_targets,
            np.zeros(len(told.train_targets), int), common, "balanced_accuracy", 0,
        )  # fmt: skip
        rule = ensembling.joined(known)
        outputs = rule.plain(dict(zip(told.names, told.refit, strict=True)), True)
        return self.score(lifted(outputs, common, rule.lift).argmax(axis=1))


def _points(decisions: np.ndarray, targets: np.ndarray) -> float:
    """The balanced accuracy of decisions, in points."""
    return 100 * (1 - balanced_error(decisions, targets))


def case_of(told: Told, prior: Prior) -> Case:
    """Returns a case: probabilities tempered, errors of the balanced decision counted."""
    fitting = told.tempered()
    shares = class_shares(told.train_targets, told.num_classes)
    wrong = decide(fitting.out_of_fold, shares) != told.train_targets
    weights = row_weights(told.train_targets, shares)
    return Case(told, fitting, shares, weights, wrong.astype(float), prior)


def by_rules(case: Case) -> dict[str, float]:
    """Returns the score of every rule of choosing."""
    told, everything = case.told, list(range(len(case.told.names)))
    eight = case.places(EIGHT)
    found = {f"={told.names[place]}": case.score(told.decided[place]) for place in eight}
    for name in _DECIDED:
        place = case.places([name])[0]
        found[f"{name}, balanced decision"] = case.score(decide(told.refit[place], case.shares))
    plain = told.out_of_fold.argmax(axis=2) != told.train_targets
    leader = eight[int((plain[eight] @ case.weights).argmin())]
    found["plain inner race of eight"] = case.score(told.decided[leader])
    errors = case.losses @ case.weights
    found["race, balanced decision"] = case.score(
        decide(told.refit[int(errors.argmin())], case.shares)
    )
    noise = paired_noise(case.losses, case.weights)
    scores = {name: (float(errors[i]), float(noise[i, i])) for i, name in enumerate(told.names)}
    known = posterior(case.prior.only(told.names), scores)
    found["race, shrunk"] = case.score(
        decide(told.refit[told.names.index(known.best)], case.shares)
    )
    found[SELECT] = case.selected()
    found["average of all"] = case.averaged(
        np.full(len(everything), 1 / len(everything)), everything
    )
    found["greedy average"] = _greedy(case, everything)
    found["greedy average in bags"] = _greedy(case, everything, bags=BAGS)
    found["greedy average in bags, fold models as well"] = _greedy(
        case, everything, with_folds=True, bags=BAGS
    )
    found["greedy average in bags, eight"] = _greedy(case, eight, bags=BAGS)
    chances = known.chances()
    start = np.array([5 * chances[name] for name in told.names])
    found["greedy average in bags, prior's start"] = _greedy(
        case, everything, bags=BAGS, start=start
    )
    for count in (3, 5, 8):
        first = case.places(case.prior.portfolio)[:count]
        found[f"greedy average in bags, portfolio's {count}"] = _greedy(case, first, bags=BAGS)
    equal = class_shares(told.train_targets, told.num_classes, balanced=False)
    weights = greedy_weights(told.out_of_fold, told.train_targets, equal, bags=BAGS)
    found["greedy average in bags, plain decision"] = case.score(
        decide(np.tensordot(weights, told.refit, 1), equal)
    )
    return found


def _greedy(case: Case, places: list[int], with_folds: bool = False, **options: Any) -> float:
    told = case.told.out_of_fold[places]
    weights = greedy_weights(told, case.told.train_targets, case.shares, **options)
    return case.averaged(weights, places, with_folds)


def offline(sets: Sequence[DataSet], splits: int, runs: Path, matrices: Matrices) -> Scores:
    """Returns the mean score over splits of every rule on every data set."""
    scores: Scores = defaultdict(dict)
    for data_set, prior in zip(sets, crossfitted(sets, matrices), strict=True):
        found: dict[str, list[float]] = defaultdict(list)
        for split in range(splits):
            for name, score in by_rules(case_of(told_of(data_set, split, runs), prior)).items():
                found[name].append(score)
        for name, values in found.items():
            scores[name][data_set.name] = float(np.mean(values))
    return scores


def crossfitted(sets: Sequence[DataSet], matrices: Matrices) -> list[Prior]:
    """Returns for each data set the prior that was derived without it and its relatives."""
    by_family: dict[str, Prior] = {}
    for data_set in sets:
        family = family_of(data_set.name)
        if family not in by_family:
            left_out = [each.name for each in sets if family_of(each.name) == family]
            by_family[family] = matrices.prior(left_out)
    return [by_family[family_of(data_set.name)] for data_set in sets]


def in_seconds(
    sets: Sequence[DataSet],
    splits: int,
    runs: Path,
    matrices: Matrices,
    seconds: float,
    methods: Sequence[str],
) -> Scores:
    """Returns scores at equal CPU-seconds; what was done is kept in a file and not done again."""
    kept = runs / f"seconds-{seconds:g}.jsonl"
    runs.mkdir(parents=True, exist_ok=True)
    done: dict[tuple[str, str, int], float] = {}
    if kept.is_file():
        for row in map(json.loads, kept.read_text(encoding="utf-8").splitlines()):
            done[row["method"], row["data_set"], row["split"]] = row["score"]
    scores: Scores = defaultdict(dict)
    for data_set, prior in zip(sets, crossfitted(sets, matrices), strict=True):
        found: dict[str, list[float]] = defaultdict(list)
        for split in range(splits):
            train, test = outer_splits(data_set)[split]
            targets = data_set.targets[test]
            shares = class_shares(data_set.targets[train], data_set.num_classes)
            decided, told = eight_told(data_set, split, runs)
            for place, name in enumerate(EIGHT):
                found[f"={name}"].append(_points(decided[place], targets))
                if name in _DECIDED:
                    balanced = decide(told[place], shares)
                    found[f"{name}, balanced decision"].append(_points(balanced, targets))
            for method in methods:
                key = (method, data_set.name, split)
                if key not in done:
                    given = Given(data_set, train, test, seconds, prior, seed=split)
                    answers, used = METHODS[method](given)
                    done[key] = _points(answers, targets)
                    names = dict(zip(("method", "data_set", "split"), key, strict=True))
                    with kept.open("a", encoding="utf-8") as file:
                        row = {**names, "score": done[key], "cpu_seconds": round(used, 2)}
                        file.write(json.dumps(row) + "\n")
                found[method].append(done[key])
        for name, values in found.items():
            scores[name][data_set.name] = float(np.mean(values))
    return scores


def shuffled(sets: Sequence[DataSet], prior: Prior) -> dict[str, float]:
    """Returns what the greedy average gains over chance, in points, on targets in random order."""
    gains = {}
    for data_set in sets:
        train, test = outer_splits(data_set)[0]
        targets = data_set.targets.copy()
        targets[train] = np.random.default_rng(0).permutation(targets[train])
        mixed = replace(data_set, targets=targets)
        told, _ = METHODS["metaloop rule"](Given(mixed, train, test, 10.0, prior, seed=0))
        chance = 1 / len(np.unique(data_set.targets[test]))
        gains[data_set.name] = 100 * (1 - balanced_error(told, data_set.targets[test]) - chance)
    return gains


def table_of(scores: Mapping[str, Mapping[str, float]], rows: Mapping[str, int]) -> dict[str, Any]:
    """Returns regrets, ranks and paired differences to extra trees, with intervals, per method."""
    sets = sorted(rows)
    eight = np.array([[scores[f"={name}"][each] for each in sets] for name in EIGHT])
    best, trees = eight.max(axis=0), eight[0]
    reference = "extra_trees, balanced decision"
    decided = [scores[reference][each] for each in sets] if reference in scores else None
    table = {}
    for method, of in scores.items():
        own = np.array([of[each] for each in sets])
        others = np.concatenate([eight, own[None]]) if method[0] != "=" else eight
        row: dict[str, Any] = {
            "balanced_accuracy": round(float(own.mean()), 2),
            "regret": _estimate(best - own),
            "regret, families": _estimate(_by_family(best - own, sets)),
            "gain over extra trees": _estimate(own - trees),
            "gain over extra trees, families": _estimate(_by_family(own - trees, sets)),
            "rank": _estimate(1.0 + (others > own).sum(axis=0)),
            "regret by rows": {
                f"{low}-{high}" if high < 10**9 else f"{low}+": round(
                    float((best - own)[_between(rows, sets, low, high)].mean()), 2
                )
                for low, high in SIZES
                if _between(rows, sets, low, high).any()
            },
        }
        if decided is not None:
            row["gain over extra trees, balanced"] = _estimate(own - np.array(decided))
        table[method.removeprefix("=")] = row
    return dict(sorted(table.items(), key=lambda pair: pair[1]["regret"][0]))


def _between(rows: Mapping[str, int], sets: Sequence[str], low: int, high: int) -> np.ndarray:
    counts = np.array([rows[each] for each in sets])
    return np.asarray((counts > low) & (counts <= high))


def _by_family(values: np.ndarray, sets: Sequence[str]) -> np.ndarray:
    families = [family_of(each) for each in sets]
    return np.array(
        [
            np.mean([v for v, f in zip(values, families, strict=True) if f == family])
            for family in dict.fromkeys(families)
        ]
    )


def _estimate(values: np.ndarray) -> tuple[float, float]:
    found = mean_with_interval(values)
    return round(found.value, 2), round(found.ci95, 2)


def measured(sets: Sequence[DataSet], splits: int, runs: Path) -> dict[str, Any]:
    """Returns what the prior is derived from: errors, CPU-seconds, and how wrong scores are.

    Noise is told by pairs of the eight: how much of the variance of two scores is not common, and
    how much further apart score and test error are than the rows alone explain.
    """
    errors: dict[str, dict[str, list[float]]] = {}
    seconds: dict[str, list[float]] = defaultdict(list)
    own, common, seen, said = 0.0, 0.0, 0.0, 0.0
    for data_set in sets:
        errors[data_set.name] = defaultdict(list)
        for split in range(splits):
            told = told_of(data_set, split, runs)
            shares = class_shares(told.train_targets, told.num_classes)
            train = (decide(told.out_of_fold, shares) != told.train_targets).astype(float)
            test = (decide(told.refit, shares) != told.test_targets).astype(float)
            inner = row_weights(told.train_targets, shares)
            there = class_shares(told.test_targets, told.num_classes)
            outer = row_weights(told.test_targets, there)
            for place, name in enumerate(told.names):
                errors[data_set.name][name].append(float(test[place] @ outer))
                per_row = told.seconds_refit[place] / len(told.train_targets)
                seconds[name].append(1000 * float(per_row))
            eight = [p for p, name in enumerate(told.names) if name in EIGHT[:-1]]
            inside, outside = _covariance(train[eight], inner), _covariance(test[eight], outer)
            apart = train[eight] @ inner - test[eight] @ outer
            for a in range(len(eight)):
                for b in range(a):
                    contrast = inside[a, a] + inside[b, b] - 2 * inside[a, b]
                    own, common = own + contrast, common + inside[a, a] + inside[b, b]
                    said += contrast + outside[a, a] + outside[b, b] - 2 * outside[a, b]
                    seen += float(apart[a] - apart[b]) ** 2
    return {
        "names": [name for name in SETTINGS if name in seconds],
        "data_sets": {
            each.name: {
                "rows": len(each.targets),
                "errors": {n: round(float(np.mean(v)), 5) for n, v in errors[each.name].items()},
            }
            for each in sets
        },
        "noise": {"own_share": round(own / common, 3), "inflation": round(seen / said, 3)},
        "seconds": {name: round(float(np.median(v)), 4) for name, v in seconds.items()},
    }


def _covariance(losses: np.ndarray, weights: np.ndarray) -> np.ndarray:
    off = (losses - (losses @ weights)[:, None]) * weights
    return np.asarray(off @ off.T)


def print_table(table: Mapping[str, Any]) -> None:
    """Prints regrets and paired gains as Markdown."""
    print(
        "| method | balanced accuracy | regret | regret, families | gain over extra trees | "
        "over these, balanced | rank |\n|---|---|---|---|---|---|---|"
    )
    for name, row in table.items():
        cells = [
            f"{row[key][0]:+.2f} ± {row[key][1]:.2f}" if key in row else ""
            for key in (
                "regret",
                "regret, families",
                "gain over extra trees",
                "gain over extra trees, balanced",
            )
        ]
        rank = "{:.2f} ± {:.2f}".format(*row["rank"])
        print(f"| {name} | {row['balanced_accuracy']} | {' | '.join(cells)} | {rank} |")
    print("\n| regret by rows | " + " | ".join(next(iter(table.values()))["regret by rows"]) + " |")
    for name, row in table.items():
        print(f"| {name} | " + " | ".join(map(str, row["regret by rows"].values())) + " |")


def print_paired(scores: Mapping[str, Mapping[str, float]], one: str) -> None:
    """Prints what a method gains over each that had as many seconds, paired by data set."""
    for method, of in scores.items():
        if method[0] != "=" and method != one:
            gains = np.array([scores[one][each] - of[each] for each in of])
            value, half = _estimate(gains)
            wins, losses = int((gains > 0).sum()), int((gains < 0).sum())
            print(
                f"{one} - {method}: {value:+.2f} ± {half:.2f} points, median "
                f"{np.median(gains):+.2f}, ahead on {wins}, behind on {losses} of {len(gains)}"
            )


def main() -> None:
    """Prints a table, or one line and exit code 2 where there is no data."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/tables"))
    parser.add_argument("--max-rows", type=int, default=1250)
    parser.add_argument("--splits", type=int, default=SPLITS)
    parser.add_argument("--sets", nargs="*", help="only these data sets")
    parser.add_argument(
        "--measured", type=Path, help="as --measure wrote it; default: others alone"
    )
    parser.add_argument("--measure", type=Path)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--shuffled", action="store_true")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    shared = os.environ.get("METALOOP_SHARED_DATA")
    data = asked.data or (Path(shared) if shared else None)
    if data is None or not (data / "pmlb_benchmark" / "datasets.zip").is_file():
        print("give the folder of pmlb_benchmark/, or set METALOOP_SHARED_DATA", file=sys.stderr)
        sys.exit(2)
    sets = [s for s in read_sets(data, asked.max_rows) if not asked.sets or s.name in asked.sets]
    if asked.measure:
        record = measured(sets, asked.splits, asked.runs)
        asked.measure.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(f"{asked.measure}: {len(sets)} data sets, {record['noise']}")
        return
    matrices = Matrices(data, asked.measured)
    if asked.shuffled:
        gains = shuffled(sets, matrices.prior())
        value, half = _estimate(np.array(list(gains.values())))
        print(f"over chance, targets shuffled: {value:+.2f} ± {half:.2f} points, {len(gains)} sets")
        return
    if asked.seconds:
        absent = missing(asked.methods)
        if absent:
            print(f"not installed, left out: {', '.join(absent)}", file=sys.stderr)
        methods = [name for name in asked.methods if name not in absent]
        found = in_seconds(sets, asked.splits, asked.runs, matrices, asked.seconds, methods)
    else:
        found = offline(sets, asked.splits, asked.runs, matrices)
    table = table_of(found, {each.name: len(each.targets) for each in sets})
    if asked.json:
        print(json.dumps(table))
    else:
        print(f"{len(sets)} data sets, {asked.splits} splits, at most {asked.max_rows} rows\n")
        print_table(table)
        for name in ("metaloop select",) if asked.seconds else ():
            if name in found:
                print()
                print_paired(found, name)


if __name__ == "__main__":
    main()
