"""The mean of the support's targets, whatever the input: the constant baseline of regression.

y(x) = mean of y over the support. A learner that is not better than this has learned nothing from
inputs. A black box: scikit-learn does the work.
Pedregosa et al. 2011, Scikit-learn: machine learning in Python, JMLR.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from sklearn.dummy import DummyRegressor

from metaloop.core.black_box import BlackBoxLearner, RealPredictor


@final
@dataclass(frozen=True)
class MeanOfSupport(BlackBoxLearner):
    """Predicts the mean of the support's targets."""

    target_kinds: ClassVar[frozenset[str]] = frozenset({"real"})
    citation: ClassVar[str] = """@article{pedregosa2011scikit,
  title = {Scikit-learn: Machine Learning in {Python}},
  author = {Pedregosa, Fabian and Varoquaux, Ga{\\"e}l and Gramfort, Alexandre and others},
  journal = {Journal of Machine Learning Research},
  volume = {12},
  pages = {2825--2830},
  year = {2011},
}"""

    def make(self, seed: int) -> RealPredictor:
        """Returns scikit-learn's regressor that knows the mean alone; nothing in it is random."""
        regressor: RealPredictor = DummyRegressor(strategy="mean")
        return regressor
