"""Nearest neighbour: the class of the closest support example, by the inputs in some view.

Its class has probability 1. A black box: scikit-learn does the work.
Cover & Hart 1967, Nearest neighbor pattern classification, IEEE Transactions on Information Theory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from sklearn.neighbors import KNeighborsClassifier

from metaloop.core.black_box import BlackBoxLearner, ProbabilisticClassifier


@final
@dataclass(frozen=True)
class NearestNeighbour(BlackBoxLearner):
    """The nearest support example under Euclidean distance decides."""

    target_kinds: ClassVar[frozenset[str]] = frozenset({"classes"})
    vmappable: ClassVar[bool] = False
    citation: ClassVar[str] = """@article{cover1967nearest,
  title = {Nearest Neighbor Pattern Classification},
  author = {Cover, Thomas and Hart, Peter},
  journal = {IEEE Transactions on Information Theory},
  volume = {13},
  number = {1},
  pages = {21--27},
  year = {1967},
}"""

    def make(self, seed: int) -> ProbabilisticClassifier:
        """Returns scikit-learn's classifier with one neighbour: more do not fit one shot."""
        classifier: ProbabilisticClassifier = KNeighborsClassifier(n_neighbors=1)
        return classifier
