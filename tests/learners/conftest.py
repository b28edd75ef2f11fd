"""A small case of every learner in the catalogue, and tasks that anything should be able to learn.

A learner without a case in `OPTIONS` fails every contract test: write its options there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from metaloop.catalogue.learners import LEARNERS, learners_for
from metaloop.core.black_box import BlackBoxLearner
from metaloop.core.examples import Examples
from metaloop.core.inputs import InputFormat
from metaloop.core.learner import Learner, MetaParams
from metaloop.core.randomness import torch_stream
from metaloop.core.spec import TaskSpec
from metaloop.nets.conv4 import conv4
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.mlp import mlp, raw

INNER = {"inner_steps": 3, "inner_rate": 0.1}
OPTIONS: dict[str, dict[str, Any]] = {
    "anil": INNER,
    "baselinepp": {"num_steps": 20},
    "calibrated": {},
    "evolved_gradient": {"inner_steps": 3, "initial_rate": 0.1},
    "extra_trees": {"num_trees": 20},
    "fomaml": INNER,
    "gaussian_naive_bayes": {},
    "in_context": {"width": 16, "layers": 2},
    "lda": {},
    "logistic_regression": {},
    "maml": INNER,
    "nearest_centroid": {},
    "nearest_neighbour": {},
    "protonet": {},
    "rfs": {},
    "ridge": {},
    "simpleshot": {},
    "soft_means": {},
    "svm": {},
}
CLASSIFIERS = learners_for("classes", extras=False)
WAYS, SHOTS, QUERIES, FEATURES, SIDE = 5, 3, 4, 8, 16
NETS = {
    "vectors": (InputFormat("vector", (FEATURES,), (0.1,) * FEATURES, (2.0,) * FEATURES), mlp),
    "images": (InputFormat("image", (1, SIDE, SIDE), (0.3,), (0.4,)), partial(conv4, channels=8)),
}


@dataclass(frozen=True)
class Case:
    """A learner with fresh meta-parameters, and tasks of its inputs."""

    name: str
    learner: Learner
    meta_params: MetaParams
    spec: TaskSpec
    input_shape: tuple[int, ...]

    def task(self, seed: int = 0, spread: float = 0.3) -> tuple[Examples, Tensor, Tensor]:
        """Returns a support, query inputs and query labels of well separated classes."""
        rng = torch_stream(seed, "toy")
        flat = self.spec.input_shape
        centres = torch.randn(WAYS, *flat, generator=rng) * 2
        labels = torch.arange(WAYS).repeat_interleave(SHOTS)
        query_labels = torch.arange(WAYS).repeat_interleave(QUERIES)

        def draw(classes: Tensor) -> Tensor:
            noise = torch.randn(len(classes), *flat, generator=rng)
            return centres[classes] + spread * noise

        mask = torch.ones(len(labels), dtype=torch.bool)
        support = Examples(draw(labels), labels, mask, WAYS)
        return support, draw(query_labels), query_labels

    def predict(self, support: Examples, inputs: Tensor) -> Tensor:
        """Returns the outputs for `inputs` after adaptation to `support`, without gradients."""
        with torch.no_grad():
            state = self.learner.adapt(self.meta_params, support)
            return self.learner.predict(self.meta_params, state, inputs)


def make_case(name: str, inputs: str, **options: Any) -> Case:
    """Returns the case of a learner's name on `vectors` or `images`."""
    if name not in OPTIONS:
        pytest.fail(f"learner '{name}' has no case: write one in {__file__}")
    constructor = LEARNERS[name].constructor
    input_format, build = NETS[inputs]
    options = {**OPTIONS[name], **options}
    if not issubclass(constructor, BlackBoxLearner):  # type: ignore[arg-type]
        options["net"] = FunctionalNet(
            input_format, build=raw if LEARNERS[name].trunk == "none" else build
        )
    learner = constructor(**options)
    spec = TaskSpec(WAYS, SHOTS, QUERIES, input_format.shape, num_training_classes=7)
    meta_params = learner.init(spec, torch_stream(0, "init"))
    return Case(name, learner, meta_params, spec, input_format.shape)


@pytest.fixture(params=CLASSIFIERS)
def case(request: pytest.FixtureRequest) -> Case:
    """Every learner of classes of the catalogue on vectors."""
    return make_case(request.param, "vectors")


@pytest.fixture(params=CLASSIFIERS)
def image_case(request: pytest.FixtureRequest) -> Case:
    """Every learner of classes of the catalogue on images, with a net that has batch norms."""
    return make_case(request.param, "images")


@pytest.fixture(params=["anil", "fomaml", "maml"])
def gradient_case(request: pytest.FixtureRequest) -> Case:
    """Every learner with an inner loop, on images."""
    return make_case(request.param, "images")


@pytest.fixture
def new_case() -> Any:
    """`make_case`, for tests of one method with options of their own."""
    return make_case
