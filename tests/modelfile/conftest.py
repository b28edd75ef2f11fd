"""Models to write and read."""

from __future__ import annotations

import math

import pytest
import torch

from metaloop.core.inputs import InputFormat
from metaloop.core.records import Candidate, Choice, DataRecipe, Plan, Protocol, Result
from metaloop.core.spec import TaskSpec
from metaloop.modelfile import ModelFile, TrainingRecord


def _model(**changes: object) -> ModelFile:
    protocol = Protocol("test", 5, 1, 15, "running", "1157", "d4ta")
    fields: dict[str, object] = {
        "kind": "learner",
        "metaloop_version": "0.1.0",
        "candidate": Candidate(
            Choice("protonet", {"scale": 2.5, "centre": True, "metric": None}),
            Choice("conv4", {"width": 64}),
            Plan("episodes", ways=60, queries=2, augmentation=Choice("affine", {"degrees": 15})),
            DataRecipe(("omniglot",), (Choice("rotate", {"degrees": [90, 180]}),), 0.25),
        ),
        "spec": TaskSpec(5, 1, 15, (1, 28, 28)),
        "input_format": InputFormat("image", (1, 28, 28), (0.0823,), (1 / 3,), "ink"),
        "parts": {"train": ("Ж/01", "Ж/02"), "search": (), "test": ("\udcff", 'a"b')},
        "training": TrainingRecord(3, "240s", 5000, 240.5, 470.25, "d4ta", "omniglot"),
        "results": (
            Result("accuracy", 0.988, 0.002, 1000, protocol),
            Result("accuracy", 0.1, math.inf, 1, protocol),
        ),
        "citations": ("@inproceedings{snell2017}",),
        "weights": {
            "conv1.weight": torch.arange(16, dtype=torch.float32).reshape(2, 2, 2, 2) / 7,
            "buffers.count": torch.tensor(7),
            "empty": torch.zeros(0, 3),
        },
    }
    return ModelFile(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture
def learner() -> ModelFile:
    """A trained learner, as it is stored."""
    return _model()


@pytest.fixture
def adapted() -> ModelFile:
    """A learner adapted to a task, with its support."""
    return _model(
        kind="adapted",
        classes=("cat", "dog", 3, 2.5, True),
        custom_net="my.package.Net",
        support={
            "inputs": torch.arange(32, dtype=torch.uint8).reshape(2, 1, 4, 4),
            "targets": torch.tensor([0, 1]),
            "mask": torch.tensor([True, False]),
        },
        state={"prototypes": torch.eye(2, dtype=torch.float64), "head/bias": torch.ones(2)},
    )
