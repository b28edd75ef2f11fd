"""The 39 small data sets of PMLB, the pipelines by name, and what they tell of rows: for tables.py.

DATA/pmlb_benchmark/datasets.zip (Olson et al., BioData Mining 2017). A data set has five outer
splits (stratified folds, seed 0); of those with more rows than `max_rows` a drawn part is used, and
classes with fewer than seven rows are left out. What pipelines tell is kept in a folder, a file a
split: it takes half an hour of CPU to make, and every rule of choosing can then be compared on it.
"""

from __future__ import annotations

import io
import time
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import ensemble, linear_model, naive_bayes, neighbors, neural_network, svm
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metaloop.selection.ensembling import best_power, tempered
from metaloop.selection.table_settings import SCALED, SETTINGS, kind_of

EIGHT = (  # the fixed learners that regret is measured against, as they come
    "extra_trees",
    "random_forest",
    "lightgbm",
    "hist_boosting",
    "logistic",
    "svm",
    "knn",
    "naive_bayes",
)
SPLITS, INNER = 5, 5
_LEAST_ROWS_OF_A_CLASS = 7
_MOST_CLASSES_OF_BOOSTING = 5  # scikit-learn's older boosting grows a tree a class, slowly


@dataclass(frozen=True)
class DataSet:
    """Numbers `[rows, columns]` and class indices `[rows]`."""

    name: str
    inputs: np.ndarray
    targets: np.ndarray

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return int(self.targets.max()) + 1


@dataclass(frozen=True)
class Told:
    """What every pipeline says of one split of a data set, as probabilities.

    `out_of_fold [pipelines, train rows, classes]` by inner folds; `refit` and `folds_mean
    [pipelines, test rows, classes]` by the pipeline trained on all training rows, and by the mean
    of those of the inner folds; `decided [pipelines, test rows]` as the library itself decides.
    """

    names: tuple[str, ...]
    train_targets: np.ndarray
    test_targets: np.ndarray
    out_of_fold: np.ndarray
    refit: np.ndarray
    folds_mean: np.ndarray
    decided: np.ndarray
    seconds_folds: np.ndarray
    seconds_refit: np.ndarray

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return int(self.out_of_fold.shape[2])

    def tempered(self) -> Told:
        """Returns the same with probabilities to the power that suits the training rows."""
        powers = [best_power(told, self.train_targets) for told in self.out_of_fold]
        out, refit, mean = (
            np.stack([tempered(told, power) for told, power in zip(part, powers, strict=True)])
            for part in (self.out_of_fold, self.refit, self.folds_mean)
        )
        return replace(self, out_of_fold=out, refit=refit, folds_mean=mean)


def read_sets(data: Path, max_rows: int) -> list[DataSet]:
    """Returns the data sets, those with the fewest numbers first."""
    found = []
    with zipfile.ZipFile(data / "pmlb_benchmark" / "datasets.zip") as archive:
        for member in archive.namelist():
            table = np.genfromtxt(io.BytesIO(archive.read(member)), delimiter="\t", names=True)
            columns = table.dtype.names or ()
            inputs = np.stack([table[each] for each in columns if each != "class"], axis=1)
            found.append(_prepared(Path(member).stem, inputs, table["class"], max_rows))
    return sorted(found, key=lambda each: each.inputs.size * each.num_classes)


def _prepared(name: str, inputs: np.ndarray, labels: np.ndarray, max_rows: int) -> DataSet:
    targets = np.unique(labels, return_inverse=True)[1]
    if len(targets) > max_rows:
        kept = np.random.default_rng(0).permutation(len(targets))[:max_rows]
        inputs, targets = inputs[kept], np.unique(targets[kept], return_inverse=True)[1]
    enough = np.bincount(targets)[targets] >= _LEAST_ROWS_OF_A_CLASS
    return DataSet(name, inputs[enough], np.unique(targets[enough], return_inverse=True)[1])


