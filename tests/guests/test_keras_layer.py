"""A metaloop model as a frozen layer of Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import metaloop as ml
from metaloop.core.errors import MetaloopError
from metaloop.guests.keras import as_layer
from metaloop.tasks.store import Reading


@pytest.fixture(scope="module")
def trained(images: Reading, tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("layer") / "model.metaloop"
    return ml.train(images, "protonet", net="mlp", budget="3steps", out=out)


def bytes_of_images(number: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (number, 12, 12, 1)).astype(np.uint8)


def test_its_features_are_the_models_from_a_file_or_from_memory(keras: Any, trained: Any) -> None:
    pixels = bytes_of_images(5)
    model = trained.trained
    raw = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    expected = model.learner.embed(model.meta_params, model.input_format.to_float(raw)).detach()
    for source in (str(trained.out), trained, trained.model, model):
        layer = as_layer(source)
        torch.testing.assert_close(layer(torch.from_numpy(pixels)), expected)
        torch.testing.assert_close(layer(torch.from_numpy(pixels / 255).float()), expected)
    assert layer.trainable_variables == []


def test_a_head_is_trained_on_it(keras: Any, trained: Any) -> None:
    pixels, labels = bytes_of_images(8) / 255, np.arange(8) % 2
    layer = as_layer(trained)
    model = keras.Sequential([keras.Input((12, 12, 1)), layer, keras.layers.Dense(2)])
    assert model.output_shape == (None, 2)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(0.1), loss=loss)
    before = layer(torch.from_numpy(pixels).float()).clone()
    first = model.evaluate(pixels, labels, verbose=0)
    model.fit(pixels, labels, epochs=10, verbose=0)
    assert model.evaluate(pixels, labels, verbose=0) < 0.5 * first
    torch.testing.assert_close(layer(torch.from_numpy(pixels).float()), before)


def test_what_cannot_be_a_layer_is_one_line(keras: Any, trained: Any, images: Reading) -> None:
    with pytest.raises(
        MetaloopError, match=r"takes inputs of shape \(12, 12, 1\), got \(9, 9, 1\)"
    ):
        keras.Sequential([keras.Input((9, 9, 1)), as_layer(trained)])
    with pytest.raises(
        MetaloopError, match=r"bytes .* or as floats from 0 to 1, got values up to 25"
    ):
        as_layer(trained)(torch.from_numpy(bytes_of_images(3)).float())
    with pytest.raises(MetaloopError, match=r"changes its features from task to task"):
        as_layer(ml.train(images, "maml", net="mlp", budget="1steps"))
    with pytest.raises(MetaloopError, match=r"expected a metaloop model or its file, got int"):
        as_layer(3)
    with pytest.raises(MetaloopError, match=r"which Keras cannot save"):
        as_layer(trained).get_config()
