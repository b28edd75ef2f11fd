"""Small families of noisy prototypes, and what training on them needs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from metaloop.catalogue.learners import LEARNERS
from metaloop.core.learner import Learner
from metaloop.core.records import Plan
from metaloop.core.spec import TaskSpec
from metaloop.engine import training
from metaloop.nets.conv4 import conv4
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.mlp import mlp
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.readers import read_arrays


@dataclass(frozen=True)
class Job:
    """All that `train` is given."""

    learner: Learner
    family: ClassFamily
    plan: Plan
    spec: TaskSpec

    def __iter__(self) -> Any:
        return iter((self.learner, self.family, self.plan))

    def but(self, **changes: Any) -> Job:
        """Returns the job with other values in its plan."""
        return replace(self, plan=replace(self.plan, **changes))


def make_family(side: int = 0, num_classes: int = 24, size: int = 12) -> ClassFamily:
    """Returns a family of vectors, or of images of that side."""
    rng = np.random.default_rng(0)
    shape = (side, side) if side else (10,)
    centres = rng.normal(size=(num_classes, 1, *shape))
    inputs = centres + 0.6 * rng.normal(size=(num_classes, size, *shape))
    if len(shape) > 1:
        inputs = (inputs - inputs.min()) / np.ptp(inputs)
    labels = np.repeat(np.arange(num_classes), size)
    return class_family(read_arrays(inputs.reshape(-1, *shape), labels))[0]


def make_job(name: str, side: int = 0, **plan: Any) -> Job:
    """Returns a small training of a learner of the catalogue."""
    family = make_family(side)
    build = partial(conv4, channels=4) if side else partial(mlp, width=16)
    net = FunctionalNet(family.input_format, build=build)
    options = {"inner_steps": 2} if name in ("maml", "fomaml", "anil") else {}
    learner = LEARNERS[name].constructor(net=net, **options)
    style = "classes" if LEARNERS[name].trunk == "classifier" else "episodes"
    values = {"num_tasks": 2, "queries": 3, "batch_size": 16, "learning_rate": 1e-2, **plan}
    return Job(learner, family, Plan(style, **values), family.spec(5, 1, 3))  # type: ignore[arg-type]


class Clock:
    """A clock that goes on by so many seconds whenever it is asked, however long things take."""

    process_time = staticmethod(time.process_time)

    def __init__(self, seconds: float) -> None:
        self.now, self.seconds = 0.0, seconds

    def perf_counter(self) -> float:
        """What time it is for a training."""
        self.now += self.seconds
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of trainings, on which a step takes some hundredths of a second."""
    made = Clock(0.01)
    monkeypatch.setattr(training, "time", made)
    return made


@pytest.fixture
def new_job() -> Callable[..., Job]:
    """`make_job`."""
    return make_job


@pytest.fixture
def new_family() -> Callable[..., ClassFamily]:
    """`make_family`."""
    return make_family
