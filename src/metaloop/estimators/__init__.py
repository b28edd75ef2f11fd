"""scikit-learn's faces of a learner: fit it to a few examples, then predict."""

from metaloop.estimators.classifier import FewShotClassifier
from metaloop.estimators.regressor import FewShotRegressor

__all__ = ["FewShotClassifier", "FewShotRegressor"]
