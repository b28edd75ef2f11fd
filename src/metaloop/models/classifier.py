"""`Classifier`: a trained classifier of known classes, and its way to and from a model file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from metaloop.catalogue.pipelines import build_classifier, check_pipeline, copies_of
from metaloop.core.errors import MetaloopError, ModelFileError
from metaloop.core.inputs import InputFormat
from metaloop.core.records import Candidate, Result
from metaloop.core.spec import TaskSpec
from metaloop.engine.classifying import logits_of
from metaloop.modelfile import ModelFile, TrainingRecord, write_model
from metaloop.modelfile.model import Label
from metaloop.models.checking import check_formats, check_tensors, shapes_of

CITATION = "Jordan 2024, 94% on CIFAR-10 in 3.29 seconds on a single GPU, arXiv:2404.00498"


@dataclass(frozen=True, eq=False)
class Classifier:
    """A trained pipeline: images in, a probability for each of `classes` out."""

    net: nn.Module
    candidate: Candidate
    spec: TaskSpec
    input_format: InputFormat
    classes: tuple[Label, ...]
    training: TrainingRecord
    results: tuple[Result, ...] = ()

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
        return logits_of(self.net, inputs, self.input_format, copies_of(self.candidate))

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
            citations=(CITATION,),
            weights={name: tensor.detach().cpu() for name, tensor in self.net.state_dict().items()},
            classes=self.classes,
        )
        write_model(path, content, overwrite=overwrite)


def classifier_with(
    candidate: Candidate,
    weights: Mapping[str, Tensor],
    spec: TaskSpec,
    input_format: InputFormat,
    classes: tuple[Label, ...],
    training: TrainingRecord,
    results: tuple[Result, ...] = (),
) -> Classifier:
    """Returns the classifier with these weights; raises `MetaloopError` where they do not fit."""
    check_pipeline(candidate, input_format, len(classes))
    with torch.device("meta"):
        expected = build_classifier(candidate, input_format, len(classes)).state_dict()
    check_tensors("weights", weights, shapes_of(expected))
    net = build_classifier(candidate, input_format, len(classes))
    net.load_state_dict(dict(weights))
    net.eval()
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Classifier(net, candidate, spec, input_format, classes, training, results)


def classifier_from_file(content: ModelFile) -> Classifier:
    """Returns the classifier in a file's content.

    Raises `MetaloopError` unless all of it is within limits and fits together.
    """
    if content.kind != "classifier" or content.spec.objective != "classification":
        raise ModelFileError("the model file is no classifier of known classes")
    check_formats(content.input_format, content.spec)
    if len(set(content.classes)) != len(content.classes):
        raise ModelFileError("the model file is damaged: two of its classes have one name")
    try:
        return classifier_with(
            content.candidate, content.weights, content.spec, content.input_format,
            content.classes, content.training, content.results,
        )  # fmt: skip
    except (TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, MetaloopError):
            raise
        reason = " ".join(str(error).split())[:200]
        raise ModelFileError(f"the model file does not fit itself: {reason}") from error
