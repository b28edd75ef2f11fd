"""Logistic regression on the inputs of the support, in some view: the plain linear baseline.

A black box: scikit-learn does the work (Newton steps, L2 penalty with inverse strength C), on
coordinates in the space that the support spans: weights outside of it would cost and change no
prediction.
Cox 1958, The regression analysis of binary sequences, Journal of the Royal Statistical Society B;
Schoelkopf, Herbrich, Smola 2001, A generalized representer theorem, COLT.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from metaloop.core.black_box import BlackBoxLearner, ProbabilisticClassifier

_TOLERANCE = 1e-7  # of the gradient: the usual one leaves answers that hang on the examples' order


@final
@dataclass(frozen=True)
class LogisticRegressionLearner(BlackBoxLearner):
    """Multinomial logistic regression with inverse regularisation `inverse_strength` (C)."""

    inverse_strength: float = 1.0
    max_iterations: int = 1000
    tolerance: float = _TOLERANCE

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

    def make(self, seed: int) -> ProbabilisticClassifier:
        """Returns scikit-learn's classifier with this C; nothing in it is random."""
        classifier: ProbabilisticClassifier = make_pipeline(
            SpannedSpace(),
            LogisticRegression(
                C=self.inverse_strength,
                solver="newton-cg",
                tol=self.tolerance,
                max_iter=self.max_iterations,
            ),
        )
        return classifier


class SpannedSpace(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Turns inputs `[N, D]` into float64 coordinates in the space that those of `fit` span.

    Inner products with the fitted inputs stay what they are, and a few examples have few numbers.
    """

    def fit(self, inputs: np.ndarray, labels: Any = None) -> SpannedSpace:
        """Finds an orthonormal basis; labels are ignored."""
        examples, width = inputs.shape
        few = examples < width
        self.basis_ = np.linalg.qr(inputs.T.astype(np.float64))[0] if few else None
        return self

    def transform(self, inputs: np.ndarray) -> np.ndarray:
        """Returns the coordinates `[M, min(N, D)]`."""
        numbers = inputs.astype(np.float64)
        return numbers if self.basis_ is None else numbers @ self.basis_
