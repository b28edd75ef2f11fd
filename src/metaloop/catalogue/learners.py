"""The table of learners: every method by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from metaloop.core.errors import unknown_name
from metaloop.core.learner import Learner
from metaloop.learners.anil import Anil
from metaloop.learners.baselinepp import BaselinePlusPlus
from metaloop.learners.fomaml import FirstOrderMaml
from metaloop.learners.logistic_regression import LogisticRegressionLearner
from metaloop.learners.maml import Maml
from metaloop.learners.nearest_centroid import NearestCentroid
from metaloop.learners.nearest_neighbour import NearestNeighbour
from metaloop.learners.protonet import ProtoNet
from metaloop.learners.rfs import Rfs
from metaloop.learners.ridge import Ridge
from metaloop.learners.simpleshot import SimpleShot


@dataclass(frozen=True)
class LearnerEntry:
    """A method: its constructor, what it is in one line, and how it is trained.

    `trunk` names what training its net serves: learners with the same trunk (and net and plan)
    share one trained net. `none` needs no training, `classifier` is the whole-class classifier.
    """

    constructor: Callable[..., Learner]
    summary: str
    trunk: str


LEARNERS: Mapping[str, LearnerEntry] = MappingProxyType(
    {
        "anil": LearnerEntry(Anil, "MAML in which only the head adapts", "anil"),
        "baselinepp": LearnerEntry(
            BaselinePlusPlus, "fine-tuned cosine head on a whole-class net", "classifier"
        ),
        "fomaml": LearnerEntry(FirstOrderMaml, "MAML without second derivatives", "fomaml"),
        "logistic_regression": LearnerEntry(
            LogisticRegressionLearner, "plain baseline on raw inputs (scikit-learn)", "none"
        ),
        "maml": LearnerEntry(Maml, "initial weights from which few gradient steps learn", "maml"),
        "nearest_centroid": LearnerEntry(
            NearestCentroid, "plain baseline: nearest class mean of raw inputs", "none"
        ),
        "nearest_neighbour": LearnerEntry(
            NearestNeighbour, "plain baseline on raw inputs (scikit-learn)", "none"
        ),
        "protonet": LearnerEntry(ProtoNet, "nearest class mean in a learned embedding", "protonet"),
        "rfs": LearnerEntry(Rfs, "logistic regression on a whole-class net", "classifier"),
        "ridge": LearnerEntry(Ridge, "closed-form ridge regression, trained through", "ridge"),
        "simpleshot": LearnerEntry(
            SimpleShot, "centred, normalised class means on a whole-class net", "classifier"
        ),
    }
)


def learner_entry(name: str) -> LearnerEntry:
    """Returns the entry of this name; raises `UnknownNameError` naming near matches."""
    if name not in LEARNERS:
        raise unknown_name("learner", name, LEARNERS)
    return LEARNERS[name]
