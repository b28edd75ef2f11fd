"""Plain methods for ratings: an item's mean, the user's bias, ALS folded in, and item-kNN.

    item mean    y(i) = m_i
    user bias    y(i) = m_i + b,            b = sum (y - m) / (N + 3) over the N known ratings
    fold-in      y(i) = m_i + b + v_i.w,    w = (V^T V + strength I)^-1 V^T (y - m - b)
    item-kNN     y(i) = m_i + b + sum_j s_ij (y_j - m_j - b) / (sum_j s_ij + damping),
                 s_ij = max(0, cos(v_i, v_j))^2 over the known ratings y_j

m_i and v_i, an item's mean and factors, are columns of its inputs (`mean`, `factor_0`, ...), made
of the ratings of training users; V has those of the items rated. What every learner of ratings has
to beat. Item-kNN likens factors, and not ratings by users who have rated both: its table grows with
the items, not with their pairs, and its errors are the same (docs/results.md).
Koren et al. 2009, Matrix factorization techniques for recommender systems, Computer 42(8), doi
10.1109/MC.2009.263; Sarwar et al. 2001, Item-based collaborative filtering recommendation
algorithms, WWW, doi 10.1145/371920.372071.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from metaloop.core.black_box import BlackBoxLearner, RealPredictor
from metaloop.core.errors import MetaloopError

SHRINKING = 3.0  # ratings that a bias of none is worth
SHORTEST = 1e-9  # of factors: an item that nobody has rated is like none
_CITATION = """@article{koren2009matrix,
  title = {Matrix Factorization Techniques for Recommender Systems},
  author = {Koren, Yehuda and Bell, Robert and Volinsky, Chris},
  journal = {Computer},
  year = {2009},
}"""


@final
@dataclass(frozen=True)
class ItemMean(BlackBoxLearner):
    """Predicts the mean of each item, whatever the user has rated."""

    target_kinds: ClassVar[frozenset[str]] = frozenset({"real"})
    citation: ClassVar[str] = _CITATION

    def make(self, seed: int) -> RealPredictor:
        """Returns what reads the item's mean; nothing in it is random."""
        return _FoldedIn(*_places(self), bias=0.0, strength=0.0)


@final
@dataclass(frozen=True)
class UserBias(BlackBoxLearner):
    """Predicts the item's mean and how far above means the user rates, shrunk."""

    target_kinds: ClassVar[frozenset[str]] = frozenset({"real"})
    citation: ClassVar[str] = _CITATION

    def make(self, seed: int) -> RealPredictor:
        """Returns what reads means and learns one number; nothing in it is random."""
        return _FoldedIn(*_places(self), bias=1.0, strength=0.0)


@final
@dataclass(frozen=True)
class FoldIn(BlackBoxLearner):
    """Predicts the item's mean, the user's bias and what factors add, by ridge regression."""

    strength: float = 5.0

    target_kinds: ClassVar[frozenset[str]] = frozenset({"real"})
    citation: ClassVar[str] = _CITATION

    def make(self, seed: int) -> RealPredictor:
        """Returns what learns a user's factors; nothing in it is random."""
        return _FoldedIn(*_places(self), bias=1.0, strength=self.strength)


@final
@dataclass(frozen=True)
class ItemKnn(BlackBoxLearner):
    """Predicts the item's mean, the user's bias and what she said of similar items.

    `damping`: likenesses that saying nothing new is worth.
    """

    damping: float = 1.0

    target_kinds: ClassVar[frozenset[str]] = frozenset({"real"})
    citation: ClassVar[str] = """@inproceedings{sarwar2001item,
  title = {Item-Based Collaborative Filtering Recommendation Algorithms},
  author = {Sarwar, Badrul and Karypis, George and Konstan, Joseph and Riedl, John},
  booktitle = {WWW},
  year = {2001},
}"""

    def make(self, seed: int) -> RealPredictor:
        """Returns what keeps a user's ratings; nothing in it is random.

        Raises `MetaloopError` where inputs have no means.
        """
        return _Neighbours(*_places(self), damping=self.damping)


def _places(learner: BlackBoxLearner) -> tuple[int, list[int]]:
    """Where in an input the item's mean is, and its factors; `MetaloopError` if it has none."""
    columns = () if learner.input_format is None else learner.input_format.columns
    if "mean" not in columns:
        raise MetaloopError(
            f"{type(learner).__name__} needs items with their means, as ratings have them; choose "
            "another learner for other inputs"
        )
    factors = [place for place, name in enumerate(columns) if name.startswith("factor_")]
    return columns.index("mean"), factors


class _FoldedIn:
    """The equations of this file on raw rows of items; `strength` 0 leaves factors out."""

    def __init__(self, mean: int, factors: list[int], bias: float, strength: float) -> None:
        self.mean, self.factors, self.share, self.strength = mean, factors, bias, strength

    def fit(self, inputs: np.ndarray, targets: np.ndarray) -> _FoldedIn:
        inputs = inputs.astype(np.float64)
        left = targets.reshape(len(inputs), -1) - inputs[:, [self.mean]]
        self.bias = self.share * left.sum(0) / (len(left) + SHRINKING)
        of_items = inputs[:, self.factors]
        self.weights = np.zeros((len(self.factors), left.shape[1]))
        self.shares = np.zeros((len(self.factors), len(left)))  # of each rating in the weights
        if self.strength and self.factors:
            gram = of_items.T @ of_items + self.strength * np.eye(len(self.factors))
            solved = np.linalg.solve(gram, of_items.T)
            self.weights = solved @ (left - self.bias)
            self.shares = solved * (left - self.bias)[:, 0]
        return self

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        inputs = inputs.astype(np.float64)
        found: np.ndarray = inputs[:, self.factors] @ self.weights
        found += inputs[:, [self.mean]] + self.bias
        return found

    def contributions(self, inputs: np.ndarray) -> np.ndarray:
        """Returns `[N, support]`, which add up to v.w; nothing where factors are left out."""
        found: np.ndarray = inputs[:, self.factors].astype(np.float64) @ self.shares
        return found


class _Neighbours:
    """Item-kNN on raw rows of items."""

    def __init__(self, mean: int, factors: list[int], damping: float) -> None:
        self.mean, self.factors, self.damping = mean, factors, damping

    def fit(self, inputs: np.ndarray, targets: np.ndarray) -> _Neighbours:
        inputs = inputs.astype(np.float64)
        left = targets.reshape(len(inputs), -1) - inputs[:, [self.mean]]
        self.bias = left.sum(0) / (len(left) + SHRINKING)
        self.left, self.known = left - self.bias, self._directions(inputs)
        return self

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        found: np.ndarray = self._weights(inputs) @ self.left
        found += inputs[:, [self.mean]].astype(np.float64) + self.bias
        return found

    def contributions(self, inputs: np.ndarray) -> np.ndarray:
        """Returns `[N, support]`: what was left of each rating, by how alike the items are."""
        found: np.ndarray = self._weights(inputs) * self.left[:, 0]
        return found

    def _weights(self, inputs: np.ndarray) -> np.ndarray:
        """How much each known rating counts for each item, `[N, support]`."""
        likeness = np.maximum(self._directions(inputs.astype(np.float64)) @ self.known.T, 0) ** 2
        found: np.ndarray = likeness / (likeness.sum(1, keepdims=True) + self.damping)
        return found

    def _directions(self, inputs: np.ndarray) -> np.ndarray:
        factors = inputs[:, self.factors]
        lengths = np.linalg.norm(factors, axis=1, keepdims=True)
        found: np.ndarray = factors / np.maximum(lengths, SHORTEST)
        return found
