"""`Classifier`: a trained classifier of known classes, and its way to and from a model file.

It is a trained net, or a head on the features of a frozen encoder, which the file names and does
not hold, or a fitted guest (`catalogue/guests.py`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from metaloop.catalogue.frozen import FROZEN, features_of, head_of, head_shapes
from metaloop.catalogue.guests import check_guest, guest_citation, is_guest, told_by_guest
from metaloop.catalogue.pipelines import build_classifier, check_pipeline, copies_of
from metaloop.catalogue.view_limits import check_view
from metaloop.catalogue.views import ENCODER, cards_of, encoder_of
from metaloop.core.encoder import Encoder
from metaloop.core.errors import MetaloopError, ModelFileError
from metaloop.core.fitted_view import FittedView, key_of
from metaloop.core.inputs import InputFormat
from metaloop.core.leagues import Backbone, EncoderCard, league_of
from metaloop.core.records import Candidate, Result
from metaloop.core.spec import TaskSpec
from metaloop.engine.classifying import features_before_head, logits_of
from metaloop.engine.heads import head_logits
from metaloop.modelfile import ModelFile, TrainingRecord, write_model
from metaloop.modelfile.model import Label
from metaloop.models.checking import check_formats, check_tensors, shapes_of
from metaloop.models.featuring import sized
from metaloop.nets.whitened import WhitenedNet

CITATION = """@misc{jordan2024airbench,
  title = {94\\% on {CIFAR-10} in 3.29 Seconds on a Single {GPU}},
  author = {Jordan, Keller},
  year = {2024},
  eprint = {2404.00498},
}"""


@dataclass(frozen=True, eq=False)
class Classifier:
    """A trained pipeline: images in, a probability for each of `classes` out.

    `weights` are those of its net, or of its head where it sees images in a `view`; of a guest what
    a model file holds of it.
    """

    weights: Mapping[str, Tensor]
    candidate: Candidate
    spec: TaskSpec
    input_format: InputFormat
    classes: tuple[Label, ...]
    training: TrainingRecord
    results: tuple[Result, ...] = ()
    view: FittedView | None = None

    @property
    def backbones(self) -> tuple[EncoderCard, ...]:
        """The encoders that it sees images through: none without pretraining."""
        return cards_of(self.view)

    @property
    def league(self) -> str:
        """The names of its backbones, `none` where it has none."""
        return league_of([""], [Backbone("", card) for card in self.backbones])

    @property
    def takes(self) -> str:
        """What raw inputs are: `images`."""
        return f"{self.input_format.kind}s"

    @property
    def read_format(self) -> InputFormat:
        """The format in which raw inputs are read."""
        return self.input_format

    def __repr__(self) -> str:
        return f"<Classifier {self.candidate.label} of {len(self.classes)} classes>"

    def log_probabilities(self, inputs: Tensor) -> Tensor:
        """Returns log-probabilities `[N, classes]`, float64, of raw images `[N, *shape]`."""
        if is_guest(self.candidate):
            return told_by_guest(
                self.candidate, self._guest, inputs, self.input_format, len(self.classes)
            )
        if self.view is None:
            return logits_of(self._net, inputs, self.input_format, copies_of(self.candidate))
        _, _, copies, second = head_of(self.candidate)
        features = features_of(encoder_of(self.view), inputs, copies, second)
        return head_logits(self.weights, features).log_softmax(1)

    def features(self, inputs: Tensor) -> Tensor:
        """Returns what the head is given of images uint8 `[N, 1 or 3, height, width]` of any size.

        float32 `[N, D]`; where mirror images are looked at as well, those of the image as it is.
        """
        images = sized(inputs, self.input_format)
        if self.view is None:
            return features_before_head(self._net, images, self.input_format)
        _, _, copies, second = head_of(self.candidate)
        return features_of(encoder_of(self.view), images, copies, second)

    @cached_property
    def _net(self) -> WhitenedNet:
        net = build_classifier(self.candidate, self.input_format, len(self.classes))
        net.load_state_dict(dict(self.weights))
        net.eval()
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return net

    @cached_property
    def _guest(self) -> Any:
        return check_guest(self.candidate, self.weights, self.input_format, len(self.classes))

    def with_results(self, *results: Result) -> Classifier:
        """Returns the classifier with further results recorded in it."""
        return replace(self, results=(*self.results, *results))

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Writes `model.metaloop`; raises `OutputError` if it cannot."""
        from metaloop import __version__  # lazy: the package's top module points here

        content = ModelFile(
            kind="classifier",
            metaloop_version=__version__,
            candidate=self.candidate,
            spec=self.spec,
            input_format=self.input_format,
            parts={},
            training=self.training,
            results=self.results,
            citations=self._citations,
            weights={name: tensor.detach().cpu() for name, tensor in self.weights.items()},
            classes=self.classes,
            view=None if self.view is None else self.view.choice,
            assets=None if self.view is None else self.view.assets,
        )
        write_model(path, content, overwrite=overwrite)

    @property
    def _citations(self) -> tuple[str, ...]:
        if is_guest(self.candidate):
            return guest_citation(self.candidate)
        of_backbones = tuple(card.citation for card in self.backbones if card.citation)
        return (CITATION,) if self.view is None else of_backbones


