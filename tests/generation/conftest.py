"""Tiny images of which everything can be counted, and a small folder of classes."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from metaloop.catalogue.candidates import build_learner, make_candidate
from metaloop.catalogue.learners import learners_for
from metaloop.core.examples import Examples
from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import torch_stream
from metaloop.core.sampler import Sampler
from metaloop.core.spec import TaskSpec

GENERATORS = learners_for("inputs")


class Case:
    """A generative learner with fresh meta-parameters that say something of every image."""

    def __init__(self, name: str, shape: tuple[int, int, int], levels: int) -> None:
        self.name, channels = name, shape[0]
        self.format = InputFormat(
            "image", shape, (0.5,) * channels, (0.5,) * channels, levels=levels
        )
        self.spec = TaskSpec(0, 3, 2, shape, "generation", (levels,))
        candidate = make_candidate(name, self.format, self.spec)
        learner: Any = build_learner(candidate, self.format, "generation")
        assert isinstance(learner, Sampler)
        self.learner: Any = learner
        rng = torch_stream(0, "init")
        started = self.learner.init(self.spec, rng)
        self.meta_params = {  # fresh nets find all images nearly equally likely
            key: tensor + 0.1 * torch.randn(tensor.shape, generator=rng)
            if key.startswith("net.")
            else tensor
            for key, tensor in started.items()
        }

    def support(self, number: int = 3, seed: int = 0) -> Examples:
        """Returns so many random images of one class."""
        images = torch.rand(number, *self.format.shape, generator=torch_stream(seed, "support"))
        images = self.format.quantise(images)
        targets = torch.zeros(number, self.format.levels, dtype=torch.float64)
        return Examples(images, targets, torch.ones(number, dtype=torch.bool))

    def log_prob(self, support: Examples, images: Tensor) -> Tensor:
        """Returns `[N]` nats after adaptation."""
        with torch.no_grad():
            state = self.learner.adapt(self.meta_params, support)
            found: Tensor = self.learner.log_prob(self.meta_params, state, images)
        return found

    def sample(self, support: Examples, count: int, seed: int = 0) -> Tensor:
        """Returns new images after adaptation."""
        with torch.no_grad():
            state = self.learner.adapt(self.meta_params, support)
            drawn: Tensor = self.learner.sample(
                self.meta_params, state, count, torch_stream(seed, "sample")
            )
        return drawn


@pytest.fixture
def new_case() -> Any:
    """`Case`, for tests with shapes of their own."""
    return Case


@pytest.fixture(params=GENERATORS)
def tiny_case(request: pytest.FixtureRequest) -> Case:
    """Every generative learner on images of two by two black or white pixels."""
    return Case(request.param, (1, 2, 2), 2)


@pytest.fixture(params=GENERATORS)
def colours_case(request: pytest.FixtureRequest) -> Case:
    """Every generative learner on two by two pixels of two channels with three levels."""
    return Case(request.param, (2, 2, 2), 3)


@pytest.fixture(
    params=[
        pytest.param((name, *of), id=f"{name}-{kind}")
        for kind, of in (("drawing", ((1, 6, 5), 2)), ("colour", ((3, 4, 3), 4)))
        for name in GENERATORS
    ]
)
def case(request: pytest.FixtureRequest) -> Case:
    """Every generative learner on drawings of 6 by 5 pixels, and on colours of 4 by 3."""
    return Case(*request.param)


@pytest.fixture
def every_tiny_image() -> Tensor:
    """All sixteen images of two by two black or white pixels."""
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=4))).view(-1, 1, 2, 2)


@pytest.fixture
def drawings(tmp_path: Path) -> Path:
    """A folder of sixteen classes of lines, six drawings each, dark on white."""
    rng = np.random.default_rng(0)
    for name in range(16):
        folder = tmp_path / "drawings" / f"class{name:02d}"
        folder.mkdir(parents=True)
        corners = rng.uniform(8, 40, (3, 2))
        for number in range(6):
            image = Image.new("L", (48, 48), 255)
            moved = corners + rng.normal(0, 2, corners.shape)
            ImageDraw.Draw(image).line([tuple(p) for p in moved.tolist()], fill=0, width=6)
            image.save(folder / f"{number}.png")
    return tmp_path / "drawings"
