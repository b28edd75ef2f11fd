"""A learner as three functions of tensors, whatever kind of learner it is: what graphs are made of.

    features [N, ...] = embed(inputs [N, *input])
    state             = adapt(features [S, ...], targets [S, C])    one-hot classes, or real targets
    outputs [N, ...]  = score(features [N, ...], state)             logits, or values in their units

Features are those of the net where tasks leave it as it is; inputs as plain methods see them; and
of learners whose net a task changes the inputs themselves: their state has the whole net.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metaloop.core.black_box import BlackBoxLearner
from metaloop.core.examples import Examples
from metaloop.core.learner import EmbeddingLearner
from metaloop.core.spec import Shape
from metaloop.core.views import seen
from metaloop.learners.sentence_steps import SentenceSteps
from metaloop.models.model import Model
from metaloop.models.onnx_plain import plain_of
from metaloop.programs.learner import ProgramLearner
from metaloop.programs.primitives import GRADIENT

State = dict[str, Tensor]
Run = Callable[[str, Mapping[str, Any]], dict[str, Any]]  # a function by name, tensors in and out


@dataclass(frozen=True)
class Functions:
    """The three functions, and the shape of one input's features.

    `differentiates`: `adapt` takes derivatives. `adapt_graph` is the ONNX text of `adapt` where
    torch cannot record it: `adapt` then returns a state of the right shapes alone.
    """

    embed: Callable[[Tensor], Tensor]
    adapt: Callable[[Tensor, Tensor], State]
    score: Callable[[Tensor, State], Tensor]
    features: Shape
    differentiates: bool = False
    adapt_graph: str = ""


@dataclass(frozen=True)
class Labelled(Examples):
    """Examples whose classes are given as one-hot rows, so that their number is an axis."""

    rows: Tensor | None = None

    def one_hot(self) -> Tensor:
        """Returns the rows `[N, classes]`."""
        assert self.rows is not None
        return self.rows


def functions_of(model: Model) -> Functions:
    """Returns the functions of a model's learner, which is not asked whether it can be a graph."""
    if isinstance(model.learner, BlackBoxLearner):
        return _plain(model, model.learner)
    if isinstance(model.learner, EmbeddingLearner):
        return _on_features(model, model.learner)
    return _whole_net(model)


def _plain(model: Model, learner: BlackBoxLearner) -> Functions:
    method, how = plain_of(learner, model.meta_params), model.input_format

    def embed(inputs: Tensor) -> Tensor:
        rows = seen(inputs, how, learner.view)
        return (rows.flatten(1) if learner.flattens else rows) + 0.0

    def adapt(features: Tensor, targets: Tensor) -> State:
        support = support_of(model, features, targets)
        return method.adapt(features, targets if model.spec.ways else support.targets)

    def score(features: Tensor, state: State) -> Tensor:
        outputs = method.score(features, state)
        return how.raw_targets(outputs).to(torch.float32)

    shape = tuple(embed(torch.zeros(1, *how.shape)).shape[1:])
    return Functions(embed, adapt, score, shape, adapt_graph=method.graph)


def _on_features(model: Model, learner: EmbeddingLearner) -> Functions:
    meta_params = model.meta_params

    def adapt(features: Tensor, targets: Tensor) -> State:
        found: State = learner.fit_head(meta_params, support_of(model, features, targets))
        return found

    def score(features: Tensor, state: State) -> Tensor:
        outputs = learner.score(meta_params, state, features)
        return model.input_format.raw_targets(outputs).to(torch.float32)

    net: Any = getattr(learner, "net")  # noqa: B009
    return Functions(
        lambda inputs: learner.embed(meta_params, inputs), adapt, score, (net.num_features,),
        differentiates=isinstance(learner, SentenceSteps) or _has_gradients(learner),
    )  # fmt: skip


def _has_gradients(learner: EmbeddingLearner) -> bool:
    if not isinstance(learner, ProgramLearner):
        return False
    slots = learner.typed.slots.values()
    return any(step.statement.primitive == GRADIENT for slot in slots for step in slot.steps)


def _whole_net(model: Model) -> Functions:
    """Of learners by gradient steps: the mask makes batch norm count rows by tensors."""
    learner, meta_params = model.learner, model.meta_params

    def adapt(features: Tensor, targets: Tensor) -> State:
        found: State = learner.adapt(meta_params, support_of(model, features, targets))
        return found

    def score(features: Tensor, state: State) -> Tensor:
        outputs = learner.predict(meta_params, state, features)
        return model.input_format.raw_targets(outputs).to(torch.float32)

    shape = model.input_format.shape
    return Functions(lambda inputs: inputs + 0.0, adapt, score, shape, differentiates=True)


def support_of(model: Model, features: Tensor, targets: Tensor) -> Examples:
    """Returns a support of features `[S, ...]` and one-hot classes, or raw real targets `[S, K]`.

    It may be padded as far as learners know, where they have no net of their own for a task.
    """
    mask = torch.ones_like(features.flatten(1)[:, 0]) > 0
    whole = not isinstance(model.learner, BlackBoxLearner | EmbeddingLearner)
    if not model.spec.ways:
        scaled = model.input_format.standardise_targets(targets).float()
        return Examples(features, scaled, mask, padded=whole)
    ways = targets.shape[1]
    return Labelled(features, targets.argmax(1), mask, ways, padded=whole, rows=targets)
