"""Guests as pipelines for one labelled set of images: black boxes of other libraries.

A pipeline is a `Candidate`: the learner is one of `GUESTS`, or `own` with what the caller calls it;
the net is `raw` with the view of pixels that it sees, and there is no plan. What a model file holds
of a fitted one are tensors: the weights of `keras_cnn`, the bytes of an estimator
(`guests/sklearn/storing.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metaloop.catalogue.learners import OWN, learner_entry
from metaloop.catalogue.nets import RAW, VIEW
from metaloop.core.black_box import LEAST_PROBABILITY, BlackBoxLearner
from metaloop.core.errors import MetaloopError, ModelFileError, unknown_name
from metaloop.core.inputs import InputFormat
from metaloop.core.records import Candidate, Choice, Plan
from metaloop.core.remote_guest import RemoteGuest
from metaloop.core.views import View, checked_view, seen
from metaloop.guests.keras.learner import KerasCnn, KerasLearner, fitted_cnn
from metaloop.guests.keras.learner import as_learner as keras_learner
from metaloop.guests.keras.net import is_keras_model
from metaloop.guests.sklearn import EstimatorOfClasses, as_learner, class_scores
from metaloop.guests.sklearn.apart import ESTIMATOR, apart
from metaloop.guests.sklearn.storing import restored

KERAS_CNN = "keras_cnn"
GUESTS = ("extra_trees", "gaussian_naive_bayes", KERAS_CNN, "lda", "svm")
_LONGEST = 200  # characters of what describes a guest
_AT_ONCE = 1000  # images told together
_HIDDEN, _FILTERS = 128, 32  # of keras_cnn


@dataclass(frozen=True, eq=False)
class Guest:
    """A guest that takes part: its candidate, and its learner or the line that says why not."""

    candidate: Candidate
    learner: BlackBoxLearner | None
    problem: str = ""

    @property
    def label(self) -> str:
        """What it is called."""
        return guest_label(self.candidate)

    def fitted(
        self, inputs: np.ndarray, targets: np.ndarray, classes: int, seed: int, limit_seconds: float
    ) -> RemoteGuest:
        """Returns it fitted on `inputs` of images, in a process of its own.

        Raises `MetaloopError` in one line if it fails or takes longer than the limit.
        """
        learner = self.learner
        if learner is None:
            raise MetaloopError(self.problem)
        if isinstance(learner, KerasLearner):
            learner = replace(learner, limit_seconds=limit_seconds)
        made: Any = learner.make(seed)
        if isinstance(learner, KerasCnn):
            made = replace(made, limit_seconds=limit_seconds)
        elif not isinstance(learner, KerasLearner):
            made = apart(made, seed, limit_seconds)
        found: RemoteGuest = made.adapt(inputs, targets, classes)
        return found

    def inputs(self, images: Tensor, input_format: InputFormat) -> np.ndarray:
        """Returns raw images as it sees them."""
        flat = self.learner is None or self.learner.flattens
        return _seen(self.candidate, images, input_format, flat)


def check_guests(guests: Mapping[str, Any] | Sequence[str]) -> Mapping[str, Any]:
    """Returns guests by name, None for those of the table.

    Raises `UnknownNameError` naming near matches for a name that the table has not.
    """
    if isinstance(guests, str):
        guests = (guests,)
    if not isinstance(guests, Mapping):
        for name in guests:
            if name not in GUESTS:
                raise unknown_name("guest", str(name), GUESTS)
        return dict.fromkeys(guests)
    return dict(guests)


def guest_of(name: str, asked: Any) -> Guest:
    """Returns a guest of that name: one of the table (`asked` None), an estimator, a Keras model.

    What cannot take part has no learner, and a line that says why.
    """
    if asked is None:
        entry = learner_entry(name)
        learner = entry.constructor()
        assert isinstance(learner, BlackBoxLearner)
        return Guest(_candidate(Choice(name), entry.view), learner)
    options = {"name": name[:_LONGEST]}
    try:
        own = _learner(asked)
    except MetaloopError as error:
        return Guest(_candidate(Choice(OWN, options)), None, str(error))
    described = " ".join(repr(own).split())[:_LONGEST]
    return Guest(_candidate(Choice(OWN, {**options, "described": described}), own.view), own)


def _candidate(learner: Choice, view: View = "raw") -> Candidate:
    form = {} if view == "raw" else {VIEW: view}
    return Candidate(learner, Choice(RAW, form), Plan("none"))


def _learner(asked: Any) -> BlackBoxLearner:
    if isinstance(asked, KerasCnn | KerasLearner | EstimatorOfClasses):
        return asked
    if is_keras_model(asked) or (callable(asked) and not hasattr(asked, "fit")):
        return keras_learner(asked)
    learner = as_learner(asked)
    if not isinstance(learner, EstimatorOfClasses):
        raise MetaloopError(
            f"expected a classifier, got {type(asked).__name__}, which predicts values"
        )
    return learner


def guest_label(candidate: Candidate) -> str:
    """Returns what a guest is called: its name in the table, or the caller's."""
    return str(candidate.learner.options.get("name", candidate.learner.name))


