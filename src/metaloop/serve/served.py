"""A model under the name by which it is served, and how the inputs of its tasks are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from metaloop.core.errors import InputError, MetaloopError
from metaloop.core.ranking import RANKING
from metaloop.estimators import (
    FewShotClassifier,
    FewShotGenerator,
    FewShotRegressor,
    TrainedClassifier,
)
from metaloop.estimators.baseline import is_baseline
from metaloop.estimators.generator import check_sides
from metaloop.estimators.images import read_pictures
from metaloop.estimators.joining import opened
from metaloop.estimators.reading import Asked, reading_of
from metaloop.estimators.task import RawInputs
from metaloop.models import Model
from metaloop.models.classifier import Classifier
from metaloop.serve.limits import Limits
from metaloop.serve.sent import TAKEN, Sent, Taken

Estimator = FewShotClassifier | FewShotRegressor | FewShotGenerator | TrainedClassifier
Answers = Literal["labels", "values", "samples", "summaries"]


@dataclass(frozen=True, eq=False)
class Served:
    """A model under the name by which tasks know it.

    `fixed`: it has learned its one task already, and takes no examples.
    """

    name: str
    estimator: Estimator
    model: Model | Classifier
    taken: Taken
    fixed: bool

    @property
    def answers(self) -> Answers:
        """What is told of an input, or made of the examples."""
        if isinstance(self.estimator, FewShotGenerator):
            return "samples"
        if not isinstance(self.estimator, FewShotRegressor):
            return "labels"
        return "summaries" if self.model.takes == "documents" else "values"

    @property
    def of_events(self) -> bool:
        """Whether an example is an item that a user had, without a rating."""
        return isinstance(self.model, Model) and self.model.spec.objective == RANKING.name


def served(name: str, estimator: object) -> Served:
    """Returns the model of an estimator as one to be served.

    Raises `MetaloopError` for one that answers something else than labels or values, whose inputs
    nobody could send, and for one without a model.
    """
    if not isinstance(estimator, Estimator):
        raise MetaloopError(f"'{name}' is a {type(estimator).__name__}, which cannot be served")
    adapted = getattr(estimator, "task_", None)
    model = estimator.model if adapted is None else adapted.model
    if not isinstance(model, Model | Classifier) or (
        isinstance(model, Model) and is_baseline(model)
    ):
        raise MetaloopError(f"'{name}' is no model; give files that 'learn' or 'train' wrote")
    if model.takes not in TAKEN:
        known = ", ".join(sorted(TAKEN))
        raise MetaloopError(f"'{name}' takes {model.takes}; models can be served that take {known}")
    fixed = adapted is not None or isinstance(model, Classifier)
    return Served(name, estimator, model, TAKEN[model.takes], fixed)


class Reader:
    """How the inputs of one task are read: by the rules of `fit` and `predict`, one at a time.

    What the first example decides (what is black and white in images) holds for all others.
    """

    def __init__(self, of: Served, limits: Limits) -> None:
        self._served, self._limits = of, limits
        kind: Any = type(of.estimator)
        self._estimator: Any = of.estimator if of.fixed else kind(of.model)
        self._begun = of.fixed

    @property
    def value_range(self) -> tuple[float, float] | None:
        """What is black and white in the images of the task, once that is decided."""
        return getattr(self._estimator, "value_range_", None)

    def of(self, served: Served) -> Reader:
        """Returns one by the same limits, for a model of the same kind of inputs."""
        return Reader(served, self._limits)

    def read(self, sent: Sent) -> RawInputs:
        """Returns one input, decoded; raises `MetaloopError` for what the model does not take."""
        taken = self._served.taken
        if sent.kind not in taken.kinds:
            raise InputError(
                f"the model '{self._served.name}' takes {self._served.model.takes}: send "
                f"{' or '.join(repr(kind) for kind in taken.kinds)}, not '{sent.kind}'"
            )
        try:
            X = taken.as_X(sent, self._limits)
            read = opened(self._read(X))
            if self._served.answers == "samples":
                check_sides(X)
        except MetaloopError as error:
            told = str(error)
            if "X[0]" not in told and not told.startswith("X "):
                raise
            told = told.replace("recording X[0]", "the recording").replace("X[0]: ", "")
            raise InputError(told.replace("X ", "the input ", 1)) from error
        self._begun = True
        return read

    def _read(self, X: Any) -> RawInputs:
        model, known = self._served.model, self.value_range
        if isinstance(model, Classifier):
            return read_pictures(X, model.read_format, None, known)
        first = not self._begun
        asked = Asked(model, first, None if first else known)
        return reading_of(model).read(self._estimator, X, asked)
