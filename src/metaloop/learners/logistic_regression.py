"""Logistic regression on the raw inputs of the support: the plain linear baseline.

A black box: scikit-learn does the work (L-BFGS, L2 penalty with inverse strength C).
Cox 1958, The regression analysis of binary sequences, Journal of the Royal Statistical Society B.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from sklearn.linear_model import LogisticRegression

from metaloop.core.black_box import BlackBoxLearner, ProbabilisticClassifier


@final
@dataclass(frozen=True)
class LogisticRegressionLearner(BlackBoxLearner):
    """Multinomial logistic regression with inverse regularisation `inverse_strength` (C)."""

    inverse_strength: float = 1.0
    max_iterations: int = 1000

    target_kinds: ClassVar[frozenset[str]] = frozenset({"classes"})
    vmappable: ClassVar[bool] = False
    citation: ClassVar[str] = """@article{cox1958regression,
  title = {The Regression Analysis of Binary Sequences},
  author = {Cox, David R.},
  journal = {Journal of the Royal Statistical Society: Series B},
  volume = {20},
  number = {2},
  pages = {215--242},
  year = {1958},
}"""

    def make(self) -> ProbabilisticClassifier:
        """Returns scikit-learn's classifier with this C."""
        classifier: ProbabilisticClassifier = LogisticRegression(
            C=self.inverse_strength, max_iter=self.max_iterations
        )
        return classifier
