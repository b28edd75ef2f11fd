"""Keras on TensorFlow: learners in a process of their own, and a layer in a program of its own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import metaloop as ml
from metaloop.core.examples import Examples
from metaloop.core.randomness import torch_stream
from metaloop.guests.keras import KerasCnn
from metaloop.tasks.store import Reading

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        importlib.util.find_spec("tensorflow") is None,
        reason="TensorFlow is not installed: pip install 'metaloop[tensorflow]'",
    ),
]


def drawings(seed: int) -> tuple[Examples, torch.Tensor]:
    rng = torch_stream(seed, "drawings")
    patterns, labels = torch.rand(3, 1, 12, 12, generator=rng), torch.tensor([0, 0, 1, 1, 2, 2])
    inputs = (patterns[labels] + 0.1 * torch.rand(6, 1, 12, 12, generator=rng)).clamp(0, 1)
    return Examples(inputs, labels, torch.ones(6, dtype=torch.bool), 3), inputs


def test_the_textbook_net_learns_images_on_tensorflow_which_is_not_loaded_here() -> None:
    known, inputs = drawings(0)
    learner = KerasCnn(backend="tensorflow")
    outputs = learner.predict({}, learner.adapt({}, known), inputs)
    assert (outputs.argmax(1) == known.targets).double().mean() > 0.6
    assert "tensorflow" not in sys.modules


def test_a_task_is_answered_the_same_in_whatever_order_tasks_come() -> None:
    learner, tasks = KerasCnn(epochs=2, backend="tensorflow"), [drawings(seed) for seed in range(3)]

    def answers(order: tuple[int, ...]) -> dict[int, torch.Tensor]:
        states = {t: learner.adapt({}, tasks[t][0]) for t in order}
        return {t: learner.predict({}, states[t], tasks[t][1]) for t in reversed(order)}

    first, second = answers((0, 1, 2)), answers((2, 0, 1))
    assert all(torch.equal(first[t], second[t]) for t in range(3))
    assert not torch.equal(first[0], first[1])


def test_a_model_is_a_layer_and_no_net_of_keras_on_tensorflow(
    images: Reading, tmp_path: Path
) -> None:
    out = tmp_path / "model.metaloop"
    ml.train(images, "protonet", net="mlp", budget="3steps", out=out)
    program = Path(__file__).with_name("program_with_tensorflow.py")
    run = subprocess.run(
        [sys.executable, program, out],
        env={**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.splitlines()[-1] == "done"


def test_by_name_through_training_and_evaluation(images: Reading, tmp_path: Path) -> None:
    trained = ml.train(images, "keras_cnn", out=tmp_path / "m")
    X = np.random.default_rng(0).integers(0, 255, (6, 12, 12)).astype(np.uint8)
    assert trained.model.fit(X, list("aabbcc")).predict_proba(X).shape == (6, 3)
    assert ml.evaluate(trained, images, episodes=5, queries=2).value > 0.4  # chance: 0.2
