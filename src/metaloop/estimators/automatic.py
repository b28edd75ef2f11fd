"""`AutoClassifier`, `AutoRegressor`: pipelines for a table, chosen and fitted by `fit`.

They are scikit-learn's: parameters are stored as they are given, what is learned ends in `_`. The
race is that of `metaloop select`, on all rows that are given: there is no sealed part, and
`score_` is what cross-validation says. Files are those of `metaloop select` as well. What that
prints of columns is in `dropped_` and `notes_`, and a suspected leak is a warning.
"""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from metaloop.archive import place_of
from metaloop.core.budget import Budget, parse_budget
from metaloop.core.errors import InputError, ModelFileError, unknown_name
from metaloop.core.leagues import WITHOUT
from metaloop.core.records import Result
from metaloop.domains.tables.cells import distinct
from metaloop.domains.tables.dealing import are_copies, kept_together
from metaloop.domains.tables.fitting import FittedPipeline, fit_pipeline
from metaloop.domains.tables.frame import Column, Frame, check_columns, row_hashes
from metaloop.domains.tables.leaks import leaking
from metaloop.domains.tables.pipelines import filed, league_of_pipelines, offered
from metaloop.domains.tables.scoring import TABLE_METRICS, USUAL_METRIC
from metaloop.domains.tables.target import Label, Target
from metaloop.domains.tables.task import TableTask
from metaloop.domains.tables.understanding import Understood, as_words, framed, understand
from metaloop.modelfile import TrainingRecord, read_model
from metaloop.models.tabular import TabularModel, tabular_from_file
from metaloop.selecting.tabular.ensembling import Joined, alone
from metaloop.selecting.tabular.finishing import choose, fit_chosen
from metaloop.selecting.tabular.judging import cross_validated, figure_of
from metaloop.selecting.tabular.knowledge import prior_with
from metaloop.selecting.tabular.running import TableRun, open_race, race_on
from metaloop.tasks.readers.table_frames import is_frame
from metaloop.tasks.readers.tables import table_of

_FEWEST = 2  # rows


