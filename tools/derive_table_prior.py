"""Derive what `metaloop select` knows of pipelines before it sees a table.

    python tools/derive_table_prior.py [DATA] [--measured FILE] [--out FILE] [--without NAME ...]

DATA (default: METALOOP_SHARED_DATA) holds `oboe_error_matrix/` and `pmlb_benchmark/`, matrices of
errors that others measured; `--measured` is the file that `benchmarks/tables.py --measure` writes:
the pipelines themselves on the 39 small data sets of PMLB. The result is a JSON file of kilobytes,
src/metaloop/selection/table_prior.json, with where it comes from inside. `--without` leaves out
data sets of PMLB and their relatives in all sources: those of the same family under other names
(`FAMILIES`), and whatever has as many rows. The regression prior is neutral: no matrix at hand has
errors of regressors, so its covariance is that of classification, wider, and its means too.
"""

from __future__ import annotations

import argparse
import ast
import csv
import gzip
import hashlib
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from metaloop.selection.deriving import Source, derived_prior
from metaloop.selection.prior import SHIPPED, NoiseModel, Prior, as_record
from metaloop.selection.table_settings import SETTINGS

# The column of OBOE's matrix that is nearest to a pipeline. Its forests have ten trees.
OBOE: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "extra_trees": ("ExtraTrees", {"min_samples_split": 2, "criterion": "gini"}),
    "random_forest": ("RF", {"min_samples_split": 2, "criterion": "gini"}),
    "gradient_boosting": ("GBT", {"learning_rate": 0.1, "max_depth": 3, "max_features": None}),
    "hist_boosting": ("GBT", {"learning_rate": 0.1, "max_depth": 6, "max_features": None}),
    "logistic": ("Logit", {"C": 1, "solver": "liblinear", "penalty": "l2"}),
    "logistic/strong": ("Logit", {"C": 0.25, "solver": "liblinear", "penalty": "l2"}),
    "svm": ("kSVM", {"C": 1, "kernel": "rbf", "coef0": 0}),
    "svm/hard": ("kSVM", {"C": 16, "kernel": "rbf", "coef0": 0}),
    "svm/poly": ("kSVM", {"C": 4, "kernel": "poly", "coef0": 10}),
    "knn": ("KNN", {"n_neighbors": 5, "p": 2}),
    "knn/nearest": ("KNN", {"n_neighbors": 1, "p": 1}),
    "naive_bayes": ("GNB", {}),
    "mlp": (
        "MLP",
        {"learning_rate_init": 0.001, "learning_rate": "adaptive", "solver": "adam", "alpha": 1e-4},
    ),
}
# The same in PMLB's own results; `auto` features of forests were sqrt.
PMLB: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "random_forest": (
        "RandomForestClassifier",
        {
            "n_estimators": 100,
            "min_weight_fraction_leaf": 0.0,
            "max_features": "sqrt",
            "criterion": "gini",
        },
    ),
    "gradient_boosting": (
        "GradientBoostingClassifier",
        {"n_estimators": 100, "learning_rate": 0.1, "max_depth": 3, "max_features": "sqrt"},
    ),
    "logistic": (
        "LogisticRegression",
        {"C": 1.0, "penalty": "l2", "fit_intercept": True, "dual": False},
    ),
    "svm": ("SVC", {"C": 1.0, "gamma": 0.1, "kernel": "rbf"}),
    "knn": ("KNeighborsClassifier", {"n_neighbors": 5, "weights": "uniform"}),
    "knn/nearest": ("KNeighborsClassifier", {"n_neighbors": 1, "weights": "uniform"}),
}
# One set of UCI under several names of PMLB, and the numbers that OpenML gave it.
FAMILIES: Mapping[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "thyroid": (
        (
            "allbp",
            "allhyper",
            "allhypo",
            "allrep",
            "dis",
            "ann-thyroid",
            "hypothyroid",
            "new-thyroid",
        ),
        (38, 57, 1000, 40474, 40475, 40476, 40477, 40478, 40497, 40682, 40707, 40708, 40713),
    ),
    "wisconsin": (
        ("breast", "breast-w", "breast-cancer-wisconsin", "wdbc"),
        (15, 1510),
    ),
    "breast-cancer": (("breast-cancer",), (13,)),
    "australian": (("australian", "buggyCrx", "credit-a", "crx"), (29, 40509, 40981)),
    "german": (("german", "credit-g", "analcatdata_germangss"), (31, 468)),
    "bupa": (("bupa", "liver-disorder"), (8,)),
    "glass": (("glass", "glass2", "prnn_fglass"), (41, 952)),
    "flare": (("flare", "solar-flare_1", "solar-flare_2"), (40686, 40687, 40702)),
    "diabetes": (("diabetes", "pima"), (37,)),
    "vote": (("vote", "house-votes-84"), (56,)),
    "dna": (("dna", "splice"), (46, 953, 40670)),
    "led": (("led24", "led7"), (40496, 40677, 40678)),
    "waveform": (("ring", "twonorm"), (1496, 1507)),
    "iris": (("iris",), (61, 969)),
    "auto": (("auto", "cars", "cars1"), (9, 21, 745, 40700)),
    "balance-scale": (("balance-scale",), (11, 997)),
    "ecoli": (("ecoli",), (39, 1011, 40671)),
    "tae": (("tae",), (48, 955)),
    "labor": (("labor",), (4,)),
    "optdigits": (("optdigits",), (28, 980)),
    "texture": (("texture",), (40499,)),
    "threeOf9": (("threeOf9",), (40690,)),
    "backache": (("backache",), (463,)),
    "biomed": (("biomed",), (481,)),
    "lupus": (("lupus",), (472,)),
    "flags": (("flags",), (285,)),
    "appendicitis": (("appendicitis",), (1456,)),
}
_SAME = 0.003  # errors of two data sets that differ less, everywhere, are those of one
_DEFAULT_NOISE = NoiseModel(0.45, 1.3)  # without --measured
_WIDER = 2.0  # variances of the regression prior, in those of classification


