"""`AutoClassifier`, `AutoRegressor`: pipelines for a table, chosen and fitted by `fit`.

They are scikit-learn's: parameters are stored as they are given, what is learned ends in `_`. The
race is that of `metaloop select`, on all rows that are given: there is no sealed part, and
`score_` is what cross-validation says.
"""

from __future__ import annotations

import tempfile
import time
from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from metaloop.archive import place_of
from metaloop.core.budget import Budget, parse_budget
from metaloop.core.errors import InputError, unknown_name
from metaloop.domains.tables.cells import distinct
from metaloop.domains.tables.fitting import FittedPipeline
from metaloop.domains.tables.frame import Column, Frame, check_columns, row_hashes
from metaloop.domains.tables.pipelines import offered
from metaloop.domains.tables.scoring import TABLE_METRICS, USUAL_METRIC, lifted
from metaloop.domains.tables.target import Target
from metaloop.domains.tables.task import TableTask
from metaloop.domains.tables.understanding import as_words, framed, understand
from metaloop.models.tabular import averaged
from metaloop.selecting.tabular.finishing import ChosenPipelines, choose, fit_chosen
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
        rows of one of `groups` are told together. Raises `InputError` (a `ValueError`) for what
        fits not.
        """
        begun = time.perf_counter()
        frame, target = self._known(X, y)
        metric = self._metric(bool(target.classes))
        budget = parse_budget(self.budget) if isinstance(self.budget, str) else self.budget
        if len(frame) < _FEWEST or not frame.schema:
            raise InputError(
                f"Found array with {len(frame)} sample(s) (shape {np.shape(X)}) while a minimum of "
                f"{_FEWEST} is required."
            )
        blocks = row_hashes(frame)
        if groups is not None:
            blocks = distinct(as_words(np.asarray(groups)))[1].astype(np.uint64)
        task = TableTask(
            "X", frame, target, blocks, np.arange(len(frame)), np.zeros(0, np.int64), {}, (), {},
            groups is not None,
        )  # fmt: skip
        if self._labels is not None:
            self.classes_: np.ndarray = self._labels
        few = len(frame) < 2 * 5 or (target.classes and len(target.classes) < 2)
        if few:
            self._fit_plain(task, metric)
        else:
            self._race(task, metric, budget, begun)
        return self

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
            self._learned(run, chosen, fitted)
            self.score_ = None if figure is None else figure.value
            self.chosen_ = dict(chosen.weights)
            self.reason_ = chosen.reason

    def _fit_plain(self, task: TableTask, metric: str) -> None:
        """Of so few rows nothing can be told apart: the first pipeline of the table, fitted."""
        from metaloop.domains.tables.fitting import fit_pipeline  # lazy: only here

        name = "extra_trees"
        classes = len(task.classes)
        fitted = fit_pipeline(name, task.frame, task.target.values, classes, self.random_state)
        self._members: tuple[FittedPipeline, ...] = (fitted,)
        self._weights: tuple[float, ...] = (1.0,)
        self._powers: tuple[float, ...] = (1.0,)
        self._lift = 0.0
        self._common = task.common if classes else np.ones(1)
        self._schema, self._metric_name = task.frame.schema, metric
        board: list[dict[str, Any]] = [{"pipeline": name, "value": None, "ci95": None, "folds": 0}]
        self.leaderboard_ = board
        self.score_, self.chosen_ = None, {name: 1.0}
        self.reason_ = "too few rows to compare pipelines"

    def _learned(
        self, run: TableRun, chosen: ChosenPipelines, fitted: list[FittedPipeline]
    ) -> None:
        rule = chosen.rule
        self._members, self._weights = tuple(fitted), tuple(rule.weights.values())
        self._powers, self._lift = tuple(rule.powers[n] for n in rule.weights), rule.lift
        self._common, self._schema = run.known.common, run.task.frame.schema
        self._metric_name = run.metric
        board: list[dict[str, Any]] = []
        for name in run.race.ranking():
            result = cross_validated(run.task, run.race, name)
            if result is not None:
                entry = run.race.entries[name]
                board.append({
                    "pipeline": name, "value": result.value, "ci95": result.ci95,
                    "folds": len(entry.found), "cpu_seconds": entry.cpu_seconds,
                })  # fmt: skip
        self.leaderboard_ = board

    def _known(self, X: Any, y: Any) -> tuple[Frame, Target]:
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
            return understand("X", table, ()).frame, target
        X = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan")
        target = self._target(y)
        if len(target.values) != len(X):
            raise InputError(
                f"Found input variables with inconsistent numbers of samples: "
                f"{[len(X), len(target.values)]}"
            )
        return _numbers(X), target

    def _rows(self, X: Any) -> Frame:
        check_is_fitted(self, "leaderboard_")
        if self._named and is_frame(X) and not isinstance(X, np.ndarray):
            table = table_of(X, "X")
            check_columns("X", self._schema, list(table.columns))
            return framed("X", table, self._schema)
        if self._named:
            raise InputError("it was fitted to a data frame; give one with the same columns")
        X = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        return _numbers(X)

    def _outputs(self, X: Any) -> np.ndarray:
        rows = self._rows(X)
        return averaged(self._members, self._weights, self._powers, rows)

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
    cross-validation says. A budget in steps (`"20 steps"`, a fold each) can be repeated.

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
        names = tuple(n if isinstance(n, str | int) else str(n) for n in labels.tolist())
        return Target("y", places.astype(np.int64), names, np.arange(len(places)), ())

    def predict_proba(self, X: Any) -> np.ndarray:
        """Returns probabilities `[n, classes]`, in the order of `classes_`."""
        found = self._outputs(X)
        return np.asarray(found / np.maximum(1e-300, found.sum(1, keepdims=True)))

    def predict(self, X: Any) -> np.ndarray:
        """Returns the class of each row: of its probabilities, as the metric weighs classes."""
        shares = lifted(self._outputs(X), self._common, self._lift)
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


def _numbers(X: np.ndarray) -> Frame:
    """Numbers as columns called by their place."""
    schema = tuple(Column(str(place), "number") for place in range(X.shape[1]))
    return Frame(schema, {str(place): X[:, place] for place in range(X.shape[1])})
