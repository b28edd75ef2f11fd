"""scikit-learn: estimators as learners of tasks, in a process apart, and in a model file.

as_learner(make_pipeline(StandardScaler(), SVC()))   a learner of few-shot tasks (`learner.py`)
apart(guest, seed, limit_seconds)                    the same in a process of its own (`apart.py`)
kept, restored                                       a fitted one as bytes and back (`storing.py`)
"""

from metaloop.guests.sklearn.learner import (
    EstimatorOfClasses,
    EstimatorOfValues,
    ExtraTrees,
    GaussianNaiveBayes,
    ShrunkDiscriminant,
    SupportVectorMachine,
    as_learner,
    class_scores,
    seeded,
)

__all__ = [
    "EstimatorOfClasses",
    "EstimatorOfValues",
    "ExtraTrees",
    "GaussianNaiveBayes",
    "ShrunkDiscriminant",
    "SupportVectorMachine",
    "as_learner",
    "class_scores",
    "seeded",
]
