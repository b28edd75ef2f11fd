"""scikit-learn's faces: learners to be fitted to a few examples, and trained classifiers."""

from metaloop.estimators.automatic import AutoClassifier, AutoRegressor
from metaloop.estimators.classifier import FewShotClassifier
from metaloop.estimators.generator import FewShotGenerator
from metaloop.estimators.regressor import FewShotRegressor
from metaloop.estimators.tabular import TrainedTable
from metaloop.estimators.trained import TrainedClassifier

__all__ = [
    "AutoClassifier",
    "AutoRegressor",
    "FewShotClassifier",
    "FewShotGenerator",
    "FewShotRegressor",
    "TrainedClassifier",
    "TrainedTable",
]
