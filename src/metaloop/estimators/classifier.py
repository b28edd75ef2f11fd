"""`FewShotClassifier`: new classes from a few examples each, in scikit-learn's habits."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_consistent_length

from metaloop.core.errors import InputError
from metaloop.core.objective import probabilities
from metaloop.core.rejection import Threshold
from metaloop.estimators.base import FewShotEstimator, check_lengths
from metaloop.estimators.baseline import baseline_model
from metaloop.estimators.labels import check_same_kind, distinct, input_errors, read_labels
from metaloop.estimators.task import AdaptedTask, Support, adapt_to
from metaloop.modelfile.model import Label


class FewShotClassifier(ClassifierMixin, FewShotEstimator):  # type: ignore[misc]
    """A classifier that learns its classes from a few examples each.

    `model`: a path to a `model.metaloop`, a loaded `metaloop.catalogue.Model` (kept as it is by
    `clone`), or None: nearest centroid on standardised raw inputs.
    `keep_support`: keep the examples, so that `partial_fit` can add more; without, only what was
    learned from them is kept and saved.
    `value_range`: the numbers that are black and white in arrays of images, such as (0, 4095).
    Undeclared, `fit` decides by their kind: 0 to 255, 0 to 65535 (uint16), 0 to 1 or -1 to 1.

    `X` is `[n, features]`, dense or sparse, for models of vectors. For models of images it is
    `[n, height, width]`, `[n, height, width, channels]`, or a list of paths, encoded bytes or PIL
    images; they are brought to the model's size, channels and polarity. Without a model, arrays of
    any one shape. `y` holds labels of any sortable kind; classes may have different numbers of
    examples.

    After `fit`: `classes_`, sorted; `n_features_in_`, the numbers in one input of the model; for
    models of images `value_range_`, which images given later must keep to. Threads may share an
    estimator: each call sees it as it was before or after a `fit`, never in between.

    >>> X = [[0.0, 0.0], [0.0, 1.0], [5.0, 5.0], [5.0, 6.0]]
    >>> classifier = FewShotClassifier().fit(X, ["small", "small", "large", "large"])
    >>> classifier.predict([[1.0, 0.0], [4.0, 5.0]]).tolist()
    ['small', 'large']
    >>> classifier.partial_fit([[0.0, 9.0]], ["tall"]).classes_.tolist()
    ['large', 'small', 'tall']
    """

    objective: ClassVar[str] = "classification"
    classes_: np.ndarray

    def fit(self, X: Any, y: Any) -> FewShotClassifier:
        """Returns self, having learned the classes in `y [n]`; forgets what it learned before.

        One class alone can be learned where the model knows what others look like: `predict` with
        `reject` then says whether an example is of it. Raises `InputError` for a single class else,
        and for X or y that do not fit.
        """
        labels = read_labels(y)
        classes = distinct(labels)
        if len(classes) < 2 and not self._knows_others():
            raise InputError(
                f"telling classes apart needs examples of at least 2 classes, got one class: "
                f"{classes.tolist()[0]!r}"
            )
        return self._learned(lambda new: new._learn(X, labels, None))

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> FewShotClassifier:
        """Returns self, having added examples of old or new classes: the same as `fit` on all.

        `classes_` are those with examples so far (a single one is predicted always). `classes`, if
        given, are all that may ever come: a label outside of them is refused. Raises `InputError`
        if the support of before was not kept.
        """
        labels = read_labels(y)
        if classes is not None:
            unexpected = sorted(set(labels.tolist()) - set(np.asarray(classes).ravel().tolist()))
            if unexpected:
                raise InputError(f"label {unexpected[0]!r} of y is not among `classes`")
        return self._learned(lambda new: new._learn(X, labels, new._task_to_extend()), adding=True)

    def predict(self, X: Any, reject: float | None = None, reject_label: Any = None) -> np.ndarray:
        """Returns the most probable class of every example `[n]`.

        With `reject`, a share of false alarms such as 0.05, examples that look like none of the
        classes have `reject_label` instead, and the labels are an array of objects. Warns where
        the task is outside of what thresholds were measured on. Raises `ModelFileError` where the
        model has none.
        """
        fitted = self._snapshot()
        best = fitted._outputs(X).argmax(dim=1).numpy()
        labels = np.asarray(fitted.classes_[best])
        if reject is None:
            return labels
        threshold = fitted.threshold(reject)
        if threshold.outside:
            warnings.warn(outside_text(threshold), stacklevel=2)
        chosen = labels.astype(object)
        chosen[fitted.score_known(X) <= threshold.value] = reject_label
        return chosen

    def score_known(self, X: Any) -> np.ndarray:
        """Returns how much every example `[n]` looks like one of the classes: the evidence.

        A logarithm of how much more likely it is as a further example of the most likely class
        than as one of a class that was never shown; of learners that adapt their net to a task,
        the largest output. `predict` compares it with `threshold`. Raises `ModelFileError` for
        models without thresholds.
        """
        fitted = self._snapshot()
        read = fitted._read(X, fitted._model_to_adapt(fitted.task_), fitted.task_)
        return np.asarray(fitted.task_.evidence(read).numpy())

    def threshold(self, reject: float) -> Threshold:
        """Returns the evidence above which an example is taken for one of the classes.

        `reject` is the share of examples of other classes that are above it, measured on classes
        that the model was not trained on.
        """
        return self._snapshot().task_.threshold(reject)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Returns probabilities `[n, classes]`, columns in the order of `classes_`."""
        return probabilities(self._snapshot()._outputs(X)).numpy()

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Returns the share of examples, weighted if asked for, whose label `y [n]` is predicted.

        Raises `InputError` for labels of another kind than those of `fit`.
        """
        labels, predicted = read_labels(y), self.predict(X)
        with input_errors():
            check_consistent_length(predicted, labels, sample_weight)
        check_same_kind(predicted, labels)
        return float(np.average(predicted == labels, weights=sample_weight))

    def _knows_others(self) -> bool:
        """Whether the model can tell examples of one class from those of none."""
        model = self._model_to_adapt(None)
        known = None if model is None else model.rejection
        return known is not None and known.likeness is not None

    def _learn(self, X: Any, labels: np.ndarray, before: AdaptedTask | None) -> None:
        """Adapts to the examples, joined to those of the task before, if any."""
        model = self._model_to_adapt(before)
        read = self._read(X, model, before)
        check_lengths(read, labels)
        inputs = read[:]
        if before is not None and before.support is not None:
            old = self.classes_[before.support.targets.numpy()]
            check_same_kind(old, labels)
            labels = np.concatenate([old, labels])
            inputs = torch.cat([before.support.inputs, inputs])
        classes = distinct(labels)
        targets = torch.from_numpy(np.searchsorted(classes, labels).astype(np.int64))
        if model is None:
            model = baseline_model(inputs, self.objective, len(classes))
        self.task_ = adapt_to(
            model,
            Support(inputs, targets),
            len(classes),
            getattr(self, "value_range_", None),
            keep_support=bool(self.keep_support),
        )
        self.classes_ = classes

    def _restore(self, task: AdaptedTask, classes: tuple[Label, ...]) -> None:
        super()._restore(task, classes)
        self.classes_ = _label_array(classes)

    def _labels_for_file(self) -> tuple[Label, ...]:
        labels: list[Any] = self.classes_.tolist()
        for label in labels:
            if not isinstance(label, (str, int, float, bool)):
                raise InputError(
                    f"labels in a file are text, numbers or truth values, got {label!r}; fit on "
                    f"labels of such a kind (bytes: decode them)"
                )
        return tuple(labels)


def outside_text(threshold: Threshold) -> str:
    """Returns in words that a threshold is a guess."""
    return (
        f"the threshold is a guess for {threshold.outside}; more or fewer false alarms than asked "
        "for are likely"
    )


def _label_array(labels: tuple[Label, ...]) -> np.ndarray:
    """Labels of a file as an array that keeps what they are."""
    kinds = {type(label) for label in labels}
    return np.array(labels, dtype=None if len(kinds) == 1 else object)
