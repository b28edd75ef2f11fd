"""scikit-learn: any classifier, regressor or pipeline as a learner, and a few well-chosen ones.

    learner = as_learner(make_pipeline(StandardScaler(), SVC()))
    metaloop.train(data, learner)

An estimator is cloned for every task and fitted on its support. A classifier without probabilities
is asked for its decision function. What is random in it, and has no seed of yours, follows from the
support.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from sklearn.base import BaseEstimator, clone, is_classifier, is_regressor
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.multioutput import MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC, SVR

from metaloop.core.black_box import Adapting, BlackBoxLearner
from metaloop.core.errors import MetaloopError
from metaloop.core.inputs import InputFormat
from metaloop.core.views import View

_SEED = "random_state"
_LEAST_PROBABILITY = 1e-12
_SCIKIT = """@article{pedregosa2011scikit,
  title = {Scikit-learn: Machine Learning in {Python}},
  author = {Pedregosa, Fabian and Varoquaux, Ga{\\"e}l and Gramfort, Alexandre and others},
  journal = {Journal of Machine Learning Research},
  volume = {12},
  pages = {2825--2830},
  year = {2011},
}"""


@dataclass(frozen=True)
class _FittedPerTask:
    """Fits what `choose(num_classes)` returns: an estimator of classes, or of real targets."""

    choose: Callable[[int, np.ndarray], Any]
    seed: int

    def adapt(self, inputs: np.ndarray, targets: np.ndarray, num_classes: int) -> Any:
        estimator = seeded(clone(self.choose(num_classes, targets)), self.seed)
        if not num_classes and targets.shape[1] == 1:
            targets = targets[:, 0]  # as most of them want it
        if num_classes and len(np.unique(targets)) == 1:
            return num_classes, targets[0]  # nothing to tell apart, which most refuse
        return num_classes, estimator.fit(inputs, targets)

    def predict(self, state: Any, inputs: np.ndarray) -> np.ndarray:
        num_classes, fitted = state
        if not num_classes:
            return np.asarray(fitted.predict(inputs))
        logits = np.full((len(inputs), num_classes), -np.inf)
        if not hasattr(fitted, "classes_"):
            logits[:, fitted] = 0.0
        else:
            logits[:, fitted.classes_] = class_scores(fitted, inputs)
        return logits


@final
@dataclass(frozen=True)
class EstimatorOfClasses(BlackBoxLearner):
    """A scikit-learn classifier of your own, or a pipeline that ends in one."""

    estimator: Any

    target_kinds: ClassVar[frozenset[str]] = frozenset({"classes"})
    citation: ClassVar[str] = _SCIKIT

    def make(self, seed: int) -> Adapting:
        """Returns the estimator as a guest, to be cloned for a task."""
        return _FittedPerTask(lambda num_classes, targets: self.estimator, seed)


@final
@dataclass(frozen=True)
class EstimatorOfValues(BlackBoxLearner):
    """A scikit-learn regressor of your own, or a pipeline that ends in one."""

    estimator: Any

    target_kinds: ClassVar[frozenset[str]] = frozenset({"real"})
    citation: ClassVar[str] = _SCIKIT

    def make(self, seed: int) -> Adapting:
        """Returns the estimator as a guest, to be cloned for a task."""
        return _FittedPerTask(lambda num_classes, targets: self.estimator, seed)


def as_learner(
    estimator: Any, *, view: View = "raw", input_format: InputFormat | None = None
) -> EstimatorOfClasses | EstimatorOfValues:
    """Returns the estimator as a learner of few-shot tasks; it is cloned, never fitted itself.

    `view`: the form in which it sees inputs (`raw`, `standardised`, `unit`); others than `raw` need
    the `input_format` of a family. Raises `MetaloopError` unless it is a classifier or a regressor
    in scikit-learn's sense.

    >>> from sklearn.svm import SVC
    >>> as_learner(SVC(C=10))
    EstimatorOfClasses(view='raw', estimator=SVC(C=10))
    """
    if not isinstance(estimator, BaseEstimator) or not (
        is_classifier(estimator) or is_regressor(estimator)
    ):
        raise MetaloopError(
            f"expected a scikit-learn classifier, regressor or pipeline of one, got "
            f"{type(estimator).__name__}"
        )
    kind = EstimatorOfClasses if is_classifier(estimator) else EstimatorOfValues
    return kind(estimator=estimator, view=view, input_format=input_format)


def seeded(estimator: Any, seed: int) -> Any:
    """Returns the estimator with the seed in all of it that is random and has no seed yet."""
    unseeded = [
        name
        for name, value in estimator.get_params().items()
        if name.rpartition("__")[2] == _SEED and value is None
    ]
    return estimator.set_params(**dict.fromkeys(unseeded, seed))


def class_scores(fitted: Any, inputs: np.ndarray) -> np.ndarray:
    """Returns logits `[N, len(classes_)]`: log-probabilities, decisions, or the decided class."""
    if hasattr(fitted, "predict_proba"):
        return _logarithms(fitted.predict_proba(inputs))
    if hasattr(fitted, "decision_function"):
        scores = np.asarray(fitted.decision_function(inputs))
        return np.stack([-scores / 2, scores / 2], axis=1) if scores.ndim == 1 else scores
    return _logarithms(fitted.predict(inputs)[:, None] == fitted.classes_[None])


def _logarithms(probabilities: np.ndarray) -> np.ndarray:
    logarithms: np.ndarray = np.log(np.maximum(probabilities, _LEAST_PROBABILITY))
    return logarithms


@final
@dataclass(frozen=True)
class SupportVectorMachine(BlackBoxLearner):
    """Support vectors with a Gaussian kernel, of classes or of real targets."""

    penalty: float = 10.0  # C: few examples are to be told apart, not smoothed

    target_kinds: ClassVar[frozenset[str]] = frozenset({"classes", "real"})
    citation: ClassVar[str] = """@article{cortes1995support,
  title = {Support-Vector Networks},
  author = {Cortes, Corinna and Vapnik, Vladimir},
  journal = {Machine Learning},
  volume = {20},
  pages = {273--297},
  year = {1995},
}"""

    def make(self, seed: int) -> Adapting:
        """Returns scikit-learn's machine; nothing in it is random."""

        def choose(num_classes: int, targets: np.ndarray) -> Any:
            if num_classes:
                return SVC(C=self.penalty)
            machine = SVR(C=self.penalty)
            return machine if targets.shape[1] == 1 else MultiOutputRegressor(machine)

        return _FittedPerTask(choose, seed)


@final
@dataclass(frozen=True)
class ExtraTrees(BlackBoxLearner):
    """Extremely randomised trees, of classes or of real targets."""

    num_trees: int = 100

    target_kinds: ClassVar[frozenset[str]] = frozenset({"classes", "real"})
    citation: ClassVar[str] = """@article{geurts2006extremely,
  title = {Extremely Randomized Trees},
  author = {Geurts, Pierre and Ernst, Damien and Wehenkel, Louis},
  journal = {Machine Learning},
  volume = {63},
  pages = {3--42},
  year = {2006},
}"""

    def make(self, seed: int) -> Adapting:
        """Returns scikit-learn's trees; their seed is the task's."""
        return _FittedPerTask(
            lambda num_classes, targets: (
                ExtraTreesClassifier(self.num_trees)
                if num_classes
                else ExtraTreesRegressor(self.num_trees)
            ),
            seed,
        )


@final
@dataclass(frozen=True)
class GaussianNaiveBayes(BlackBoxLearner):
    """A Gaussian for each class and feature; variances are smoothed, for examples are few."""

    smoothing: float = 0.1  # share of the largest variance: of one example there is none

    target_kinds: ClassVar[frozenset[str]] = frozenset({"classes"})
    citation: ClassVar[str] = """@inproceedings{john1995estimating,
  title = {Estimating Continuous Distributions in {Bayesian} Classifiers},
  author = {John, George H. and Langley, Pat},
  booktitle = {Uncertainty in Artificial Intelligence},
  pages = {338--345},
  year = {1995},
}"""

    def make(self, seed: int) -> Adapting:
        """Returns scikit-learn's classifier; nothing in it is random."""
        return _FittedPerTask(
            lambda num_classes, targets: GaussianNB(var_smoothing=self.smoothing), seed
        )


@final
@dataclass(frozen=True)
class ShrunkDiscriminant(BlackBoxLearner):
    """Linear discriminants with a covariance shrunk as Ledoit and Wolf have it.

    Where no class has a second example there is no covariance: then the nearest mean decides.
    """

    target_kinds: ClassVar[frozenset[str]] = frozenset({"classes"})
    citation: ClassVar[str] = """@article{ledoit2004honey,
  title = {Honey, {I} Shrunk the Sample Covariance Matrix},
  author = {Ledoit, Olivier and Wolf, Michael},
  journal = {Journal of Portfolio Management},
  volume = {30},
  number = {4},
  pages = {110--119},
  year = {2004},
}"""

    def make(self, seed: int) -> Adapting:
        """Returns scikit-learn's classifier; nothing in it is random."""

        def choose(num_classes: int, targets: np.ndarray) -> Any:
            if np.bincount(targets).max() == 1:
                return GaussianNB(var_smoothing=1.0)
            return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")

        return _FittedPerTask(choose, seed)
