"""Keras models as black boxes, in a process of Keras' own, on its torch backend."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import metaloop as ml
from metaloop.catalogue.candidates import build_learner, make_candidate
from metaloop.catalogue.learners import LEARNERS
from metaloop.core.errors import GuestError, MetaloopError, MissingExtraError
from metaloop.core.examples import Examples
from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import torch_stream
from metaloop.core.spec import TaskSpec
from metaloop.guests.keras import KerasCnn, as_learner, installed
from metaloop.tasks.store import Reading

IMAGES = InputFormat("image", (1, 12, 12), (0.4,), (0.3,))


def classifier(keras: Any, outputs: int = 3, loss: str = "sparse_categorical_crossentropy") -> Any:
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(outputs, activation="softmax"),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(0.05), loss=loss)
    return model


def task(seed: int = 0, shots: int = 4) -> tuple[Examples, torch.Tensor, torch.Tensor]:
    rng = torch_stream(seed, "keras task")
    centres = 2 * torch.randn(3, 6, generator=rng)
    labels, asked = torch.arange(3).repeat_interleave(shots), torch.arange(3).repeat_interleave(5)

    def around(of: torch.Tensor) -> torch.Tensor:
        return centres[of] + 0.2 * torch.randn(len(of), 6, generator=rng)

    mask = torch.ones(len(labels), dtype=torch.bool)
    return Examples(around(labels), labels, mask, 3), around(asked), asked


def drawings(seed: int = 0, side: int = 12) -> tuple[Examples, torch.Tensor]:
    rng = torch_stream(seed, "drawings")
    patterns, labels = torch.rand(3, 1, side, side, generator=rng), torch.tensor([0, 0, 1, 1, 2, 2])
    inputs = (patterns[labels] + 0.1 * torch.rand(6, 1, side, side, generator=rng)).clamp(0, 1)
    return Examples(inputs, labels, torch.ones(6, dtype=torch.bool), 3), inputs


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "categorical_crossentropy"])
def test_a_compiled_model_and_a_function_learn_a_task(loss: str, keras: Any) -> None:
    known, queries, labels = task()
    model = classifier(keras, loss=loss)
    for one in (model, lambda shape, outputs: classifier(keras, outputs, loss)):
        learner = as_learner(one, epochs=15, batch_size=4)
        outputs = learner.predict({}, learner.adapt({}, known), queries)
        assert outputs.shape == (15, 3)
        assert (outputs.argmax(1) == labels).double().mean() > 0.9
        torch.testing.assert_close(outputs.exp().sum(1), torch.ones(15))


def test_a_task_is_answered_the_same_in_whatever_order_tasks_come(keras: Any) -> None:
    learner = as_learner(lambda shape, outputs: classifier(keras, outputs), epochs=2)
    tasks = [task(seed) for seed in range(3)]

    def answers(order: tuple[int, ...]) -> dict[int, torch.Tensor]:
        states = {t: learner.adapt({}, tasks[t][0]) for t in order}
        return {t: learner.predict({}, states[t], tasks[t][1]) for t in reversed(order)}

    first, second = answers((0, 1, 2)), answers((2, 0, 1))
    assert all(torch.equal(first[t], second[t]) for t in range(3))


def test_keras_here_is_not_disturbed(keras: Any) -> None:
    before = np.random.get_state()[1][0], torch.initial_seed()  # noqa: NPY002
    learner = as_learner(classifier(keras), epochs=1)
    learner.adapt({}, task()[0])
    assert before == (np.random.get_state()[1][0], torch.initial_seed())  # noqa: NPY002


def test_a_regressor_predicts_real_targets(keras: Any) -> None:
    def make(shape: tuple[int, ...], outputs: int) -> Any:
        model = keras.Sequential([keras.Input(shape), keras.layers.Dense(outputs)])
        model.compile(optimizer=keras.optimizers.Adam(0.1), loss="mse")
        return model

    inputs = torch.randn(16, 6, generator=torch_stream(0, "x"))
    targets = torch.stack([inputs.sum(1), inputs[:, 0] - 1], 1)
    known = Examples(inputs, targets, torch.ones(16, dtype=torch.bool))
    learner = as_learner(make, epochs=60, batch_size=8)
    outputs = learner.predict({}, learner.adapt({}, known), inputs)
    assert outputs.shape == (16, 2)
    assert float((outputs - targets).square().mean()) < 0.1


def test_the_textbook_net_learns_images_and_is_the_one_of_textbooks(keras: Any) -> None:
    known, inputs = drawings()
    learner = build_learner(
        make_candidate("keras_cnn", IMAGES, TaskSpec(3, 2, 2, IMAGES.shape)), IMAGES,
        "classification",
    )  # fmt: skip
    assert isinstance(learner, KerasCnn)
    assert (learner.epochs, learner.batch_size) == (10, 32)
    outputs = learner.predict({}, learner.adapt({}, known), inputs)
    assert (outputs.argmax(1) == known.targets).double().mean() > 0.6
    from metaloop.guests.keras.__main__ import _textbook

    assert _textbook((32, 32, 3), 10).count_params() == 923_914  # as measured in the field
    assert type(_textbook((32, 32, 3), 10).optimizer).__name__ == "Adam"


def test_it_goes_through_training_files_and_estimators_by_name(
    keras: Any, images: Reading, tmp_path: Path
) -> None:
    path = tmp_path / "m.metaloop"
    ml.train(images, "keras_cnn", out=path)
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 255, (6, 12, 12)).astype(np.uint8), ["a", "a", "b", "b", "c", "c"]
    model = ml.load(path).fit(X, y)
    model.save(tmp_path / "fitted.metaloop")
    again = ml.load(tmp_path / "fitted.metaloop")
    np.testing.assert_allclose(again.predict_proba(X), model.predict_proba(X), rtol=1e-5)
    assert ml.evaluate(path, images, episodes=3, queries=2).value > 0.4  # chance: 0.2


def test_a_model_of_ones_own_is_asked_for_when_its_file_is_opened(
    keras: Any, vectors: Reading, tmp_path: Path
) -> None:
    path, learner = tmp_path / "m.metaloop", as_learner(classifier(keras, 5), epochs=3)
    ml.train(vectors, learner, out=path)
    with pytest.raises(MetaloopError, match=r"of your own \(KerasLearner.*learner="):
        ml.load(path)
    with pytest.raises(MetaloopError, match=r"but learner= is"):
        ml.load(path, learner=as_learner(classifier(keras, 5), epochs=3))  # other weights
    assert ml.load(path, learner=learner).model is not None


def test_what_does_not_fit_is_one_line(keras: Any) -> None:
    known, _, _ = task()
    with pytest.raises(GuestError, match=r"has outputs of shape \(4,\), the task has 3 classes"):
        as_learner(classifier(keras, 4)).adapt({}, known)
    with pytest.raises(
        GuestError, match=r"takes inputs of shape \(6,\), the task has \(12, 12, 1\)$"
    ):
        as_learner(classifier(keras)).adapt({}, drawings()[0])
    with pytest.raises(MetaloopError, match=r"not compiled"):
        as_learner(keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)]))
    with pytest.raises(MetaloopError, match=r"returned a int, no keras\.Model"):
        as_learner(lambda shape, outputs: 3).adapt({}, known)
    with pytest.raises(MetaloopError, match=r"expected a compiled keras\.Model.*got str"):
        as_learner("model.keras")
    with pytest.raises(GuestError, match=r"images of 4 pixels or more, got .*\(6,\)"):
        KerasCnn().adapt({}, known)
    vector = InputFormat("vector", (6,), (0.0,) * 6, (1.0,) * 6)
    with pytest.raises(MetaloopError, match=r"'keras_cnn' takes images, the data are vectors"):
        make_candidate("keras_cnn", vector, TaskSpec(3, 1, 1, (6,)))


def test_a_layer_of_ones_own_does_not_travel_and_that_is_one_line(keras: Any) -> None:
    class Doubled(keras.layers.Layer):  # type: ignore[misc,name-defined]
        def call(self, inputs: Any) -> Any:
            return 2 * inputs

    model = keras.Sequential([keras.Input((6,)), Doubled(), keras.layers.Dense(3)])
    model.compile(loss="mse")
    with pytest.raises(GuestError, match=r"^the Keras model cannot be made in a process of its"):
        as_learner(model).adapt({}, task()[0])


def test_a_missing_library_is_one_line_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "_has", lambda module: False)
    with pytest.raises(MissingExtraError, match=r"'keras_cnn' needs .*'metaloop\[keras\]'$"):
        KerasCnn().adapt({}, drawings()[0])
    monkeypatch.setattr(installed, "_has", lambda module: module == "keras")
    with pytest.raises(MissingExtraError, match=r"on TensorFlow needs .*'metaloop\[tensorflow\]'"):
        KerasCnn(backend="tensorflow").adapt({}, drawings()[0])
    assert LEARNERS["keras_cnn"].extra == "keras"


def test_nothing_loads_keras_before_it_is_used() -> None:
    code = (
        "import sys, metaloop.catalogue, metaloop.guests.keras as k; k.KerasCnn(), k.as_layer; "
        "print([m for m in ('keras', 'tensorflow') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
    child = "import sys, metaloop.guests.keras.__main__; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
