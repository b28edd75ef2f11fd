"""Trees of scikit-learn from a stranger's file: their compiled code does not look where it goes."""

from __future__ import annotations

from typing import Any

import numpy as np

from metaloop.core.errors import ModelFileError


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
