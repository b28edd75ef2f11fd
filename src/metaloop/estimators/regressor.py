"""`FewShotRegressor`: a new function from a few of its points, in scikit-learn's habits."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_array
from torch import Tensor

from metaloop.core.errors import InputError
from metaloop.core.ranking import RANKING
from metaloop.estimators.base import FewShotEstimator, check_lengths
from metaloop.estimators.baseline import baseline_model
from metaloop.estimators.items import ItemRows, for_user
from metaloop.estimators.labels import input_errors
from metaloop.estimators.reading import reading_of
from metaloop.estimators.task import AdaptedTask, Support, adapt_to
from metaloop.models import Model

if TYPE_CHECKING:
    About = Mapping[str, Any] | None
else:  # whatever it is given, `fit` judges it
    About = Any


class FewShotRegressor(RegressorMixin, FewShotEstimator):  # type: ignore[misc]
    """A regressor that learns a function from a few examples of it.

    `model`: a path to a `model.metaloop`, a loaded `metaloop.catalogue.Model` (kept as it is by
    `clone`), or None: ridge regression on standardised raw inputs and targets.
    `keep_support`: keep the examples, so that `partial_fit` can add more; without, only what was
    learned from them is kept and saved.
    `value_range`: as for `FewShotClassifier`.

    `X` is as for `FewShotClassifier`; `y` is `[n]`, or `[n, targets]` where the model has several
    targets (without a model, any number). It may be left away where the model was trained on
    events: `X` is then what the user had. Of a model of documents `X` are documents, `y` their
    summaries, and what is predicted are summaries (`estimators.summarising.summarise` makes them
    of any length). After `fit`: `n_features_in_`.

    >>> regressor = FewShotRegressor().fit([[0.0], [1.0], [2.0], [3.0]], [0.0, 2.0, 4.0, 6.0])
    >>> regressor.predict([[1.5]]).round(3).tolist()
    [3.0]
    """

    objective: ClassVar[str] = "regression"

    def fit(self, X: Any, y: Any = None, user: About = None) -> FewShotRegressor:
        """Returns self, having learned from targets `y`; forgets what it learned before.

        `user`: of ratings what is known of the user besides, by columns of the table of users that
        the model was trained with: `{"age": 25, "occupation": "writer"}`. Of an item that is rated
        more than once the last rating counts, and a warning says so.
        Raises `InputError` for X, y or a user that do not fit.
        """
        return self._learned(lambda new: new._learn(X, y, None, user))

    def partial_fit(self, X: Any, y: Any = None, user: About = None) -> FewShotRegressor:
        """Returns self, having added examples: the same as `fit` on all.

        A rating takes the place of an earlier one of the same item. `user` is given with the first
        of them. Raises `InputError` if it comes later, or if the
        support of before was not kept.
        """

        def learn(new: FewShotRegressor) -> None:
            new._learn(X, y, new._task_to_extend(), user)

        return self._learned(learn, adding=True)

    def predict(self, X: Any) -> np.ndarray:
        """Returns the predicted values `[n]`, or `[n, targets]` where there are several."""
        fitted = self._snapshot()
        told = reading_of(fitted.task_.model).told
        if told is not None:
            read = fitted._read(X, fitted.task_.model, fitted.task_)
            return told(fitted.task_.outputs(read), read, fitted.task_.model)
        outputs = fitted._outputs(X).numpy()
        return np.asarray(outputs[:, 0] if outputs.shape[1:] == (1,) else outputs)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        several = not isinstance(self.model, Model) or self.model.spec.target_shape != (1,)
        tags.target_tags.multi_output = several
        return tags

    def _learn(self, X: Any, y: Any, before: AdaptedTask | None, user: About) -> None:
        """Adapts to the examples, joined to those of the task before, if any."""
        model = _of_user(self._model_to_adapt(before), user, before is None)
        answers = reading_of(model).answers
        read = self._read(X, model, before)
        known = before.model if before else model
        if y is None and known is not None and known.spec.objective == RANKING.name:
            y = np.ones(len(read))
        own = None if answers is None or model is None else answers(y, read, model)
        targets, worth = (_targets(y), None) if own is None else own
        check_lengths(read, targets)
        _check_shape(targets, before.model if before else model)
        items = read.names if isinstance(read, ItemRows) else None
        given = Support(read[:], targets, worth, items)
        support = given.rated_once()
        if support is not given:
            _warn_of_the_last(len(given.targets), len(support.targets))
        if before is not None and before.support is not None:
            support = before.support.followed_by(support).rated_once()
        if model is None:
            number = support.targets.shape[1]
            model = baseline_model(support.inputs, self.objective, num_targets=number)
        self.task_ = adapt_to(
            model,
            support,
            0,
            getattr(self, "value_range_", None),
            keep_support=bool(self.keep_support),
        )


def _warn_of_the_last(given: int, kept: int) -> None:
    warnings.warn(
        f"X has {given:,} items of which {kept:,} are different; of each the last one counts",
        stacklevel=2,
    )


def _of_user(model: Model | None, user: About, first: bool) -> Model | None:
    """The model for this user: for nobody in particular where nothing is said of her."""
    if user is not None and not first:
        raise InputError("what is known of a user is given with her first ratings, to fit")
    if model is None or not first:
        if user is not None:
            raise InputError("without a model nothing is known of users; leave user away")
        return model
    return for_user(model, user)


def _check_shape(targets: Tensor, model: Model | None) -> None:
    if model is None and targets.dim() == 2:
        return
    expected = tuple(model.spec.target_shape) if model is not None else ("targets",)
    if model is None or tuple(targets.shape[1:]) != expected:
        raise InputError(
            f"targets of one example have shape {tuple(targets.shape[1:])}, expected {expected}"
        )


def _targets(y: Any) -> Tensor:
    """`y` as float64 `[n, *target]`: a single target has an axis of its own."""
    if y is None:
        raise InputError("this regressor requires y to be passed, but the target y is None")
    with input_errors(), np.errstate(over="ignore"):
        values = check_array(y, dtype=np.float64, ensure_2d=False, allow_nd=True, input_name="y")
        check_array(values.astype(np.float32), ensure_2d=False, allow_nd=True, input_name="y")
    targets = torch.from_numpy(np.require(values, requirements=["C", "W"]))
    return targets.unsqueeze(-1) if targets.dim() == 1 else targets
