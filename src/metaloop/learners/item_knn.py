"""Item-kNN: a user will say of an item what she has said of others like it.

    y(i) = m_i + b + sum_j s_ij (y_j - m_j - b) / (sum_j s_ij + damping)
    s_ij = max(0, cos(v_i, v_j))^2

over the known ratings y_j; b is the user's bias, as `fold_in` has it. m_i and v_i, an item's mean
and factors, are columns of its inputs. That the likeness is one of factors, and not of ratings by
users who have rated both, changes no error on real ratings by more than 0.001 (docs/ratings.md),
and the table grows with the items, not with their pairs. Sarwar et al. 2001, Item-based
collaborative filtering recommendation algorithms, WWW, doi 10.1145/371920.372071.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from metaloop.core.black_box import BlackBoxLearner, RealPredictor
from metaloop.learners.fold_in import SHRINKING, places_of

SHORTEST = 1e-9  # of factors: an item that nobody has rated is like none


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
        return _Neighbours(*places_of(self), damping=self.damping)


class _Neighbours:
    """The equations of this file on raw rows of items."""

    def __init__(self, mean: int, factors: list[int], damping: float) -> None:
        self.mean, self.factors, self.damping = mean, factors, damping

    def fit(self, inputs: np.ndarray, targets: np.ndarray) -> _Neighbours:
        inputs = inputs.astype(np.float64)
        left = targets.reshape(len(inputs), -1) - inputs[:, [self.mean]]
        self.bias = left.sum(0) / (len(left) + SHRINKING)
        self.left, self.known = left - self.bias, self._directions(inputs)
        return self

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        inputs = inputs.astype(np.float64)
        likeness = np.maximum(self._directions(inputs) @ self.known.T, 0) ** 2
        moved = likeness @ self.left / (likeness.sum(1, keepdims=True) + self.damping)
        found: np.ndarray = inputs[:, [self.mean]] + self.bias + moved
        return found

    def _directions(self, inputs: np.ndarray) -> np.ndarray:
        factors = inputs[:, self.factors]
        lengths = np.linalg.norm(factors, axis=1, keepdims=True)
        found: np.ndarray = factors / np.maximum(lengths, SHORTEST)
        return found
