"""`Model`: a trained learner with all that is needed to use it, and its way to and from a file."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from metaloop.catalogue.candidates import build_learner, learner_class
from metaloop.catalogue.limits import check_candidate
from metaloop.catalogue.nets import CUSTOM
from metaloop.catalogue.view_limits import check_view
from metaloop.catalogue.views import cards_of, detail_of, read_format, takes
from metaloop.core.black_box import BlackBoxLearner
from metaloop.core.encoder import Encoder
from metaloop.core.errors import ModelFileError, UnknownNameError
from metaloop.core.examples import Examples
from metaloop.core.fitted_view import FittedView, key_of
from metaloop.core.forking import check_device
from metaloop.core.inputs import InputFormat
from metaloop.core.leagues import Backbone, EncoderCard, league_of
from metaloop.core.learner import EmbeddingLearner, Learner, MetaParams, TaskState
from metaloop.core.own import NOTHING_OWN, Own
from metaloop.core.records import Candidate, Result
from metaloop.core.rejection import Rejection
from metaloop.core.rejection import from_tensors as rejection_from
from metaloop.core.rejection import to_tensors as rejection_tensors
from metaloop.core.spec import TaskSpec
from metaloop.learners.committee import Committee
from metaloop.modelfile import ModelFile, TrainingRecord, read_model, write_model
from metaloop.models.checking import (
    check_assets,
    check_formats,
    check_net_tensors,
    check_tensors,
    check_weights,
)
from metaloop.models.featuring import seen_images
from metaloop.models.sealing import from_tensors, to_tensors
from metaloop.nets.functional import with_memory_format
from metaloop.tasks.recognising import Seen


@dataclass(frozen=True, eq=False)
class Model:
    """A trained learner: `adapt` it to a support set, then `predict`.

    Raw inputs are those of the format: uint8 images `[N, channels, height, width]` or float vectors
    `[N, features]`. A model with a `view` is given what `see` makes of texts.
    """

    learner: Learner
    meta_params: MetaParams
    candidate: Candidate
    spec: TaskSpec
    input_format: InputFormat
    parts: Mapping[str, tuple[str, ...]]
    training: TrainingRecord
    results: tuple[Result, ...] = ()
    seen: Seen | None = None  # examples that it was made with, to know them again
    view: FittedView | None = None  # how raw inputs become those of the format
    rejection: Rejection | None = None  # from how much evidence on a query is of a task's class

    @property
    def takes(self) -> str:
        """What raw inputs are: `images`, `vectors`, or what its view is for, such as `texts`."""
        kind = "" if self.view is None else takes(self.view)
        return kind or f"{self.input_format.kind}s"

    @property
    def backbones(self) -> tuple[EncoderCard, ...]:
        """The encoders that it sees its inputs through: none without pretraining."""
        return cards_of(self.view)

    @property
    def league(self) -> str:
        """The names of its backbones, `none` where it has none."""
        return league_of([""], [Backbone("", card) for card in self.backbones])

    @property
    def read_format(self) -> InputFormat:
        """The format in which raw inputs are read where they are images or vectors."""
        return read_format(self.view, self.input_format)

    @property
    def device(self) -> torch.device:
        """Where the meta-parameters are."""
        return next((tensor.device for tensor in self.meta_params.values()), torch.device("cpu"))

    def __repr__(self) -> str:
        return f"<Model {self.candidate.label} on inputs {tuple(self.input_format.shape)}>"

    def __sklearn_clone__(self) -> Model:
        """Returns itself: estimators share a model, as `fit` never changes it."""
        return self

    @torch.no_grad()
    def adapt(self, inputs: Tensor, targets: Tensor, num_classes: int) -> TaskState:
        """Returns what is learned from raw inputs `[N, ...]` and targets (class indices or real).

        `num_classes` is 0 where targets are real values.
        """
        mask = torch.ones(len(inputs), dtype=torch.bool, device=self.device)
        targets = targets.to(self.device)
        if not num_classes:
            targets = self.input_format.standardise_targets(targets).float()
        support = Examples(self._ready(inputs), targets, mask, num_classes)
        return self.learner.adapt(self.meta_params, support)

    @torch.no_grad()
    def predict(self, task_state: TaskState, inputs: Tensor) -> Tensor:
        """Returns outputs `[N, classes]` (logits) or `[N, *target]` for raw inputs."""
        outputs = self.learner.predict(self.meta_params, task_state, self._ready(inputs))
        return self.input_format.raw_targets(outputs)

    @torch.no_grad()
    def features(self, inputs: Tensor) -> Tensor:
        """Returns what heads are given of raw inputs, `[N, D]`: the same in every task.

        Images that a view sees are uint8 `[N, 1 or 3, height, width]` of any size. Raises
        `ModelFileError` for a learner without such features, and for inputs of other kinds.
        """
        if isinstance(self.learner, BlackBoxLearner) or not isinstance(
            self.learner, EmbeddingLearner
        ):
            raise ModelFileError(
                f"the learner '{self.candidate.learner.name}' changes its features from task to "
                "task, or has none; take one on an embedding: protonet, ridge, rfs, simpleshot"
            )
        if self.view is not None:
            if not detail_of(self.view):  # nothing of it sees pixels
                raise ModelFileError(
                    f"the model takes {self.takes}, no images or vectors; use the estimator of "
                    "metaloop.load"
                )
            inputs = seen_images(self.view, self.input_format, inputs)
        return self.learner.embed(self.meta_params, self._ready(inputs))

    def to_file(self) -> ModelFile:
        """Returns the content of this model's file."""
        from_user = self.candidate.net.name == CUSTOM
        return ModelFile(
            kind="learner",
            metaloop_version=_version(),
            candidate=self.candidate,
            spec=self.spec,
            input_format=self.input_format,
            parts=self.parts,
            training=self.training,
            results=self.results,
            citations=(
                *_citations(self.learner),
                *(card.citation for card in self.backbones if card.citation),
            ),
            weights={name: tensor.detach().cpu() for name, tensor in self.meta_params.items()},
            custom_net=str(self.candidate.net.options.get("class")) if from_user else None,
            fingerprints=to_tensors(self.seen),
            view=None if self.view is None else self.view.choice,
            assets=None if self.view is None else self.view.assets,
            rejection=rejection_tensors(self.rejection),
        )

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Writes `model.metaloop`; raises `OutputError` if it cannot."""
        write_model(path, self.to_file(), overwrite=overwrite)

    def with_results(self, *results: Result) -> Model:
        """Returns the model with further results recorded in it."""
        return replace(self, results=(*self.results, *results))

    def _ready(self, inputs: Tensor) -> Tensor:
        check_device(self.device)
        expected, came = tuple(self.input_format.shape), tuple(inputs.shape[1:])
        if came != expected:
            raise ModelFileError(
                f"the model takes inputs of shape {expected}, got {came}; resize the images or "
                f"give vectors of as many features"
            )
        return self.input_format.to_float(inputs.to(self.device))


def model_from_file(
    content: ModelFile, own: Own = NOTHING_OWN, device: str | torch.device = "cpu"
) -> Model:
    """Returns the model in a file's content.

    `own` is what the file names and does not hold. Raises `MetaloopError` unless all of it is
    within limits and fits together, exactly; that is known before anything is built that is larger
    than the file.
    """
    if content.kind == "table":
        raise ModelFileError(
            "the model is fitted to a table by 'metaloop select' and learns no other tasks; use it "
            "with 'metaloop predict' or metaloop.load"
        )
    if content.kind == "classifier":
        raise ModelFileError(
            "the model is a classifier of known classes that 'metaloop select' trained; it learns "
            "no new ones: use it with 'metaloop predict' or metaloop.load"
        )
    try:
        method = learner_class(content.candidate.learner.name)
    except UnknownNameError as error:
        raise ModelFileError(
            f"the model uses a method that this metaloop does not have: {error}"
        ) from error
    candidate, inputs = content.candidate, content.input_format
    check_formats(inputs, content.spec)
    view = _view_of(content, own.backbone)
    check_candidate(candidate)
    if not issubclass(method, BlackBoxLearner):
        check_net_tensors(content.weights, candidate.net, inputs)
    built = build_learner(candidate, inputs, content.spec.objective, own.net, own.learner)
    spec = content.spec
    if (
        spec.ways and not spec.num_training_classes
    ):  # training begins with a classifier of its part's classes
        spec = replace(spec, num_training_classes=len(content.parts.get("train", ())))
    check_weights(content.weights, built, spec)
    weights = {
        name: with_memory_format(tensor.to(device)) for name, tensor in content.weights.items()
    }
    return Model(
        learner=built,
        meta_params=weights,
        candidate=content.candidate,
        spec=content.spec,
        input_format=content.input_format,
        parts=content.parts,
        training=content.training,
        results=content.results,
        seen=from_tensors(content.fingerprints, content.parts, inputs, view is not None),
        view=view,
        rejection=_rejection_of(content, built),
    )


def _rejection_of(content: ModelFile, learner: Learner) -> Rejection | None:
    try:
        rejection = rejection_from(content.rejection)
    except ValueError as error:
        raise ModelFileError(f"the model file does not fit itself: {error}") from error
    if rejection is not None and rejection.likeness is not None:
        width = math.prod(content.input_format.shape)
        if not isinstance(learner, BlackBoxLearner):
            net = getattr(learner, "net", None)
            width = getattr(net, "num_features", 0) if isinstance(learner, EmbeddingLearner) else 0
        if len(rejection.likeness.center) != width:
            raise ModelFileError(
                f"the model file does not fit itself: its rejection is of "
                f"{len(rejection.likeness.center)} features, its learner has {width}"
            )
    return rejection


def _view_of(content: ModelFile, encoder: Encoder | None) -> FittedView | None:
    if content.view is None or content.assets is None:
        return None
    own = {}
    if encoder is not None:
        own[key_of(encoder.card.name, encoder.card.weights)] = encoder
    view = FittedView(content.view, content.assets, own)
    check_tensors("view", view.assets, check_view(view, content.input_format))
    check_assets(view)
    return view


def load_model(
    path: str | os.PathLike[str], own: Own = NOTHING_OWN, device: str | torch.device = "cpu"
) -> Model:
    """Returns the learner in a model file (of an adapted model: the learner it was made from).

    Raises `ModelFileError` if the file is damaged, and says so if it needs what is the user's own.
    """
    return model_from_file(read_model(path), own, device)


def _citations(learner: Learner) -> tuple[str, ...]:
    """Of the method, and of the members of a committee."""
    members = learner.members if isinstance(learner, Committee) else ()
    return tuple(dict.fromkeys([learner.citation, *(member.citation for member in members)]))


def _version() -> str:
    from metaloop import __version__  # lazy: the package's top module points here

    return __version__