def family_of(name: str) -> str:
    """Returns the family of a data set of PMLB, by its name."""
    return next((key for key, (names, _) in FAMILIES.items() if name in names), name)


def read_oboe(folder: Path) -> tuple[Source, dict[str, int]]:
    """Returns OBOE's errors of the pipelines that it has, and the rows of its data sets."""
    with gzip.open(folder / "error_matrix.csv.gz", "rt", newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    models = [ast.literal_eval(column) for column in header[1:]]
    places = {
        name: next(
            place
            for place, model in enumerate(models)
            if (model["algorithm"], model["hyperparameters"]) == (algorithm, dict(setting))
        )
        for name, (algorithm, setting) in OBOE.items()
    }
    matrix = np.array([row[1:] for row in rows], float).clip(0.0, 1.0)
    ids = [int(row[0]) for row in rows]
    by_id = {number: key for key, (_, numbers) in FAMILIES.items() for number in numbers}
    names = tuple(f"openml {number}" for number in ids)
    families = [by_id.get(number, name) for number, name in zip(ids, names, strict=True)]
    with gzip.open(folder / "dataset_sizes.csv.gz", "rt", newline="", encoding="utf-8") as file:
        sizes = {f"openml {int(row[0])}": int(row[1]) for row in list(csv.reader(file))[1:]}
    source = Source(
        "oboe", names, tuple(OBOE), matrix[:, list(places.values())], _joined(families, matrix)
    )
    return source, {name: sizes[name] for name in names if name in sizes}


def _joined(families: list[str], matrix: np.ndarray) -> tuple[str, ...]:
    """Families, where data sets whose errors coincide are of one."""
    joined = list(families)
    for place in range(len(joined)):
        alike = np.flatnonzero(np.abs(matrix[:place] - matrix[place]).max(axis=1) < _SAME)
        if len(alike):
            joined[place] = joined[alike[0]]
    return tuple(joined)


def read_pmlb(folder: Path) -> tuple[Source, dict[str, int]]:
    """Returns the errors in PMLB's own results, and the rows of its data sets."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for file_name in ("sklearn_benchmark5.tsv.gz", "sklearn_benchmark_r6.tsv.gz"):
        with gzip.open(folder / file_name, "rt", newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                name = _pipeline_of(row["algorithm"], row["parameters"])
                if name is not None:
                    found[row["dataset"]][name] = 1 - float(row["bal_accuracy"])
    with gzip.open(folder / "metafeatures.csv.gz", "rt", newline="", encoding="utf-8") as file:
        rows = {row["dataset"]: int(float(row["n_rows"])) for row in csv.DictReader(file)}
    sets = tuple(sorted(found))
    errors = np.array([[found[each].get(name, np.nan) for name in PMLB] for each in sets])
    return Source("pmlb", sets, tuple(PMLB), errors, tuple(map(family_of, sets))), rows


def _pipeline_of(algorithm: str, text: str) -> str | None:
    names = [name for name, (other, _) in PMLB.items() if other == algorithm]
    if not names:
        return None
    parameters = ast.literal_eval(text)
    for name in names:
        if all(
            str(parameters.get(key)).lower() == str(value).lower()
            for key, value in PMLB[name][1].items()
        ):
            return name
    return None


def read_measured(path: Path) -> tuple[Source, dict[str, int], NoiseModel, dict[str, float]]:
    """Returns what `benchmarks/tables.py --measure` wrote: errors, rows, noise, seconds."""
    record = json.loads(path.read_text(encoding="utf-8"))
    sets = tuple(sorted(record["data_sets"]))
    names = tuple(record["names"])
    errors = np.array(
        [[record["data_sets"][s]["errors"].get(n, np.nan) for n in names] for s in sets], float
    )
    source = Source("measured", sets, names, errors, tuple(map(family_of, sets)))
    noise = NoiseModel(record["noise"]["own_share"], record["noise"]["inflation"])
    return source, {s: record["data_sets"][s]["rows"] for s in sets}, noise, record["seconds"]


def relatives(
    held_out: Iterable[str],
    rows_of_held_out: Iterable[int],
    source: Source,
    rows: Mapping[str, int],
) -> set[str]:
    """Returns the data sets of a source that may be one of the held-out ones under another name."""
    families = {family_of(name) for name in held_out}
    counts = set(rows_of_held_out)
    own = source.families or source.data_sets
    near = {
        family
        for name, family in zip(source.data_sets, own, strict=True)
        if rows.get(name) in counts
    }
    return {
        name
        for name, family in zip(source.data_sets, own, strict=True)
        if family in families | near or name in set(held_out)
    }


class Matrices:
    """All sources, read once; `prior` derives from what is no relative of the held-out sets."""

    def __init__(self, data: Path, measured: Path | None = None) -> None:
        self._read: list[tuple[Source, dict[str, int]]] = []
        self.noise = _DEFAULT_NOISE
        self.seconds: dict[str, float] = {}
        if measured is not None:
            source, rows, self.noise, self.seconds = read_measured(measured)
            self._read.append((source, rows))
        self._read += [read_oboe(data / "oboe_error_matrix"), read_pmlb(data / "pmlb_benchmark")]

    def prior(
        self, without: Collection[str] = (), provenance: Mapping[str, Any] | None = None
    ) -> Prior:
        """Returns the prior of all pipelines that any source has; `without` names sets of PMLB."""
        pmlb_rows = self._read[-1][1]
        counts = {pmlb_rows[name] for name in without if name in pmlb_rows}
        sources, left_out = [], {}
        for source, rows in self._read:
            leave = relatives(without, counts, source, rows) if without else set()
            sources.append(source.without(leave))
            left_out[source.name] = sorted(leave)
        measured = {name for source in sources for name in source.names}
        names = [name for name in SETTINGS if name in measured]
        known = {name: self.seconds[name] for name in names if name in self.seconds}
        used = {source.name: len(source.data_sets) for source in sources}
        told = {**(provenance or {}), "data_sets": used, "left_out": left_out}
        return derived_prior(sources, names, noise=self.noise, seconds=known, provenance=told)


def for_regression(prior: Prior) -> Prior:
    """Returns a neutral prior for regressors: how kinds of learners go together, hardly more."""
    names = tuple(name for name in prior.names if name != "naive_bayes")
    kept = prior.only(names)
    return replace(
        kept,
        means=0.5 * (kept.means - kept.means.mean()),
        covariance=_WIDER * kept.covariance,
        scale="log",
        level_variance=100.0,
        provenance={
            "from": "no matrix of regressors was at hand: half the mean differences and twice the "
            "covariance of classification, on the logarithm of the RMSE; a weak prior"
        },
    )


def provenance_of(data: Path, measured: Path | None) -> dict[str, Any]:
    """Returns sources, licences, hashes, and the command."""
    files = [
        ("oboe_error_matrix/error_matrix.csv.gz", "BSD-3-Clause, udellgroup/oboe, KDD 2019"),
        ("oboe_error_matrix/dataset_sizes.csv.gz", "BSD-3-Clause, udellgroup/oboe, KDD 2019"),
        ("pmlb_benchmark/sklearn_benchmark5.tsv.gz", "GPL-3.0, EpistasisLab/Aliro; facts alone"),
        ("pmlb_benchmark/sklearn_benchmark_r6.tsv.gz", "GPL-3.0, EpistasisLab/Aliro; facts alone"),
        ("pmlb_benchmark/metafeatures.csv.gz", "GPL-3.0, EpistasisLab/Aliro; facts alone"),
    ]
    sources = [
        {"file": name, "licence": licence, "sha256": _sha(data / name)} for name, licence in files
    ]
    if measured is not None:
        own = {"file": measured.name, "licence": "own measurements", "sha256": _sha(measured)}
        sources.append(own)
    return {
        "command": "python tools/derive_table_prior.py DATA"
        + (f" --measured {measured.name}" if measured else ""),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "sources": sources,
    }


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    """Writes the file, or says in one line what is missing and exits with 2."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--measured", type=Path)
    parser.add_argument("--without", nargs="*", default=[])
    parser.add_argument("--out", type=Path, default=SHIPPED)
    options = parser.parse_args()
    shared = os.environ.get("METALOOP_SHARED_DATA")
    data = options.data or (Path(shared) if shared else None)
    if data is None or not (data / "oboe_error_matrix").is_dir():
        print("give the folder of oboe_error_matrix/, or set METALOOP_SHARED_DATA", file=sys.stderr)
        sys.exit(2)
    matrices = Matrices(data, options.measured)
    prior = matrices.prior(options.without, provenance_of(data, options.measured))
    record = {
        "format": 1,
        "classification": as_record(prior),
        "regression": as_record(for_regression(prior)),
    }
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"{options.out}: {options.out.stat().st_size / 1024:.1f} KiB")
    for name, mean in sorted(zip(prior.names, prior.means, strict=True), key=lambda pair: pair[1]):
        print(f"  {name:24s} {mean:+.4f}")
    print("portfolio:", ", ".join(prior.portfolio))


if __name__ == "__main__":
    main()
