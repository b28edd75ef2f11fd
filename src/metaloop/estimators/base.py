"""What the few-shot classifier and the regressor share: the model, reading X, files.

scikit-learn's habits rule here: the constructor only stores, learned things end in `_`, `fit`
returns self. What is wrong with X or y is an `InputError`, which is a `ValueError`, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from metaloop.catalogue import Model, load_model
from metaloop.catalogue.model import model_from_file
from metaloop.core.errors import InputError, MetaloopError
from metaloop.estimators.baseline import is_baseline
from metaloop.estimators.files import adapted_file, task_from_file
from metaloop.estimators.images import ValueRange, image_sources, read_pictures
from metaloop.estimators.task import AdaptedTask, RawInputs
from metaloop.modelfile import read_model, write_model
from metaloop.modelfile.model import Label

if TYPE_CHECKING:
    ModelOrPath = Model | str | os.PathLike[str] | None
    Flag = bool
else:  # a constructor takes whatever it is given, `fit` judges it: not even beartype may object
    ModelOrPath = Flag = Any

Estimator = TypeVar("Estimator", bound="FewShotEstimator")

_ESTIMATORS = {"classification": "FewShotClassifier", "regression": "FewShotRegressor"}


class FewShotEstimator(BaseEstimator):  # type: ignore[misc]
    """A learner that `fit` adapts to a support set; its meta-training stays untouched."""

    objective: ClassVar[str]

    def __init__(self, model: ModelOrPath = None, keep_support: Flag = True) -> None:
        self.model = model
        self.keep_support = keep_support

    @classmethod
    def load(
        cls: type[Estimator], path: str | os.PathLike[str], net: nn.Module | None = None
    ) -> Estimator:
        """Returns the estimator in a model file: fitted, if an adapted model was saved.

        `net` is the module that a model with a net of your own needs. Raises `ModelFileError` if
        the file is damaged, `InputError` if it is for the other kind of estimator.
        """
        content = read_model(path)
        cls._check_objective(content.spec.objective, f"model file '{path}'")
        if content.kind == "learner":
            return cls(model_from_file(content, net))
        task = task_from_file(content, net)
        baseline = is_baseline(task.model)
        estimator = cls(None if baseline else task.model, keep_support=task.support is not None)
        estimator._restore(task, content.classes)
        return estimator

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Writes an adapted model file, with the support if it was kept; no pickle.

        Raises `OutputError` if it cannot be written.
        """
        check_is_fitted(self)
        write_model(path, adapted_file(self.task_, self._labels_for_file()), overwrite=overwrite)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "task_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        known = self.model if isinstance(self.model, Model) else None
        image_model = known is not None and known.input_format.kind == "image"
        tags.input_tags.two_d_array = not image_model
        tags.input_tags.three_d_array = known is None or image_model
        return tags

    def _restore(self, task: AdaptedTask, classes: tuple[Label, ...]) -> None:
        """Takes over what a file held."""
        self.n_features_in_ = _num_features(task.model)
        self.task_ = task

    def _labels_for_file(self) -> tuple[Label, ...]:
        return ()

    @classmethod
    def _check_objective(cls, found: str, what: str) -> None:
        if found != cls.objective:
            raise InputError(
                f"{what} is of a learner of {found} tasks; use {_ESTIMATORS.get(found, 'another')} "
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

    def _read(
        self, X: Any, model: Model | None, value_range: ValueRange | None, *, reset: bool
    ) -> RawInputs:
        """`X` as raw inputs of the model; None stands for the baseline, which flattens images."""
        if model is not None and model.input_format.kind == "image":
            pictures = read_pictures(X, model.input_format, value_range)
            if reset:
                self.__dict__.pop("feature_names_in_", None)
                self.n_features_in_ = _num_features(model)
            return pictures
        if image_sources(X) is not None:
            takes = "numbers" if model is None else f"vectors of {_num_features(model)} features"
            raise InputError(
                f"X is a list of files or images, but this estimator takes {takes}; give it a "
                f"model that was trained on images"
            )
        return self._read_vectors(X, model, reset)

    def _read_vectors(self, X: Any, model: Model | None, reset: bool) -> Tensor:
        with input_errors():
            dimensions = X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim
            if dimensions > 2 and model is None:
                X = np.asarray(X).reshape(len(X), -1)
            elif dimensions != 2:
                raise InputError(
                    f"X must be [n, features], got {dimensions} dimensions. Reshape your data: "
                    f"X.reshape(-1, 1) if it has a single feature, X.reshape(1, -1) if it is a "
                    f"single example"
                )
            with np.errstate(over="ignore"):  # what is too large becomes infinite and is refused
                vectors = validate_data(self, X, dtype=np.float32, reset=reset)
        if model is not None and vectors.shape[1:] != tuple(model.input_format.shape):
            raise InputError(
                f"X has {vectors.shape[1]} features, but the model takes {_num_features(model)}"
            )
        return torch.from_numpy(np.require(vectors, requirements=["C", "W"]))

    def _outputs(self, X: Any) -> Tensor:
        """The learner's outputs for every example of `X`, float64."""
        check_is_fitted(self)
        task = self.task_
        read = self._read(X, self._model_to_adapt(task), task.value_range, reset=False)
        return task.outputs(read)

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


@contextmanager
def input_errors() -> Iterator[None]:
    """Makes what scikit-learn's validation refuses an `InputError` of one line."""
    try:
        yield
    except MetaloopError:
        raise
    except ValueError as error:
        raise InputError(" ".join(str(error).split())) from error


def check_lengths(inputs: RawInputs, targets: Any) -> None:
    """Raises `InputError` unless there is one target for each input."""
    if len(inputs) != len(targets):
        raise InputError(
            f"X has {len(inputs)} examples but y has {len(targets)} labels or values; expected "
            f"one for each (inconsistent numbers of samples)"
        )


def _num_features(model: Model) -> int:
    return int(np.prod(model.input_format.shape))
