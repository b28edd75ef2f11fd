"""`TABLE_PIPELINES`: whole pipelines for tables by name: encoding, learner, settings, what they cost.

`name/variant` is another setting of `name`. Each is made for classes or for numbers; a learner that
only knows one of them is not offered for the other. Those of other libraries are offered where these
are installed. Learners run on one thread: the race has a process for each core.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

from metaloop.core.errors import unknown_name
from metaloop.core.leagues import AND, WITHOUT
from metaloop.domains.tables.encoding import Way

_SVM_STEPS = 200_000  # a polynomial on a target with outliers would go on for minutes
Make = Callable[[bool, int], Any]  # for classes?, a seed


@dataclass(frozen=True)
class TablePipeline:
    """A pipeline: `make(for_classes, seed)` is its untrained learner, `way` how columns are encoded.

    `exponent`: time grows as rows to this power. `seconds`: a first guess of the time for 1,000
    rows of 20 numbers and two classes; `by_classes`: whether that is for each class.
    `most_rows`, `most_classes`: beyond them it is not tried, or on so many rows. `needs` is the package.
    `in_file`: whether what is fitted can be in a model file; one that keeps its rows as they are cannot.
    `by_rows`: whether telling a row takes longer in proportion to the rows that were learned from.
    `pretrained`: the net of others that it brings along; "" where all is learned from the table.
    `bagged`: whether of few rows the learners of the folds are used as well; a forest is a mean already.
    """  # noqa: E501

    make: Make
    way: Way
    exponent: float = 1.1
    seconds: float = 0.3
    by_classes: bool = False
    most_rows: int = 2_000_000
    most_classes: int = 1000
    for_classes: bool = True
    for_numbers: bool = True
    needs: str = ""
    in_file: bool = True
    by_rows: bool = False
    pretrained: str = ""
    bagged: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)


def _forest(extra: bool, for_classes: bool, seed: int, **options: Any) -> Any:
    from sklearn import ensemble  # lazy: half a second, in workers

    kind = "ExtraTrees" if extra else "RandomForest"
    make = getattr(ensemble, kind + ("Classifier" if for_classes else "Regressor"))
    options = {"n_estimators": 200, **options}
    if not for_classes and "max_features" not in options:
        options["max_features"] = 1.0 if extra else 0.5
    return make(random_state=seed, n_jobs=1, **options)


def _hist_boosting(for_classes: bool, seed: int, **options: Any) -> Any:
    from sklearn import ensemble  # lazy: half a second, in workers

    make = getattr(
        ensemble, "HistGradientBoosting" + ("Classifier" if for_classes else "Regressor")
    )
    return make(random_state=seed, **{"early_stopping": False, **options})


def _gradient_boosting(for_classes: bool, seed: int, **options: Any) -> Any:
    from sklearn import ensemble  # lazy: half a second, in workers

    make = getattr(ensemble, "GradientBoosting" + ("Classifier" if for_classes else "Regressor"))
    return make(random_state=seed, **options)


def _linear(for_classes: bool, seed: int, strength: float) -> Any:
    from sklearn import linear_model  # lazy: half a second, in workers

    if for_classes:
        return linear_model.LogisticRegression(C=1 / strength, max_iter=500)
    return linear_model.Ridge(alpha=strength)


def _svm(for_classes: bool, seed: int, **options: Any) -> Any:
    from sklearn import svm  # lazy: half a second, in workers

    options = {"cache_size": 500, "max_iter": _SVM_STEPS, **options}
    return svm.SVC(random_state=seed, **options) if for_classes else svm.SVR(**options)


def _knn(for_classes: bool, seed: int, **options: Any) -> Any:
    from sklearn import neighbors  # lazy: half a second, in workers

    make = getattr(neighbors, "KNeighbors" + ("Classifier" if for_classes else "Regressor"))
    return make(algorithm="brute", **options)  # a tree of another kind is a type more to trust


def _naive_bayes(for_classes: bool, seed: int, **options: Any) -> Any:
    from sklearn.naive_bayes import GaussianNB  # lazy: half a second, in workers

    return GaussianNB(**options)


def _mlp(for_classes: bool, seed: int, **options: Any) -> Any:
    from sklearn import neural_network  # lazy: half a second, in workers

    make = getattr(neural_network, "MLP" + ("Classifier" if for_classes else "Regressor"))
    return make(random_state=seed, **{"max_iter": 200, "n_iter_no_change": 10, **options})


def _lightgbm(for_classes: bool, seed: int, **options: Any) -> Any:
    import lightgbm  # optional extra

    make = lightgbm.LGBMClassifier if for_classes else lightgbm.LGBMRegressor
    return make(random_state=seed, n_jobs=1, verbose=-1, **options)


def _tabpfn(for_classes: bool, seed: int, **options: Any) -> Any:
    import tabpfn  # optional extra

    make = tabpfn.TabPFNClassifier if for_classes else tabpfn.TabPFNRegressor
    return make(random_state=seed, device="cpu", **options)


def _tabicl(for_classes: bool, seed: int, **options: Any) -> Any:
    import tabicl  # optional extra

    make = tabicl.TabICLClassifier if for_classes else tabicl.TabICLRegressor
    return make(random_state=seed, device="cpu", **options)


def _row(
    function: Callable[..., Any], way: Way, options: Mapping[str, Any], **more: Any
) -> TablePipeline:
    return TablePipeline(partial(function, **options), way, settings=dict(options), **more)


def _forests(extra: bool, options: Mapping[str, Any], seconds: float) -> TablePipeline:
    return TablePipeline(
        partial(_forest, extra, **options), "trees", 1.15, seconds, bagged=False,
        settings=dict(options),
    )  # fmt: skip


_HIST = {"exponent": 1.0, "seconds": 0.4, "by_classes": True}
_BOOST = {"exponent": 1.1, "seconds": 0.6, "by_classes": True, "most_rows": 50_000}
_SVM = {
    "exponent": 2.0, "seconds": 0.1, "most_rows": 20_000, "most_classes": 250, "by_rows": True,
}  # fmt: skip
_KNN = {"exponent": 1.6, "seconds": 0.05, "most_rows": 100_000, "by_rows": True}
_MLP = {"exponent": 1.0, "seconds": 2.0}
_LIGHT = {"exponent": 1.0, "seconds": 0.3, "by_classes": True, "needs": "lightgbm"}
_SLOW = {"learning_rate": 0.03, "max_iter": 300, "max_leaf_nodes": 15, "l2_regularization": 1.0}
_DEEP = {
    "n_estimators": 200,
    "learning_rate": 0.05,
    "max_depth": 5,
    "subsample": 0.7,
    "max_features": "sqrt",
}

# The order decides nothing but ties: what is tried is said by the prior and by what was measured.
TABLE_PIPELINES: Mapping[str, TablePipeline] = MappingProxyType(
    {
        "extra_trees": _forests(True, {}, 0.3),
        "random_forest": _forests(False, {}, 0.5),
        "hist_boosting": _row(_hist_boosting, "trees", {}, **_HIST),
        "lightgbm": _row(_lightgbm, "trees", {}, **_LIGHT),
        "gradient_boosting": _row(_gradient_boosting, "scaled", {}, **_BOOST),
        "logistic": _row(_linear, "scaled", {"strength": 1.0}, seconds=0.05, by_classes=True),
        "svm": _row(_svm, "scaled", {}, **_SVM),
        "knn": _row(_knn, "scaled", {}, **_KNN),
        "naive_bayes": _row(
            _naive_bayes, "scaled", {}, exponent=1.0, seconds=0.01, for_numbers=False
        ),
        "mlp": _row(_mlp, "scaled", {"alpha": 1e-3}, **_MLP),
        "extra_trees/leaf": _forests(True, {"min_samples_leaf": 3}, 0.3),
        "extra_trees/all": _forests(True, {"max_features": None, "min_samples_leaf": 2}, 0.5),
        "random_forest/leaf": _forests(False, {"min_samples_leaf": 3}, 0.4),
        "hist_boosting/slow": _row(_hist_boosting, "trees", _SLOW, **{**_HIST, "seconds": 0.6}),
        "lightgbm/slow": _row(
            _lightgbm, "trees",
            {"n_estimators": 400, "learning_rate": 0.03, "num_leaves": 15, "min_child_samples": 10,
             "subsample": 0.8, "subsample_freq": 1, "colsample_bytree": 0.7},
            **{**_LIGHT, "seconds": 0.6},
        ),
        "gradient_boosting/slow": _row(_gradient_boosting, "scaled", _DEEP, **_BOOST),
        "logistic/strong": _row(
            _linear, "scaled", {"strength": 10.0}, seconds=0.05, by_classes=True
        ),
        "logistic/weak": _row(_linear, "scaled", {"strength": 0.05}, seconds=0.1, by_classes=True),
        "svm/hard": _row(_svm, "scaled", {"C": 16.0}, **_SVM),
        "svm/poly": _row(
            _svm, "scaled", {"C": 4.0, "kernel": "poly", "degree": 3, "coef0": 10.0},
            **{**_SVM, "seconds": 0.3},
        ),
        "svm/wide": _row(_svm, "scaled", {"C": 10.0, "gamma": 0.01}, **_SVM),
        "knn/far": _row(_knn, "scaled", {"n_neighbors": 15, "weights": "distance"}, **_KNN),
        "knn/nearest": _row(_knn, "scaled", {"n_neighbors": 1, "p": 1}, **_KNN),
        "mlp/wide": _row(
            _mlp, "scaled", {"alpha": 0.1, "hidden_layer_sizes": (256, 64)},
            **{**_MLP, "seconds": 5.0},
        ),
        "tabpfn": _row(
            _tabpfn, "trees", {}, exponent=1.5, seconds=5.0, most_rows=10_000, most_classes=10,
            needs="tabpfn", in_file=False, by_rows=True, pretrained="tabpfn", bagged=False,
        ),
        "tabicl": _row(
            _tabicl, "trees", {}, exponent=1.5, seconds=5.0, most_rows=50_000, needs="tabicl",
            in_file=False, by_rows=True, pretrained="tabicl", bagged=False,
        ),
    }
)  # fmt: skip


def offered(for_classes: bool, classes: int) -> tuple[str, ...]:
    """Returns the names of the pipelines that can learn this, of libraries that are installed."""
    return tuple(
        name
        for name, one in TABLE_PIPELINES.items()
        if (one.for_classes if for_classes else one.for_numbers)
        and classes <= one.most_classes
        and (not one.needs or find_spec(one.needs) is not None)
    )


def filed(names: Sequence[str]) -> tuple[str, ...]:
    """Returns those of the pipelines that can be in a model file."""
    return tuple(name for name in names if TABLE_PIPELINES[name].in_file)


def table_pipeline(name: str) -> TablePipeline:
    """Returns the pipeline of this name; raises `UnknownNameError`."""
    if name not in TABLE_PIPELINES:
        raise unknown_name("pipeline for tables", name, TABLE_PIPELINES)
    return TABLE_PIPELINES[name]


def league_of_pipelines(names: Iterable[str]) -> str:
    """Returns the league of these together: `none`, or the pretrained nets that they bring."""
    nets = dict.fromkeys(table_pipeline(name).pretrained for name in names)
    return AND.join(net for net in nets if net) or WITHOUT


def family_of(name: str) -> str:
    """Returns the name without its variant."""
    return name.split("/")[0]
