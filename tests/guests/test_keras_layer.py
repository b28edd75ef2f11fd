"""A metaloop model as a frozen layer of Keras."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import metaloop as ml
from metaloop.catalogue.nets import build_net
from metaloop.catalogue.pipelines import copies_of
from metaloop.catalogue.views import view_of_encoder
from metaloop.core.encoder import Encoder
from metaloop.core.errors import MetaloopError
from metaloop.core.fitted_view import AS_IS, FittedView, beside
from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Choice
from metaloop.domains.images.lite0 import packaged_file
from metaloop.engine.heads import head_logits
from metaloop.estimators.pictures_seen import read_seen_pictures
from metaloop.guests.keras import as_layer
from metaloop.learners.protonet import ProtoNet
from metaloop.models import Model
from metaloop.tasks.store import Reading

SIZES = [(12, 12, 3), (30, 21, 3), (9, 9, 1)]  # height, width, channels


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What encoders make is kept nowhere else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("METALOOP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def trained(images: Reading, tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("layer") / "model.metaloop"
    return ml.train(images, "protonet", net="mlp", budget="3steps", out=out)


def bytes_of_images(number: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (number, 12, 12, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def through_blocks(
    images: Reading, blocks: Encoder, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    out = tmp_path_factory.mktemp("blocks") / "model.metaloop"
    asked = {"net": "mlp", "budget": "3steps", "backbone": blocks, "out": out}
    return ml.train(images, "protonet", **asked)


def pictures(height: int, width: int, channels: int, number: int = 4) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (number, height, width, channels)).astype(np.uint8)


def seen_by(model: Model, pixels: np.ndarray) -> torch.Tensor:
    """What the head of a model is given of images that its estimator has read."""
    assert model.view is not None
    seen = read_seen_pictures(pixels, model.view, model.input_format)[:]
    return model.learner.embed(model.meta_params, seen).detach()  # type: ignore[attr-defined]


def assert_layer_is(source: Any, pixels: np.ndarray, expected: torch.Tensor) -> None:
    """A layer has these features of images, as bytes, as whole numbers and from 0 to 1."""
    layer, given = as_layer(source), torch.from_numpy(pixels)
    for inputs in (given, given.long(), given.float() / 255):
        torch.testing.assert_close(layer(inputs), expected)


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
    with pytest.raises(
        MetaloopError, match=r"expected a metaloop model of images or vectors, .* got int"
    ):
        as_layer(3)
    with pytest.raises(MetaloopError, match=r"which Keras cannot save"):
        as_layer(trained).get_config()


@pytest.mark.parametrize("size", SIZES)
def test_a_model_that_sees_images_through_an_encoder_takes_any_size(
    keras: Any, through_blocks: Any, size: tuple[int, int, int]
) -> None:
    pixels = pictures(*size)
    assert_layer_is(through_blocks, pixels, seen_by(through_blocks.trained, pixels))


@pytest.mark.parametrize("size", SIZES)
def test_views_beside_each_other_are_a_layer(
    keras: Any, through_blocks: Any, blocks: Encoder, size: tuple[int, int, int]
) -> None:
    own = InputFormat("image", (1, 8, 8), (0.4,), (0.3,), "ink")
    features = InputFormat("vector", (24,), (0.1,) * 24, (0.5,) * 24)
    both = InputFormat.beside([own, features])
    named = {"name": "mlp", "options": {"width": 6, "depth": 1}, "candidate": "x"}
    members = [{**named, "piece": piece} for piece in (0, 1)]
    learner = ProtoNet(build_net(Choice("joined", {"members": members}), both))
    model = replace(
        through_blocks.trained,
        learner=learner,
        meta_params=learner.init(through_blocks.trained.spec, torch_stream(0, "init")),
        input_format=both,
        view=beside([AS_IS, view_of_encoder(blocks)]),
    )
    pixels = pictures(*size)
    assert_layer_is(model, pixels, seen_by(model, pixels))


def test_a_head_is_trained_on_what_an_encoder_sees(keras: Any, through_blocks: Any) -> None:
    pixels, labels = pictures(20, 24, 3, number=8), np.arange(8) % 2
    entry = keras.Input((None, None, 3), dtype="uint8")
    model = keras.Sequential([entry, as_layer(through_blocks), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(0.1), loss=loss)
    first = model.evaluate(pixels, labels, verbose=0)
    model.fit(pixels, labels, epochs=10, verbose=0)
    assert model.evaluate(pixels, labels, verbose=0) < 0.5 * first


def test_a_file_asks_for_the_encoder_that_is_not_here(
    keras: Any, through_blocks: Any, blocks: Encoder
) -> None:
    pixels = pictures(16, 16, 3)
    loaded = ml.load(through_blocks.out, backbone=blocks)
    assert_layer_is(loaded, pixels, seen_by(through_blocks.trained, pixels))
    with pytest.raises(MetaloopError, match=r"cannot be a layer: .* a backbone that is not here"):
        as_layer(through_blocks.out)


@pytest.mark.skipif(packaged_file() is None, reason="needs 'metaloop[backbones]'")
def test_a_file_whose_backbone_is_installed_is_a_layer(
    keras: Any, images: Reading, tmp_path: Path
) -> None:
    asked = {"budget": "1steps", "backbone": "lite0@32", "out": tmp_path / "m"}
    trained, pixels = ml.train(images, "simpleshot", **asked), pictures(40, 50, 3, number=2)
    assert_layer_is(tmp_path / "m", pixels, seen_by(trained.trained, pixels))


@pytest.mark.parametrize("size", SIZES)
def test_a_head_of_select_has_the_features_of_its_encoder(
    keras: Any, selected: Any, size: tuple[int, int, int]
) -> None:
    pixels = pictures(*size)
    features = as_layer(selected)(torch.from_numpy(pixels))
    shares = head_logits(selected.model.model.weights, features).softmax(1).numpy()
    assert np.allclose(shares, selected.model.predict_proba(pixels), atol=1e-5)


@pytest.fixture(scope="module")
def selected(images: Reading, blocks: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("selected") / "run"
    asked = {"budget": "60steps", "workers": 1, "progress": False, "backbone": blocks}
    return ml.select(images, out=out, **asked)


def test_a_net_of_select_has_the_features_before_its_head(
    keras: Any, images: Reading, tmp_path: Path
) -> None:
    asked = {"budget": "12steps", "workers": 1, "progress": False, "backbone": "none"}
    run = ml.select(images, out=tmp_path / "run", **asked)
    pixels, model = pictures(17, 12, 3), run.model.model
    ways = [pixels, pixels[:, :, ::-1].copy()][: copies_of(model.candidate)]
    layer = as_layer(run)
    features = [layer(torch.from_numpy(way)) for way in ways]
    shares = torch.stack([model._net.head(each).softmax(1) for each in features]).mean(0)
    assert np.allclose(shares.detach().numpy(), run.model.predict_proba(pixels), atol=1e-5)


def test_inputs_that_are_no_numbers_are_told(keras: Any, through_blocks: Any) -> None:
    texts = FittedView(Choice("words", {"features": 24}))
    with pytest.raises(MetaloopError, match="model takes texts, no images or vectors"):
        as_layer(replace(through_blocks.trained, view=texts))
    with pytest.raises(MetaloopError, match=r"takes images \(height, width, 1 or 3\).*\(8, 8, 4\)"):
        keras.Sequential([keras.Input((8, 8, 4)), as_layer(through_blocks)])
