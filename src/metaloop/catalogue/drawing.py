"""Generative models as what draws classes for data recipes: `generated(0.5)`."""

from __future__ import annotations

import os

import torch
from torch import Tensor

from metaloop.catalogue.candidates import build_learner
from metaloop.core.examples import Examples
from metaloop.core.inputs import InputFormat
from metaloop.core.learner import MetaParams
from metaloop.core.randomness import torch_stream
from metaloop.core.sampler import Sampler, SideBySide
from metaloop.generators.drawing import Draw
from metaloop.modelfile import read_model


def drawer_of(path: str | os.PathLike[str]) -> Draw:
    """Returns what draws by a model file that has been checked (`models.load_model`)."""
    model = read_model(path)
    learner = build_learner(model.candidate, model.input_format, model.spec.objective)
    assert isinstance(learner, Sampler)
    return drawing(learner, dict(model.weights), model.input_format)


def drawing(learner: Sampler, meta_params: MetaParams, known: InputFormat) -> Draw:
    """Returns what draws by a learner: images as stored, uint8, in and out."""

    def draw(supports: Tensor, count: int, seed: int, temperature: float) -> Tensor:
        images = known.quantise(known.to_float(supports.cpu()))
        rng = torch_stream(seed, "generated")
        if isinstance(learner, SideBySide):
            drawn = learner.sample_each(meta_params, images, count, rng, temperature)
        else:
            drawn = torch.stack(
                [_of_one(learner, meta_params, each, count, rng, temperature) for each in images]
            )
        return (255 * drawn).round().to(torch.uint8).to(supports.device)

    return draw


def _of_one(
    learner: Sampler,
    meta_params: MetaParams,
    support: Tensor,
    count: int,
    rng: torch.Generator,
    temperature: float,
) -> Tensor:
    number = len(support)
    targets = torch.zeros(number, 1, dtype=torch.float64)
    shown = Examples(support, targets, torch.ones(number, dtype=torch.bool))
    state = learner.adapt(meta_params, shown)  # type: ignore[attr-defined]
    return learner.sample(meta_params, state, count, rng, temperature)
