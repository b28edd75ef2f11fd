"""Plain methods as functions of tensors, so that they can be graphs: what libraries do, in torch.

Each says what the learner of its name says, whoever computes that there; every export is compared
with it. Their formulas and papers are in the files of the learners. Logistic regression has no
closed form: `onnx_logistic.txt` is its `adapt`, which finds the same optimum by Newton's method.

Shapes: S examples of a support, N queries, D features, C classes, K targets.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files as resources
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from metaloop.core.black_box import LEAST_PROBABILITY, BlackBoxLearner
from metaloop.core.learner import MetaParams
from metaloop.learners.calibrated import Calibrated, powered
from metaloop.learners.gaussian_process import GaussianProcess
from metaloop.learners.logistic_regression import LogisticRegressionLearner
from metaloop.learners.mean_of_support import MeanOfSupport
from metaloop.learners.nearest_neighbour import NearestNeighbour
from metaloop.learners.plain_extracts import Centroid, Lead, Longest, TextRank
from metaloop.learners.plain_ratings import (
    SHORTEST,
    SHRINKING,
    FoldIn,
    ItemKnn,
    ItemMean,
    UserBias,
)
from metaloop.learners.spectral import ASKED, COUNT_SCALE, HAD, Spectral

State = dict[str, Tensor]


@dataclass(frozen=True)
class Plain:
    """A method: `adapt(inputs [S, D], one-hot classes or targets)`, `score(inputs [N, D], state)`.

    `graph` is the ONNX text of `adapt` where torch cannot record it; then `adapt` returns a state
    of the right shapes alone.
    """

    adapt: Callable[[Tensor, Tensor], State]
    score: Callable[[Tensor, State], Tensor]
    graph: str = ""


def plain_of(learner: BlackBoxLearner, meta_params: MetaParams) -> Plain:
    """Returns the method of a learner in `PLAIN`."""
    return PLAIN[type(learner)](learner, meta_params)


def _nearest_neighbour(learner: Any, meta_params: MetaParams) -> Plain:
    def score(inputs: Tensor, state: State) -> Tensor:
        apart = _squares(inputs.double(), state["inputs"].double())
        label = state["classes"][apart.argmin(1)]
        logits = torch.where(label > 0, 0.0, math.log(LEAST_PROBABILITY))
        return logits.masked_fill(state["classes"].sum(0) == 0, -torch.inf)

    return Plain(lambda inputs, targets: {"inputs": inputs, "classes": targets}, score)


def _logistic_regression(learner: Any, meta_params: MetaParams) -> Plain:
    def adapt(inputs: Tensor, targets: Tensor) -> State:
        weights = targets.mT @ inputs
        return {"weights": weights, "bias": weights.sum(1), "present": targets.sum(0) > 0}

    def score(inputs: Tensor, state: State) -> Tensor:
        logits = inputs @ state["weights"].mT + state["bias"]
        return logits.masked_fill(~state["present"], -torch.inf)

    text = (resources("metaloop.models") / "onnx_logistic.txt").read_text()
    return Plain(adapt, score, text.replace("STRENGTH", repr(float(learner.inverse_strength))))


def _mean_of_support(learner: Any, meta_params: MetaParams) -> Plain:
    def score(inputs: Tensor, state: State) -> Tensor:
        return torch.zeros_like(inputs[:, :1]) + state["mean"]

    return Plain(lambda inputs, targets: {"mean": targets.mean(0)}, score)


def _gaussian_process(learner: Any, meta_params: MetaParams) -> Plain:
    made = learner.make_prepared(0, meta_params)

    def kernel(first: Tensor, second: Tensor) -> Tensor:
        features = first.shape[1]
        squares = _squares(first, second).clamp(min=0) / features
        products = first @ second.mT / features
        near = torch.exp(squares / (-2 * made.length**2))
        found: Tensor = made.offset + made.slope * products + near
        return found

    def adapt(inputs: Tensor, targets: Tensor) -> State:
        inputs = inputs.double()
        among = kernel(inputs, inputs)
        among = among + made.noise * torch.diag_embed(torch.ones_like(among[0]))
        weights, _ = torch.linalg.solve_ex(among, targets.double())
        return {"inputs": inputs, "weights": weights}

    def score(inputs: Tensor, state: State) -> Tensor:
        return kernel(inputs.double(), state["inputs"]) @ state["weights"]

    return Plain(adapt, score)


def _fold_in(learner: Any, meta_params: MetaParams) -> Plain:
    made = learner.make(0)

    def adapt(inputs: Tensor, targets: Tensor) -> State:
        inputs = inputs.double()
        left = targets.double() - inputs[:, [made.mean]]
        number = torch.ones_like(left).sum(0)
        bias = made.share * left.sum(0) / (number + SHRINKING)
        if not (made.strength and made.factors):
            return {"bias": bias}
        of_items = inputs[:, made.factors]
        gram = of_items.mT @ of_items + made.strength * torch.eye(len(made.factors)).double()
        weights, _ = torch.linalg.solve_ex(gram, of_items.mT @ (left - bias))
        return {"bias": bias, "weights": weights}

    def score(inputs: Tensor, state: State) -> Tensor:
        inputs = inputs.double()
        found = inputs[:, [made.mean]] + state["bias"]
        if "weights" in state:
            found = found + inputs[:, made.factors] @ state["weights"]
        return found

    return Plain(adapt, score)


def _item_knn(learner: Any, meta_params: MetaParams) -> Plain:
    made = learner.make(0)

    def directions(inputs: Tensor) -> Tensor:
        factors = inputs[:, made.factors]
        lengths = torch.linalg.vector_norm(factors, dim=1, keepdim=True)
        found: Tensor = factors / lengths.clamp(min=SHORTEST)
        return found

    def adapt(inputs: Tensor, targets: Tensor) -> State:
        inputs = inputs.double()
        left = targets.double() - inputs[:, [made.mean]]
        bias = left.sum(0) / (torch.ones_like(left).sum(0) + SHRINKING)
        return {"bias": bias, "left": left - bias, "known": directions(inputs)}

    def score(inputs: Tensor, state: State) -> Tensor:
        inputs = inputs.double()
        likeness = (directions(inputs) @ state["known"].mT).clamp(min=0) ** 2
        moved = likeness @ state["left"] / (likeness.sum(1, keepdim=True) + made.damping)
        found: Tensor = inputs[:, [made.mean]] + state["bias"] + moved
        return found

    return Plain(adapt, score)


def _spectral(learner: Any, meta_params: MetaParams) -> Plain:
    made = learner.make(0)

    def weighted(inputs: Tensor, power: float) -> Tensor:
        inputs = inputs.double()
        return inputs[:, made.factors] * (inputs[:, [made.count]] * power / COUNT_SCALE).exp()

    def adapt(inputs: Tensor, targets: Tensor) -> State:
        number = torch.ones_like(inputs[:, 0]).double().sum()
        return {"user": weighted(inputs, HAD).sum(0) / number.sqrt()}

    def score(inputs: Tensor, state: State) -> Tensor:
        return weighted(inputs, ASKED) @ state["user"].unsqueeze(1)

    return Plain(adapt, score)


def _calibrated(learner: Any, meta_params: MetaParams) -> Plain:
    middle, known, variances = learner.make_prepared(0, meta_params).statistics
    nearest = min(learner.nearest, len(known))

    def directions(inputs: Tensor) -> Tensor:
        return functional.normalize(powered(inputs, learner.power) - middle, dim=-1)

    def adapt(inputs: Tensor, targets: Tensor) -> State:
        rows = directions(inputs)
        near = _squares(rows, known).topk(nearest, largest=False).indices
        rows = (rows + learner.weight * known[near].sum(1)) / (1 + learner.weight * nearest)
        variance = variances[near].mean((0, 1)) + learner.spread * variances.mean()
        counts = targets.sum(0)
        means = targets.mT @ rows / counts.clamp(min=1).unsqueeze(-1)
        weights = means / variance.clamp(min=1e-12)
        biases = -0.5 * (means * weights).sum(-1)
        return {"weights": weights, "biases": biases.masked_fill(counts == 0, -torch.inf)}

    def score(inputs: Tensor, state: State) -> Tensor:
        return directions(inputs) @ state["weights"].mT + state["biases"]

    return Plain(adapt, score)


def _column(learner: Any, meta_params: MetaParams) -> Plain:
    place = learner.make(0).place

    def adapt(inputs: Tensor, targets: Tensor) -> State:
        return {"documents": torch.ones_like(targets[:, :1]).sum(0)}  # a state that says nothing

    def score(inputs: Tensor, state: State) -> Tensor:
        return inputs[:, place] + 0 * state["documents"]

    return Plain(adapt, score)


def _squares(first: Tensor, second: Tensor) -> Tensor:
    """Squared distances `[N, M]`."""
    lengths = first.square().sum(1, keepdim=True) + second.square().sum(1)
    return lengths - 2 * first @ second.mT


PLAIN: Mapping[type[BlackBoxLearner], Callable[[Any, MetaParams], Plain]] = MappingProxyType(
    {
        Calibrated: _calibrated,
        Centroid: _column,
        FoldIn: _fold_in,
        GaussianProcess: _gaussian_process,
        ItemKnn: _item_knn,
        ItemMean: _fold_in,
        Lead: _column,
        LogisticRegressionLearner: _logistic_regression,
        Longest: _column,
        MeanOfSupport: _mean_of_support,
        NearestNeighbour: _nearest_neighbour,
        Spectral: _spectral,
        TextRank: _column,
        UserBias: _fold_in,
    }
)
