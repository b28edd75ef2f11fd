"""Fitted estimators of scikit-learn in a model file, by skops: types of a list, and no code.

What lies in compiled trees is checked, too: their code does not look where it goes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from metaloop.core.errors import GuestError, MetaloopError, ModelFileError, missing_extra

TRUSTED = (  # beside what skops trusts of scikit-learn by itself
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.tree._tree.Tree",
)
_Made = TypeVar("_Made")


def skops_for(what: str) -> Any:
    """Returns the module `skops.io`; raises `MissingExtraError` that says what it is needed for."""
    try:
        import skops.io  # optional extra
    except ImportError:
        raise missing_extra(f"{what} in a model file (skops)", "tables") from None
    return skops.io


def object_of(
    data: bytes, what: str, make: Callable[[Any], _Made], further: tuple[str, ...] = ()
) -> _Made:
    """Returns what `make` makes of the object in these bytes.

    Nothing but types of `TRUSTED` and `further` is built. Raises `ModelFileError` for others, for
    what is damaged and for whatever `make` refuses, and `MissingExtraError` without skops.
    """
    skops_io, trusted = skops_for(what), [*TRUSTED, *further]
    try:
        foreign = sorted(set(skops_io.get_untrusted_types(data=data)) - set(trusted))
        if foreign:
            raise ModelFileError(f"the model file holds {foreign[0][:80]}, which is not trusted")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of another scikit-learn: it is said by the caller
            found = skops_io.loads(data, trusted=trusted)
        return make(found)
    except GuestError as error:
        raise ModelFileError(f"the model file is damaged: {error}") from error
    except MetaloopError:
        raise
    except Exception as error:  # skops raises whatever the content makes it raise
        reason = " ".join(str(error).split())[:200]
        raise ModelFileError(f"the model file is damaged: {reason}") from error


def check_trees(learner: Any) -> None:
    """Raises `ModelFileError` for trees that lead out of themselves, or round in a circle.

    `learner` is a forest, or boosted by histograms; anything else has no trees.
    """
    if hasattr(learner, "_predictors"):  # boosted by histograms
        for one in (tree for row in learner._predictors for tree in row):
            nodes = one.nodes
            inner = nodes["is_leaf"] == 0
            features = nodes["feature_idx"][inner]
            _check_tree(
                np.stack([nodes["left"][inner], nodes["right"][inner]]).astype(np.int64),
                np.flatnonzero(inner), len(nodes), features, learner.n_features_in_,
            )  # fmt: skip
        return
    for one in np.ravel(getattr(learner, "estimators_", [])):
        tree = one.tree_
        inner = tree.children_left != -1
        children = np.stack([tree.children_left[inner], tree.children_right[inner]])
        if tree.n_features != learner.n_features_in_:
            raise ModelFileError("the model file is damaged: a tree has other features")
        _check_tree(
            children, np.flatnonzero(inner), tree.node_count, tree.feature[inner], tree.n_features
        )


def _check_tree(
    children: np.ndarray, places: np.ndarray, nodes: int, features: np.ndarray, number: int
) -> None:
    inside = (children > places).all() and (children < nodes).all()
    if not inside or (features < 0).any() or (features >= number).any():
        raise ModelFileError("the model file is damaged: a tree leads out of itself")
