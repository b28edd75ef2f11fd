"""What the few-shot classifier and the regressor share: the model, reading X, files.

scikit-learn's habits rule here: the constructor only stores, learned things end in `_`, `fit`
returns self. What is wrong with X or y is an `InputError`, which is a `ValueError`, too.

Threads may share an estimator. `fit` learns in a copy, whose state replaces the estimator's in one
assignment; whatever asks the estimator takes that state once, so it sees all of it or nothing.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from metaloop.core.black_box import BlackBoxLearner
from metaloop.core.encoder import Encoder
from metaloop.core.errors import InputError
from metaloop.core.forking import ForkableLock
from metaloop.core.objective import objective
from metaloop.core.own import Own
from metaloop.estimators.baseline import is_baseline
from metaloop.estimators.files import adapted_file, task_from_file
from metaloop.estimators.reading import Asked, num_features, reading_of
from metaloop.estimators.task import AdaptedTask, RawInputs
from metaloop.modelfile import read_model, write_model
from metaloop.modelfile.model import Label
from metaloop.models import Model, load_model
from metaloop.models.model import model_from_file
from metaloop.tasks.value_range import BYTES, ValueRange, declared_range

if TYPE_CHECKING:
    ModelOrPath = Model | str | os.PathLike[str] | None
    Flag = bool
    Range = tuple[float, float] | None
else:  # a constructor takes whatever it is given, `fit` judges it: not even beartype may object
    ModelOrPath = Flag = Range = Any

Estimator = TypeVar("Estimator", bound="FewShotEstimator")

_replacing = ForkableLock()
_ESTIMATORS = {  # by target kind
    "classes": "FewShotClassifier",
    "inputs": "FewShotGenerator",
    "real": "FewShotRegressor",
}


class FewShotEstimator(BaseEstimator):  # type: ignore[misc]
    """A learner that `fit` adapts to a support set; its meta-training stays untouched."""

    objective: ClassVar[str]

    task_: AdaptedTask
    value_range_: ValueRange

    def __init__(
        self, model: ModelOrPath = None, keep_support: Flag = True, value_range: Range = None
    ) -> None:
        self.model = model
        self.keep_support = keep_support
        self.value_range = value_range

    @classmethod
    def load(
        cls: type[Estimator],
        path: str | os.PathLike[str],
        net: nn.Module | None = None,
        value_range: Range = None,
        learner: BlackBoxLearner | None = None,
        backbone: Encoder | None = None,
    ) -> Estimator:
        """Returns the estimator in a model file: fitted, if an adapted model was saved.

        `net`, `learner`, `backbone`: the module, learner or encoder that a model with such of your
        own needs. Raises `ModelFileError` if the file is damaged, `InputError` if it is for the
        other kind of estimator, or fitted with another value range than the one that is declared.
        """
        own, content = Own(net, learner, backbone), read_model(path)
        cls._check_objective(content.spec.objective, f"model file '{path}'")
        if content.kind == "learner":
            return cls(model_from_file(content, own), value_range=value_range)
        task = task_from_file(content, own)
        estimator = cls(
            None if is_baseline(task.model) else task.model,
            keep_support=task.support is not None,
            value_range=value_range,
        )
        estimator._restore(task, content.classes)
        return estimator

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Writes an adapted model file, with the support if it was kept; no pickle.

        Raises `OutputError` if it cannot be written.
        """
        fitted = self._snapshot()
        content = adapted_file(fitted.task_, fitted._labels_for_file())
        write_model(path, content, overwrite=overwrite)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "task_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        reading_of(self.model if isinstance(self.model, Model) else None).tag(tags)
        return tags

    def _restore(self, task: AdaptedTask, classes: tuple[Label, ...]) -> None:
        """Takes over what a file held."""
        reading = reading_of(task.model)
        if reading.counted:
            self.n_features_in_ = num_features(task.model)
        self.task_ = task
        declared = self._declared_range(task.model)
        if reading.ranged:
            self.value_range_ = task.value_range or declared or BYTES
            if declared not in (None, self.value_range_):
                raise InputError(
                    f"the model was fitted with value_range={self.value_range_}, {declared} was "
                    f"declared; leave it away, or fit anew"
                )

    def _labels_for_file(self) -> tuple[Label, ...]:
        return ()

    @classmethod
    def _check_objective(cls, found: str, what: str) -> None:
        kind = objective(found).target_kind
        if kind != objective(cls.objective).target_kind:
            raise InputError(
                f"{what} is of a learner of {found} tasks; use {_ESTIMATORS[kind]} "
                f"instead of {cls.__name__}"
            )

    def _model_to_adapt(self, before: AdaptedTask | None) -> Model | None:
        """The model to adapt; None for the baseline, which is made from the whole support."""
        if before is not None:
            return None if is_baseline(before.model) else before.model
        model = self.model
        if model is None:
            return None
        if isinstance(model, (str, os.PathLike)):
            model = load_model(model)
        if not isinstance(model, Model):
            raise InputError(
                f"model must be a path, a loaded Model or None; got {type(model).__name__}"
            )
        self._check_objective(model.spec.objective, "the model")
        return None if is_baseline(model) else model

    def _declared_range(self, model: Model | None) -> ValueRange | None:
        """The range that the constructor was given; raises `InputError` if it has no meaning."""
        declared = declared_range(self.value_range)
        if declared is not None and not reading_of(model).ranged:
            raise InputError(
                "value_range says what is black and white in images, but this estimator takes "
                "no images; leave it away"
            )
        return declared

    def _read(self, X: Any, model: Model | None, before: AdaptedTask | None) -> RawInputs:
        """`X` as raw inputs of the model; None stands for the baseline, which flattens images.

        `before` is what was learned already: its scale and its features hold.
        """
        known = None if before is None else getattr(self, "value_range_", None)
        asked = Asked(model, before is None, known, self._declared_range(model))
        return reading_of(model).read(self, X, asked)

    def _snapshot(self: Estimator) -> Estimator:
        """A fitted copy that no other thread changes."""
        fitted = copy.copy(self)
        check_is_fitted(fitted)
        return fitted

    def _outputs(self, X: Any) -> Tensor:
        """The learner's outputs for every example of `X`, float64; of a snapshot only."""
        read = self._read(X, self._model_to_adapt(self.task_), self.task_)
        return self.task_.outputs(read)

    def _learned(
        self: Estimator, learn: Callable[[Estimator], object], adding: bool = False
    ) -> Estimator:
        """Returns self with what `learn` did to a copy of it; as it was if that fails.

        `adding`: `learn` goes on from what is known. If another thread was first, that is learned
        on top of the other's: nothing gets lost. Parameters set meanwhile stay set.
        """
        while True:
            before, learned = self.__dict__, copy.copy(self)
            learn(learned)
            with _replacing:
                if self.__dict__ is before or not adding:
                    self.__dict__ = {**learned.__dict__, **self.get_params(deep=False)}
                    return self

    def _task_to_extend(self) -> AdaptedTask | None:
        """What `partial_fit` goes on from; None if this is the first call."""
        if not hasattr(self, "task_"):
            return None
        if self.task_.support is None:
            raise InputError(
                "partial_fit needs the examples of before, but the support was not kept; use "
                "keep_support=True, or fit on all examples together"
            )
        return self.task_


def check_lengths(inputs: RawInputs, targets: Any) -> None:
    """Raises `InputError` unless there is one target for each input."""
    if len(inputs) != len(targets):
        raise InputError(
            f"X has {len(inputs)} examples but y has {len(targets)} labels or values; expected "
            f"one for each (inconsistent numbers of samples)"
        )