class _Automatic(BaseEstimator):  # type: ignore[misc]
    """What both have in common: `budget` as `metaloop select` has it, and its other options."""

    def __init__(
        self,
        budget: Any = "60s",  # scikit-learn's checks store what they like: `fit` looks at it
        metric: Any = None,
        pipelines: Any = None,
        archive: Any = None,
        workers: Any = None,
        random_state: Any = 0,
    ) -> None:
        self.budget = budget
        self.metric = metric
        self.pipelines = pipelines
        self.archive = archive
        self.workers = workers
        self.random_state = random_state

    @abstractmethod
    def _target(self, y: Any) -> Target:
        """Returns the target that `y` is."""

    def fit(self, X: Any, y: Any, groups: Any = None) -> Any:
        """Returns the estimator, with the best pipelines that its budget could find, fitted.

        `X` is a data frame of mixed columns, or numbers `[n, features]`, NaN for what is missing;
        rows of one of `groups` are told together. Columns of no use are left out: `dropped_` says
        which and why. Warns of those that tell `y` alone. Raises `InputError` (a `ValueError`) for
        what fits not.
        """
        begun = time.perf_counter()
        understood, target = self._known(X, y)
        frame = understood.frame
        metric = self._metric(bool(target.classes))
        budget = parse_budget(self.budget) if isinstance(self.budget, str) else self.budget
        if len(frame) < _FEWEST or not frame.schema:
            raise InputError(
                f"Found array with {len(frame)} sample(s) (shape {np.shape(X)}) while a minimum of "
                f"{_FEWEST} is required."
            )
        blocks = _blocks(row_hashes(frame), target.values, groups)
        task = TableTask(
            "X", frame, target, blocks, np.arange(len(frame)), np.zeros(0, np.int64),
            understood.dropped, understood.told, understood.numbered, groups is not None,
        )  # fmt: skip
        self.dropped_: dict[str, str] = dict(task.dropped)
        self.notes_: list[str] = [*task.notes, *self._leaks(task)]
        if self._labels is not None:
            self.classes_: np.ndarray = self._labels
        few = len(frame) < 2 * 5 or (target.classes and len(target.classes) < 2)
        if few:
            self._fit_plain(task, metric)
        else:
            self._race(task, metric, budget, begun)
        return self

    def _leaks(self, task: TableTask) -> list[str]:
        """What is said of columns that tell `y` alone; each is a warning of whoever calls `fit`."""
        found = leaking(task, self.random_state)
        told = [leak.told("then leave it out of X") for leak in found]
        for each in told:
            warnings.warn(each, stacklevel=3)
        return told

    def _race(self, task: TableTask, metric: str, budget: Budget, begun: float) -> None:
        names = offered(bool(task.classes), len(task.classes))
        if self.pipelines is not None:
            strange = [name for name in self.pipelines if name not in names]
            if strange:
                raise unknown_name("pipeline for such a table", strange[0], names)
            names = tuple(self.pipelines)
        archive = None if self.archive is None else place_of(self.archive)
        with tempfile.TemporaryDirectory(prefix="metaloop-") as folder:
            run = open_race(
                Path(folder), task, metric=metric, budget=budget, seed=self.random_state,
                workers=self.workers or 1, begun=begun, among=names,
                prior=prior_with(names, bool(task.classes), metric, archive, task.content),
            )  # fmt: skip
            with run.executor:
                for _ in race_on(run):
                    pass
                chosen, fitted = fit_chosen(run, choose(run))
                figure = figure_of(run, chosen)
                used = run.executor.cpu_seconds
            took = run.steps_taken, time.perf_counter() - begun, used
            self._keep(task, metric, chosen.rule, fitted, figure, took)
            self.leaderboard_ = _board(run)
            self.reason_ = chosen.reason

    def _fit_plain(self, task: TableTask, metric: str) -> None:
        """Of so few rows nothing can be told apart: the first pipeline of the table, fitted."""
        name = "extra_trees"
        classes = len(task.classes)
        fitted = fit_pipeline(name, task.frame, task.target.values, classes, self.random_state)
        self._keep(task, metric, alone(None, name, metric, 0.0), [fitted], None, (0, 0.0, 0.0))
        self.leaderboard_ = [
            {"pipeline": name, "league": WITHOUT, "value": None, "ci95": None, "folds": 0}
        ]
        self.reason_ = "too few rows to compare pipelines"

    def _keep(
        self,
        task: TableTask,
        metric: str,
        rule: Joined,
        fitted: list[FittedPipeline],
        figure: Result | None,
        took: tuple[int, float, float],
    ) -> None:
        """Keeps what was fitted; `took`: folds, seconds and CPU-seconds."""
        training = TrainingRecord(self.random_state, str(self.budget), *took, task.digest, "X")
        powers = tuple(rule.powers[name] for name in rule.weights)
        common = task.common if task.classes else np.ones(1)
        self._take(TabularModel(
            tuple(fitted), tuple(rule.weights.values()), powers, task.frame.schema,
            task.target.name, task.classes, common, rule.lift, metric, training,
            () if figure is None else (figure,),
        ))  # fmt: skip

    def _take(self, model: TabularModel) -> None:
        self._model = model
        names = (one.name for one in model.members)
        self.chosen_ = dict(zip(names, model.weights, strict=True))
        self.score_ = model.results[0].value if model.results else None

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Writes what was fitted as `metaloop select` does; parameters are not in the file.

        Raises `ModelFileError` for a pipeline that cannot be in one, `OutputError` where it cannot
        be written, `MissingExtraError` without skops.
        """
        check_is_fitted(self, "leaderboard_")
        strange = [name for name in self.chosen_ if name not in filed(tuple(self.chosen_))]
        if strange:
            raise ModelFileError(
                f"{strange[0]} keeps its rows and cannot be in a model file; fit with pipelines "
                "that can"
            )
        self._model.save(path, overwrite=overwrite)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Any:
        """Returns the fitted estimator in a file that `save` or `metaloop select` wrote.

        Its parameters are the defaults: they are what a further `fit` would go by. Raises
        `ModelFileError` for a damaged file, and for one of another kind.
        """
        model = tabular_from_file(read_model(path))
        made = cls()
        if bool(model.classes) != isinstance(made, ClassifierMixin):
            other = "AutoClassifier" if model.classes else "AutoRegressor"
            raise ModelFileError(f"'{os.fspath(path)}' is of another kind; load it by {other}")
        names = [column.name for column in model.schema]
        made._named = names != [str(place) for place in range(len(names))]
        made.n_features_in_ = len(names)
        if made._named:
            made.feature_names_in_ = np.array(names, object)
        if model.classes:
            made.classes_ = np.array(model.classes)
        made._take(model)
        made.leaderboard_, made.reason_ = [], "it was loaded from a file"
        made.dropped_, made.notes_ = {}, []
        return made

    def _known(self, X: Any, y: Any) -> tuple[Understood, Target]:
        """The columns and the target; names of features are kept as scikit-learn does."""
        if y is None:
            raise InputError(
                f"{type(self).__name__} requires y to be passed, but the target y is None"
            )
        self._named = is_frame(X) and not isinstance(X, np.ndarray) and not hasattr(X, "tocsr")
        if self._named:
            table = table_of(X, "X")
            names = list(table.columns)
            if all(isinstance(name, str) for name in getattr(X, "columns", names)):
                self.feature_names_in_ = np.array(names, object)
            self.n_features_in_ = len(names)
            target = self._target(y)
            if len(target.values) != len(table):
                raise InputError(
                    f"X has {len(table)} rows and y {len(target.values)}; give one each"
                )
            return understand("X", table, ()), target
        X = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan")
        target = self._target(y)
        if len(target.values) != len(X):
            raise InputError(
                f"Found input variables with inconsistent numbers of samples: "
                f"{[len(X), len(target.values)]}"
            )
        return Understood(_numbers(X), {}, (), {}), target

    def _rows(self, X: Any) -> Frame:
        check_is_fitted(self, "leaderboard_")
        if self._named and is_frame(X) and not isinstance(X, np.ndarray):
            table = table_of(X, "X")
            check_columns("X", self._model.schema, list(table.columns))
            return framed("X", table, self._model.schema)
        if self._named:
            raise InputError("it was fitted to a data frame; give one with the same columns")
        X = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        return _numbers(X)

    def _outputs(self, X: Any) -> np.ndarray:
        rows = self._rows(X)
        return self._model.plain_outputs(rows)

    def _metric(self, for_classes: bool) -> str:
        metric = self.metric or USUAL_METRIC[for_classes]
        able = [n for n, one in TABLE_METRICS.items() if one.for_classes == for_classes]
        if metric not in able:
            raise unknown_name("metric for such a target", metric, able)
        return metric

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class AutoClassifier(ClassifierMixin, _Automatic):  # type: ignore[misc]
    """A classifier for a table that chooses its pipelines itself, within `budget`.

    `metric` decides, by default balanced accuracy. `pipelines` are names of
    `metaloop.domains.tables.pipelines.TABLE_PIPELINES`, all by default; `archive` is one of earlier
    runs. `leaderboard_` tells what was tried, `chosen_` the weights, `score_` what
    cross-validation says; `dropped_` which columns are not learned from and why, `notes_` what else
    is to be said of them. A budget in steps (`"20 steps"`, a fold each) can be repeated.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> AutoClassifier(budget="4 steps", pipelines=("logistic",)).fit(X, y).predict(X[:2]).tolist()
    [0, 0]
    """

    def _target(self, y: Any) -> Target:
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        values = np.asarray(y)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise InputError("Input y contains NaN or infinity.")
        labels, places = np.unique(values, return_inverse=True)
        self._labels = labels
        names = tuple(_label(each) for each in labels.tolist())
        return Target("y", places.astype(np.int64), names, np.arange(len(places)), ())

    def predict_proba(self, X: Any) -> np.ndarray:
        """Returns probabilities `[n, classes]`, in the order of `classes_`."""
        found = self._outputs(X)
        return np.asarray(found / np.maximum(1e-300, found.sum(1, keepdims=True)))

    def predict(self, X: Any) -> np.ndarray:
        """Returns the class of each row: of its probabilities, as the metric weighs classes."""
        outputs = self._outputs(X)
        shares = self._model.lifted(outputs)
        return np.asarray(self.classes_[shares.argmax(1)])


class AutoRegressor(RegressorMixin, _Automatic):  # type: ignore[misc]
    """A regressor for a table that chooses its pipelines itself, within `budget`.

    `metric` decides, by default RMSE. All else is as with `AutoClassifier`.

    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = AutoRegressor(budget="4 steps", pipelines=("logistic",)).fit(X, y)
    >>> bool(model.score(X, y) > 0.4)
    True
    """

    def _target(self, y: Any) -> Target:
        values = column_or_1d(y, warn=True).astype(np.float64)
        if not np.isfinite(values).all():
            raise InputError("Input y contains NaN or infinity.")
        self._labels = None
        return Target("y", values, (), np.arange(len(values)), ())

    def predict(self, X: Any) -> np.ndarray:
        """Returns the value of each row."""
        return self._outputs(X)


def _label(value: Any) -> Label:
    """A class as files have it: text, or a whole number."""
    return int(value) if isinstance(value, int | float) else str(value)


def _board(run: TableRun) -> list[dict[str, Any]]:
    """What is said of every pipeline that was measured, the best first."""
    board = []
    for name in run.race.ranking():
        result = cross_validated(run.task, run.race, name)
        if result is not None:
            entry = run.race.entries[name]
            board.append({
                "pipeline": name, "league": league_of_pipelines([name]), "value": result.value,
                "ci95": result.ci95, "folds": len(entry.found), "cpu_seconds": entry.cpu_seconds,
            })  # fmt: skip
    return board


def _blocks(hashes: np.ndarray, targets: np.ndarray, groups: Any) -> np.ndarray:
    """Which rows are told together, uint64 `[n]`: groups, and what may be copies."""
    as_copies = are_copies(hashes, targets)
    if groups is None:
        return hashes if as_copies else np.arange(len(hashes), dtype=np.uint64)
    named = distinct(as_words(np.asarray(groups)))[1]
    return kept_together(named, hashes)[0] if as_copies else named.astype(np.uint64)


def _numbers(X: np.ndarray) -> Frame:
    """Numbers as columns called by their place."""
    schema = tuple(Column(str(place), "number") for place in range(X.shape[1]))
    return Frame(schema, {str(place): X[:, place] for place in range(X.shape[1])})
