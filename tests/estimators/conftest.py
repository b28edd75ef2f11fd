"""Tiny models that were really trained: a ProtoNet on synthetic drawings, MAML on sinusoids."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from metaloop.catalogue import build_learner, make_candidate
from metaloop.catalogue.families import class_parts
from metaloop.core.budget import Budget
from metaloop.core.records import Candidate
from metaloop.core.spec import TaskSpec
from metaloop.engine.training import train
from metaloop.modelfile import TrainingRecord
from metaloop.models import Model
from metaloop.tasks.family import TaskFamily, class_family
from metaloop.tasks.readers import read_arrays
from metaloop.tasks.sinusoid import SinusoidFamily

SIDE = 16


@contextmanager
def one_thread() -> Iterator[None]:
    """Nets this small are many times slower on two threads, where other work goes on beside."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def on_one_thread() -> Iterator[None]:
    """Every test of this folder runs on one thread."""
    with one_thread():
        yield


def drawings(
    num_classes: int, num_examples: int, seed: int, side: int = SIDE
) -> tuple[np.ndarray, np.ndarray]:
    """Noisy copies of random prototypes: uint8 `[n, side, side]` and class indices `[n]`."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 2, (num_classes, 1, 4, 4)) * 160 + 20
    prototypes = np.kron(coarse, np.ones((side // 4, side // 4), int))
    noise = rng.integers(-20, 75, (num_classes, num_examples, side, side))
    images = np.clip(prototypes + noise, 0, 255).astype(np.uint8)
    return images.reshape(-1, side, side), np.repeat(np.arange(num_classes), num_examples)


def trained_model(family: TaskFamily, candidate: Candidate, spec: TaskSpec, steps: int) -> Model:
    """The candidate after so many steps."""
    learner = build_learner(candidate, family.input_format, spec.objective)
    events = train(
        learner, family, candidate.plan, Budget(steps=steps), spec, evaluation_episodes=2
    )
    with one_thread():
        finished = list(events)[-1]
    assert finished.status == "finished", finished.message
    record = TrainingRecord(0, f"{steps}steps", steps, 1.0, 1.0, family.digest, family.name)
    parts = class_parts(family)
    return Model(learner, finished.meta_params, candidate, spec, family.input_format, parts, record)


@pytest.fixture(scope="session")
def drawing_family() -> TaskFamily:
    """40 classes of 8 drawings."""
    images, labels = drawings(40, 8, seed=0)
    return class_family(read_arrays(images, labels, image_size=SIDE, polarity="as_is"))[0]


@pytest.fixture(scope="session")
def image_model(drawing_family: TaskFamily) -> Model:
    """ProtoNet on drawings, 30 steps."""
    spec = drawing_family.spec(5, 1, 2)
    candidate = make_candidate("protonet", drawing_family.input_format, spec)
    plan = replace(candidate.plan, ways=8, queries=2, precision="float32")
    return trained_model(drawing_family, replace(candidate, plan=plan), spec, 30)


@pytest.fixture(scope="session")
def image_maml(drawing_family: TaskFamily) -> Model:
    """MAML on drawings, 2 steps: its task state is a whole net, with batch norm."""
    spec = drawing_family.spec(3, 1, 2)
    candidate = make_candidate("maml", drawing_family.input_format, spec, net="conv4")
    plan = replace(candidate.plan, num_tasks=1, ways=3, queries=2)
    return trained_model(drawing_family, replace(candidate, plan=plan), spec, 2)


@pytest.fixture(scope="session")
def box_model(drawing_family: TaskFamily) -> Model:
    """A black box: scikit-learn's logistic regression on pixels."""
    spec = drawing_family.spec(5, 1, 2)
    candidate = make_candidate("logistic_regression", drawing_family.input_format, spec)
    return trained_model(drawing_family, candidate, spec, 1)


@pytest.fixture(scope="session")
def sinusoid_model() -> Model:
    """MAML on sinusoids, 50 steps."""
    family = SinusoidFamily()
    spec = family.spec(0, 10)
    candidate = make_candidate("maml", family.input_format, spec)
    return trained_model(family, candidate, spec, 50)


@pytest.fixture
def task() -> dict[str, np.ndarray]:
    """Five new classes: a support with uneven shots, and 7 queries of each class."""
    images, labels = drawings(5, 12, seed=9)
    names = np.array(["ash", "birch", "cedar", "date palm", "elm"])[labels]
    number = np.tile(np.arange(12), 5)
    learned = number < 1 + labels  # 1 to 5 shots
    asked = number >= 5
    return {
        "support": images[learned],
        "labels": names[learned],
        "queries": images[asked],
        "truth": names[asked],
    }
