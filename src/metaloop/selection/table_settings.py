"""What the names of pipelines stand for: hyperparameters, in the words of scikit-learn.

A name is a kind of learner, or `kind/variant`. What is not said is the library's default. `scaled`:
columns are standardised before the learner, for it compares distances or has a penalty.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

SETTINGS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "extra_trees": {"n_estimators": 100},
        "extra_trees/all": {"n_estimators": 100, "max_features": None},
        "random_forest": {"n_estimators": 100},
        "hist_boosting": {},
        "lightgbm": {"n_estimators": 100},
        "gradient_boosting": {"n_estimators": 100, "max_depth": 3},
        "logistic": {"C": 1.0},
        "logistic/strong": {"C": 0.1},
        "svm": {"C": 1.0, "kernel": "rbf"},
        "svm/hard": {"C": 16.0, "kernel": "rbf"},
        "svm/poly": {"C": 4.0, "kernel": "poly", "degree": 3, "coef0": 10.0},
        "knn": {"n_neighbors": 5},
        "knn/nearest": {"n_neighbors": 1, "p": 1},
        "naive_bayes": {},
        "mlp": {"hidden_layer_sizes": (64,), "max_iter": 100},
    }
)
SCALED = frozenset({"logistic", "svm", "knn", "mlp"})  # kinds


def kind_of(name: str) -> str:
    """Returns the kind of learner of a name: what stands before the variant."""
    return name.partition("/")[0]