def classifier_with(
    candidate: Candidate,
    weights: Mapping[str, Tensor],
    spec: TaskSpec,
    input_format: InputFormat,
    classes: tuple[Label, ...],
    training: TrainingRecord,
    results: tuple[Result, ...] = (),
    view: FittedView | None = None,
) -> Classifier:
    """Returns the classifier with these weights; raises `MetaloopError` where they do not fit."""
    if (candidate.learner.name == FROZEN) != (view is not None):
        raise ModelFileError("a head on frozen features and the view that has them go together")
    if is_guest(candidate):
        check_guest(candidate, weights, input_format, len(classes))
    elif view is None:
        check_pipeline(candidate, input_format, len(classes))
        with torch.device("meta"):
            expected = build_classifier(candidate, input_format, len(classes)).state_dict()
        check_tensors("weights", weights, shapes_of(expected))
    else:
        head_of(candidate)
        check_tensors(
            "weights", weights, head_shapes(_features_of(view, input_format), len(classes))
        )
    return Classifier(weights, candidate, spec, input_format, classes, training, results, view)


def _features_of(view: FittedView, input_format: InputFormat) -> int:
    """How many numbers an input is to a view; `ModelFileError` unless it is an encoder's."""
    cards = cards_of(view) if view.choice.name == ENCODER else ()
    if len(cards) != 1 or cards[0].takes != f"{input_format.kind}s" or view.assets:
        raise ModelFileError("a head on frozen features needs one backbone for such inputs")
    features = cards[0].features
    check_view(view, InputFormat("vector", (features,), (), ()))
    return features


def classifier_from_file(content: ModelFile, backbone: Encoder | None = None) -> Classifier:
    """Returns the classifier in a file's content; `backbone`: the encoder, if it is the user's own.

    Raises `MetaloopError` unless all of it is within limits and fits together.
    """
    if content.kind != "classifier" or content.spec.objective != "classification":
        raise ModelFileError("the model file is no classifier of known classes")
    check_formats(content.input_format, content.spec)
    if len(set(content.classes)) != len(content.classes):
        raise ModelFileError("the model file is damaged: two of its classes have one name")
    own = {} if backbone is None else {key_of(backbone.card.name, backbone.card.weights): backbone}
    try:
        view = None
        if content.view is not None:
            view = FittedView(content.view, content.assets or {}, own)
        return classifier_with(
            content.candidate, content.weights, content.spec, content.input_format,
            content.classes, content.training, content.results, view,
        )  # fmt: skip
    except (TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, MetaloopError):
            raise
        reason = " ".join(str(error).split())[:200]
        raise ModelFileError(f"the model file does not fit itself: {reason}") from error