def outer_splits(data_set: DataSet) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns training and test rows of each outer split."""
    folds = StratifiedKFold(SPLITS, shuffle=True, random_state=0)
    return list(folds.split(data_set.inputs, data_set.targets))


def learner(name: str, seed: int, settings: Mapping[str, Any] | None = None) -> Any:
    """Returns an untrained pipeline by its name, or of its kind with these settings."""
    chosen = dict(SETTINGS[name] if settings is None else settings)
    kind = kind_of(name)
    made: Any
    match kind:
        case "extra_trees":
            made = ensemble.ExtraTreesClassifier(random_state=seed, **chosen)
        case "random_forest":
            made = ensemble.RandomForestClassifier(random_state=seed, **chosen)
        case "hist_boosting":
            made = ensemble.HistGradientBoostingClassifier(random_state=seed, **chosen)
        case "gradient_boosting":
            made = ensemble.GradientBoostingClassifier(random_state=seed, **chosen)
        case "lightgbm":
            from lightgbm import LGBMClassifier  # optional extra

            made = LGBMClassifier(n_jobs=1, verbose=-1, random_state=seed, **chosen)
        case "logistic":
            made = linear_model.LogisticRegression(**{"max_iter": 300, **chosen})
        case "svm":
            made = svm.SVC(**chosen)
        case "knn":
            made = neighbors.KNeighborsClassifier(**chosen)
        case "naive_bayes":
            made = naive_bayes.GaussianNB(**chosen)
        case "mlp":
            made = neural_network.MLPClassifier(random_state=seed, **chosen)
        case _:
            raise ValueError(f"no learner is called {name}")
    return make_pipeline(StandardScaler(), made) if kind in SCALED else made


def probabilities(fitted: Any, inputs: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns `[rows, classes]`; of a machine with margins alone, their softmax."""
    if hasattr(fitted, "predict_proba"):
        told = fitted.predict_proba(inputs)
    else:
        margins = fitted.decision_function(inputs)
        if margins.ndim == 1:
            margins = np.stack([-margins, margins], axis=1)
        told = np.exp(margins - margins.max(axis=1, keepdims=True))
        told /= told.sum(axis=1, keepdims=True)
    everything = np.zeros((len(inputs), num_classes))
    everything[:, fitted.classes_] = told
    return everything


def offered(num_classes: int) -> list[str]:
    """Returns the names of the pipelines that are tried on so many classes."""
    slow = num_classes > _MOST_CLASSES_OF_BOOSTING
    return [name for name in SETTINGS if not (slow and name == "gradient_boosting")]


def told_of(
    data_set: DataSet, split: int, folder: Path, names: Sequence[str] | None = None
) -> Told:
    """Returns what pipelines tell of a split, read from the folder or made and kept there."""
    kept = folder / f"{data_set.name}.{split}.npz"
    if not kept.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        made = _made(data_set, split, names or offered(data_set.num_classes))
        np.savez_compressed(kept, **made)
    with np.load(kept) as arrays:
        known = [str(name) for name in arrays["names"]]
        places = [place for place, name in enumerate(known) if name in SETTINGS]
        parts = {
            part: arrays[part][places]
            for part in (
                "out_of_fold",
                "refit",
                "folds_mean",
                "decided",
                "seconds_folds",
                "seconds_refit",
            )
        }
        return Told(
            names=tuple(known[place] for place in places),
            train_targets=arrays["train_targets"],
            test_targets=arrays["test_targets"],
            **parts,
        )


def eight_told(data_set: DataSet, split: int, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Returns what the eight say of the test rows of a split, each fitted once to the others.

    `decided [8, test rows]` as their libraries decide, and probabilities `[8, test rows, classes]`;
    read from the folder, or made and kept there.
    """
    kept = folder / f"{data_set.name}.{split}.eight.npz"
    if not kept.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        train, test = outer_splits(data_set)[split]
        decided, told = [], []
        for name in EIGHT:
            made = learner(name, split)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made.fit(data_set.inputs[train], data_set.targets[train])
                told.append(probabilities(made, data_set.inputs[test], data_set.num_classes))
                decided.append(made.predict(data_set.inputs[test]))
        np.savez_compressed(kept, decided=np.stack(decided), told=np.stack(told))
    with np.load(kept) as arrays:
        return arrays["decided"], arrays["told"]


def _made(data_set: DataSet, split: int, names: Sequence[str]) -> dict[str, Any]:
    train, test = outer_splits(data_set)[split]
    inputs, targets = data_set.inputs[train], data_set.targets[train]
    rows: dict[str, list[Any]] = {}
    for name in names:
        for part, value in _tell(data_set, name, split, inputs, targets, test):
            rows.setdefault(part, []).append(value)
    return {
        "names": list(names),
        "train_targets": targets,
        "test_targets": data_set.targets[test],
        **rows,
    }


def _tell(
    data_set: DataSet,
    name: str,
    seed: int,
    inputs: np.ndarray,
    targets: np.ndarray,
    test: np.ndarray,
) -> Iterator[tuple[str, Any]]:
    made, count = learner(name, seed), data_set.num_classes
    start = time.process_time()
    out_of_fold = np.zeros((len(inputs), count), np.float32)
    mean = np.zeros((len(test), count), np.float32)
    folds = StratifiedKFold(INNER, shuffle=True, random_state=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for learned, told in folds.split(inputs, targets):
            made.fit(inputs[learned], targets[learned])
            out_of_fold[told] = probabilities(made, inputs[told], count)
            mean += probabilities(made, data_set.inputs[test], count) / INNER
        middle = time.process_time()
        made.fit(inputs, targets)
        refit = probabilities(made, data_set.inputs[test], count).astype(np.float32)
        end = time.process_time()
        yield "decided", made.predict(data_set.inputs[test])
    yield "out_of_fold", out_of_fold
    yield "folds_mean", mean
    yield "refit", refit
    yield "seconds_folds", middle - start
    yield "seconds_refit", end - middle
