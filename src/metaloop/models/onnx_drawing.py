"""A learner that makes images as four functions of named tensors: what its graphs are made of.

    features [N, *input] = embed(inputs [N, *input])      the inputs themselves
    state                = adapt(features [S, *input])    a support of one class
    outputs [N, 1]       = score(features, state, noise)  log probabilities, nats per dimension
    drawn [N, *input]    = draw(state, noise)             new images, 0 to 1
    drawn                = draw(state, noise, images, place)

Graphs draw no random numbers: `noise` is given, see `onnx_noise.py`. A learner that draws an image
pixel by pixel has the last form, which adds the pixel at `place` to images; it is called for one
place after the other, so that no graph has a loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metaloop.core.examples import Examples
from metaloop.core.inner_loop import GradientLearner
from metaloop.core.randomness import torch_stream
from metaloop.core.sampler import PixelByPixel
from metaloop.models.model import Model
from metaloop.models.onnx_functions import Run
from metaloop.models.onnx_noise import NORMAL, UNIFORM, Given, Widths, drawn_noise, widths_of

Tensors = Mapping[str, Tensor]
_NO_STATE = ("features", NORMAL, UNIFORM, "images", "place")
_TASKS = ((1, 5), (30, 3), (4, 16))  # support, and images to score and to draw, of the check


@dataclass(frozen=True)
class Drawing:
    """The functions by name, the noise that two of them take, and how often `draw` is called.

    `differentiates`: `adapt` takes derivatives.
    """

    functions: Mapping[str, Callable[[Tensors], dict[str, Tensor]]]
    noise: Mapping[str, Widths]
    calls: int
    differentiates: bool


def drawing_of(model: Model) -> Drawing:
    """Returns the functions of a model whose learner is a `Sampler`."""
    learner: Any = model.learner
    meta_params, shape = model.meta_params, model.input_format.shape
    by_pixel = isinstance(learner, PixelByPixel)
    unused = torch.Generator()

    def adapt(given: Tensors) -> dict[str, Tensor]:
        features = given["features"]
        ones = torch.ones_like(features.flatten(1)[:, 0])
        found: dict[str, Tensor] = learner.adapt(meta_params, Examples(features, ones, ones > 0))
        return found

    def score(given: Tensors) -> dict[str, Tensor]:
        with Given(given):
            return {"outputs": learner.predict(meta_params, _state(given), given["features"])}

    def draw(given: Tensors) -> dict[str, Tensor]:
        with Given(given):
            if by_pixel:
                of = (given["images"], given["place"])
                drawn = learner.draw_pixel(meta_params, _state(given), *of, unused)
            else:
                number = next(given[kind].shape[0] for kind in (NORMAL, UNIFORM) if kind in given)
                drawn = learner.sample(meta_params, _state(given), number, unused)
        return {"drawn": drawn}

    with torch.no_grad():
        state, first = adapt({"features": torch.zeros(2, *shape)}), torch.zeros(1, *shape)
        place = torch.zeros(1, dtype=torch.int64)
        noise = {
            "score": widths_of(lambda: learner.predict(meta_params, state, first)),
            "draw": widths_of(
                lambda: (
                    learner.draw_pixel(meta_params, state, first, place, unused)
                    if by_pixel
                    else learner.sample(meta_params, state, 1, unused)
                )
            ),
        }
    functions = {"embed": _unchanged, "adapt": adapt, "score": score, "draw": draw}
    calls = math.prod(shape[1:]) if by_pixel else 1
    return Drawing(functions, noise, calls, isinstance(learner, GradientLearner))


def _unchanged(given: Tensors) -> dict[str, Tensor]:
    return {"features": given["inputs"] + 0.0}


def _state(given: Tensors) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in given.items() if name not in _NO_STATE}


@torch.no_grad()
def difference_of_drawing(model: Model, run: Run) -> float:
    """Returns how far a runner is from the model at most, on supports of several sizes.

    That is the larger of two: of log probabilities, the largest difference in nats per dimension;
    of values from 0 to 1 that are drawn by the same noise, the mean difference. Of two levels that
    is the share of values that differ; of 256, a value that is rounded otherwise counts little.
    `run` is told which of the four functions and what it is given by name, and answers by name.
    """
    learner: Any = model.learner
    rng, of, apart, moved = torch_stream(0, "onnx"), drawing_of(model), [], []
    for support, number in _TASKS:
        inputs = torch.rand(support + number, *model.input_format.shape, generator=rng)
        features = run("embed", {"inputs": inputs.numpy()})["features"]
        state = run("adapt", {"features": features[:support]})
        known = model.adapt(inputs[:support], torch.zeros(support, *model.spec.target_shape), 0)
        noise = drawn_noise(of.noise["score"], number, rng)
        found = run("score", {"features": features[support:], **_arrays(noise), **state})
        with Given(noise):
            expected = model.predict(known, inputs[support:]).numpy()
        apart.append(np.abs(found["outputs"] - expected).max())
        every = {kind: of.calls * width for kind, width in of.noise["draw"].items()}
        noise = drawn_noise(every, number, rng)
        with Given(noise):
            drawn = learner.sample(model.meta_params, known, number, rng)
        moved.append(_moved(of, drawn, noise, state, run).ravel())
    return float(np.max([*apart, np.concatenate(moved).mean()]))  # not a number where any is none


def _moved(
    of: Drawing, expected: Tensor, noise: Tensors, state: Mapping[str, Any], run: Run
) -> np.ndarray:
    """How far values, or pixels, are from those that the model has drawn by the same noise.

    Pixel by pixel, each is drawn after those of the model: one that falls on the other side of a
    threshold would change all that follow.
    """
    if of.calls == 1:
        drawn = run("draw", {**_arrays(noise), **state})["drawn"]
        return np.asarray(np.abs(drawn - expected.numpy()))
    found = []
    for place in range(of.calls):
        of_pixel = {kind: each.chunk(of.calls, 1)[place] for kind, each in noise.items()}
        before = {"images": _first(expected, place).numpy(), "place": np.array([place])}
        drawn = run("draw", {**before, **_arrays(of_pixel), **state})["drawn"]
        apart = np.abs(drawn - _first(expected, place + 1).numpy())
        found.append(apart.mean(1).sum((1, 2)))  # of the pixel: the others stay as they were
    return np.stack(found)


def _first(images: Tensor, number: int) -> Tensor:
    """Images of which the first pixels are there."""
    return images * (torch.arange(images[0, 0].numel()) < number).view(images.shape[2:])


def _arrays(noise: Tensors) -> dict[str, np.ndarray]:
    return {kind: each.numpy() for kind, each in noise.items()}