def is_guest(candidate: Candidate) -> bool:
    """Whether a pipeline is a guest."""
    return candidate.learner.name in (*GUESTS, OWN)


def guest_citation(candidate: Candidate) -> tuple[str, ...]:
    """Returns what to cite for a guest that a model file holds."""
    name = candidate.learner.name
    constructor: Any = EstimatorOfClasses if name == OWN else learner_entry(name).constructor
    return (str(constructor.citation),)


def check_guest(
    candidate: Candidate, tensors: Mapping[str, Tensor], input_format: InputFormat, classes: int
) -> Any:
    """Returns what a model file holds of a guest, ready for `told_by_guest`.

    Raises `ModelFileError` unless it fits such images and classes: it may be a stranger's.
    """
    if not is_guest(candidate) or candidate.net.name != RAW:
        raise ModelFileError("a guest in a model file sees pixels, and has no net of metaloop's")
    _view_of(candidate)
    if candidate.learner.name == KERAS_CNN:
        expected = _cnn_shapes(input_format, classes)
        found = {name: (tuple(each.shape), each.dtype) for name, each in tensors.items()}
        if found != {name: (shape, torch.float32) for name, shape in expected.items()}:
            raise ModelFileError("the weights of 'keras_cnn' do not fit such images and classes")
        if not all(bool(each.isfinite().all()) for each in tensors.values()):
            raise ModelFileError("the model file is damaged: weights that are no numbers")
        return {name: each.numpy() for name, each in tensors.items()}
    data = tensors.get(ESTIMATOR)
    if data is None or len(tensors) != 1 or data.dtype != torch.uint8 or data.dim() != 1:
        raise ModelFileError("the model file is damaged: it holds no estimator")
    fitted = restored(data.numpy().tobytes())
    known = np.asarray(fitted.classes_)
    features = int(np.prod(input_format.shape))
    if not np.isin(known, np.arange(classes)).all() or fitted.n_features_in_ != features:
        raise ModelFileError("the estimator in the model file does not fit such images and classes")
    return fitted


def told_by_guest(
    candidate: Candidate, fitted: Any, images: Tensor, input_format: InputFormat, classes: int
) -> Tensor:
    """Returns log-probabilities `[N, classes]`, float64, of raw images `[N, ...]`."""
    cnn = candidate.learner.name == KERAS_CNN
    made = fitted_cnn(fitted, tuple(input_format.shape), classes) if cnn else None
    found = []
    for start in range(0, len(images), _AT_ONCE):
        inputs = _seen(candidate, images[start : start + _AT_ONCE], input_format, flat=not cnn)
        if made is not None:
            logits = made.predict(made, inputs)
        else:
            logits = np.full((len(inputs), classes), -np.inf)
            logits[:, fitted.classes_] = class_scores(fitted, inputs)
        found.append(torch.from_numpy(logits).double().softmax(1))
    shares = torch.cat(found) if found else torch.zeros(0, classes, dtype=torch.float64)
    return shares.clamp(min=LEAST_PROBABILITY).log()


def _seen(
    candidate: Candidate, images: Tensor, input_format: InputFormat, flat: bool
) -> np.ndarray:
    """Raw images as pixels in the guest's view, as rows of numbers where it wants them flat."""
    pixels = seen(input_format.to_float(images), input_format, _view_of(candidate))
    return np.array((pixels.flatten(1) if flat else pixels).numpy())


def _view_of(candidate: Candidate) -> View:
    return checked_view(candidate.net.options.get(VIEW, "raw"))


def _cnn_shapes(input_format: InputFormat, classes: int) -> dict[str, tuple[int, ...]]:
    channels, height, width = input_format.shape
    flat = _FILTERS * ((height - 2) // 2) * ((width - 2) // 2)
    shapes = (
        *((3, 3, channels, _FILTERS), (_FILTERS,), (flat, _HIDDEN), (_HIDDEN,)),
        *((_HIDDEN, classes), (classes,)),
    )
    return {f"weight.{place:04d}": shape for place, shape in enumerate(shapes)}
