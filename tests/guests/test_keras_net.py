"""A Keras model as a net: the same features, gradients that reach it, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import metaloop as ml
from metaloop.catalogue.candidates import build_learner, make_candidate, with_module
from metaloop.core.errors import MetaloopError
from metaloop.core.examples import Examples
from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import torch_stream
from metaloop.core.spec import TaskSpec
from metaloop.guests.keras import as_net
from metaloop.nets.functional import FunctionalNet
from metaloop.tasks.store import Reading

SHAPE = (1, 12, 12)
IMAGES = InputFormat("image", SHAPE, (0.4,), (0.3,))
VECTORS = InputFormat("vector", (6,), (0.5,) * 6, (2.0,) * 6)


def convolutional(keras: Any, *others: Any, channels: int = 1) -> Any:
    return keras.Sequential(
        [
            keras.Input((12, 12, channels)),
            keras.layers.Conv2D(8, 3, activation="relu"),
            *others,
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(16),
        ]
    )


def weights_of(model: Any) -> list[np.ndarray]:
    return [variable.value.detach().numpy().copy() for variable in model.weights]


def dense(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((6,)), layers.Dense(12, activation="relu"), layers.Dense(8)]
    )


def test_features_are_those_of_keras(keras: Any) -> None:
    model = convolutional(keras)
    net = FunctionalNet(IMAGES, module=as_net(model, SHAPE))
    inputs = torch.rand(5, *SHAPE, generator=torch_stream(0, "images"))
    features, _ = net(net.init(torch_stream(0, "init")), inputs)
    theirs = model(IMAGES.normalise(inputs).permute(0, 2, 3, 1))
    torch.testing.assert_close(features, theirs.detach())
    assert net.num_features == 16 and not net.has_norms and not net.vmappable


def test_gradients_reach_every_trainable_weight_and_the_model_stays_as_it_was(keras: Any) -> None:
    model = convolutional(keras, keras.layers.BatchNormalization())
    before = weights_of(model)
    net = FunctionalNet(IMAGES, module=as_net(model, SHAPE))
    tensors = net.init(torch_stream(0, "init"))
    weights = {n: t.requires_grad_() for n, t in tensors.items() if n.startswith("net.")}
    assert len(weights) == 6
    inputs = torch.rand(5, *SHAPE, generator=torch_stream(0, "images"))
    features, buffers = net(tensors, inputs, "batch")
    features.square().sum().backward()  # type: ignore[no-untyped-call]
    assert all(float(t.grad.abs().max()) > 0 for t in weights.values() if t.grad is not None)
    assert sum(t.grad is not None for t in weights.values()) == 6
    assert any(not torch.equal(buffers[name], tensors[name]) for name in buffers)
    assert all(np.array_equal(a, b) for a, b in zip(before, weights_of(model), strict=True))


def test_batch_normalisation_becomes_metaloops_with_the_weights_it_had(keras: Any) -> None:
    norm = keras.layers.BatchNormalization(momentum=0.8, epsilon=0.01)
    model = convolutional(keras, norm)
    rng = np.random.default_rng(0)
    norm.set_weights([rng.uniform(0.5, 2, 8) for _ in range(4)])
    net = FunctionalNet(IMAGES, module=as_net(model, SHAPE))
    assert net.has_norms
    tensors = net.init(torch_stream(0, "init"))
    inputs = torch.rand(9, *SHAPE, generator=torch_stream(0, "images"))
    seen = IMAGES.normalise(inputs).permute(0, 2, 3, 1)
    torch.testing.assert_close(
        net(tensors, inputs)[0], model(seen, training=False).detach(), rtol=1e-4, atol=1e-4
    )
    in_training, buffers = net(tensors, inputs, "batch")
    torch.testing.assert_close(
        in_training, model(seen, training=True).detach(), rtol=1e-4, atol=1e-4
    )
    mean = next(t for n, t in buffers.items() if n.endswith("running_mean"))
    np.testing.assert_allclose(mean, norm.moving_mean.value.detach(), rtol=1e-4)


def test_dropout_draws_from_the_stream_of_the_step(keras: Any) -> None:
    net = FunctionalNet(
        IMAGES, module=as_net(convolutional(keras, keras.layers.Dropout(0.5)), SHAPE)
    )
    tensors, inputs = net.init(torch_stream(0, "init")), torch.ones(2, *SHAPE)

    def in_training(seed: int) -> torch.Tensor:
        from metaloop.core.randomness import seeded_modules

        with seeded_modules(seed):
            return net(tensors, inputs, "batch")[0]

    assert torch.equal(in_training(0), in_training(0))
    assert not torch.equal(in_training(0), in_training(1))
    assert torch.equal(net(tensors, inputs)[0], net(tensors, inputs)[0])


@pytest.mark.parametrize("name", ["protonet", "ridge", "simpleshot", "baselinepp", "maml", "anil"])
def test_every_kind_of_learner_learns_through_a_keras_net(name: str, keras: Any) -> None:
    spec = TaskSpec(3, 2, 4, VECTORS.shape, num_training_classes=5)
    candidate = with_module(make_candidate(name, VECTORS, spec), dense(keras))
    learner = build_learner(candidate, VECTORS, "classification", dense(keras))
    params = learner.init(spec, torch_stream(0, "init"))
    rng = torch_stream(0, "task")
    labels = torch.arange(3).repeat_interleave(4)
    inputs = 20 * torch.randn(3, 6, generator=rng)[labels]
    inputs = inputs + torch.randn(12, 6, generator=rng)
    known = Examples(inputs, labels, torch.ones(12, dtype=torch.bool), 3)
    outputs = learner.predict(params, learner.adapt(params, known), inputs)
    assert outputs.shape == (12, 3)
    assert (outputs.argmax(1) == labels).double().mean() > 0.6


@pytest.mark.parametrize(("name", "budget"), [("protonet", "3steps"), ("maml", "1s")])
def test_a_model_with_a_keras_net_is_trained_saved_and_loaded_with_the_net(
    name: str, budget: str, keras: Any, images: Reading, tmp_path: Path
) -> None:
    path = tmp_path / "model.metaloop"
    trained = ml.train(images, name, net=convolutional(keras), budget=budget, out=path)
    assert trained.steps >= 1
    X = np.random.default_rng(0).integers(0, 255, (6, 12, 12)).astype(np.uint8)
    y = ["a", "a", "b", "b", "c", "c"]
    before = trained.model.fit(X, y).predict_proba(X)
    with pytest.raises(MetaloopError, match=r"Sequential.*net="):
        ml.load(path)
    loaded = ml.load(path, net=convolutional(keras))
    np.testing.assert_allclose(loaded.fit(X, y).predict_proba(X), before, rtol=1e-5)


def test_what_cannot_be_a_net_is_one_line(keras: Any) -> None:
    layers = keras.layers
    with pytest.raises(
        MetaloopError, match=r"takes inputs of shape \(12, 12, 3\), the data have \(12, 12, 1\)"
    ):
        as_net(convolutional(keras, channels=3), SHAPE)
    with pytest.raises(MetaloopError, match=r"not built yet"):
        as_net(keras.Sequential([layers.Dense(3)]), (6,))
    with pytest.raises(MetaloopError, match=r"must have center and scale"):
        as_net(convolutional(keras, layers.BatchNormalization(scale=False)), SHAPE)
    with pytest.raises(MetaloopError, match=r"changes in training"):
        as_net(convolutional(keras, layers.Dropout(0.5, seed=1)), SHAPE)
    inputs = keras.Input((6,))
    two = keras.Model(inputs, [layers.Dense(2)(inputs), layers.Dense(3)(inputs)])
    with pytest.raises(MetaloopError, match=r"several tensors"):
        as_net(two, (6,))
