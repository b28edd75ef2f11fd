"""Options of nets: defaults are the published nets, every value works, wrong ones are refused."""

from __future__ import annotations

from functools import partial
from itertools import cycle
from typing import Any

import pytest
import torch

from metaloop.catalogue.nets import NETS, build_net
from metaloop.core.errors import MetaloopError
from metaloop.core.inputs import InputFormat
from metaloop.core.learner import trained
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Choice
from metaloop.nets.blocks import ACTIVATIONS, NORMALISATIONS, POOLINGS, norm_layer
from metaloop.nets.functional import FunctionalNet

IMAGES = InputFormat("image", (3, 32, 32), (0.1,) * 3, (0.5,) * 3)
VECTORS = InputFormat("vector", (6,), (0.2,) * 6, (2.0,) * 6)
CONVOLUTIONAL = sorted(
    name for name, entry in NETS.items() if entry.smallest_side and not entry.generates
)
SMALL: dict[str, dict[str, Any]] = {
    "conv4": {"channels": 8},
    "lean": {"widths": (8, 8, 16, 24)},
    "strided": {"widths": (8, 8, 16, 16, 24)},
    "resnet10": {"widths": (4, 8, 16, 32)},
    "resnet12": {"widths": (4, 8, 16, 32)},
    "mlp": {"width": 16},
}
# Every normalisation and every activation in some pair.
PAIRS = list(zip(cycle(sorted(NORMALISATIONS)), sorted(ACTIVATIONS), strict=False))

# The sum of the features of five images under running statistics, before there were options.
GOLDEN: dict[str, float] = {
    "conv4": 85.24563,
    "mlp": 32.26854,
    "resnet10": 10.90811,
    "resnet12": 2.69611,
    "strided": 185.40976,
}


def _net(name: str, **options: Any) -> FunctionalNet:
    inputs = IMAGES if name in CONVOLUTIONAL else VECTORS
    return FunctionalNet(
        inputs, build=partial(NETS[name].constructor, **{**SMALL[name], **options})
    )


def _inputs(net: FunctionalNet, number: int = 5) -> torch.Tensor:
    return torch.rand(number, *net.input_format.shape, generator=torch_stream(0, "images"))


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_default_options_are_the_nets_there_were_before_options(name: str) -> None:
    options = SMALL[name] if name.startswith("resnet") else {}
    net = FunctionalNet(IMAGES, build=partial(NETS[name].constructor, **options))
    features, _ = net(net.init(torch_stream(0, "init")), _inputs(net))
    assert float(features.sum()) == pytest.approx(GOLDEN[name], rel=1e-5)


@pytest.mark.parametrize("name", sorted(SMALL))
@pytest.mark.parametrize(("normalisation", "activation"), PAIRS)
def test_every_normalisation_and_activation_works(
    name: str, normalisation: str, activation: str
) -> None:
    net = _net(name, normalisation=normalisation, activation=activation)
    tensors = net.init(torch_stream(0, "init"))
    moving = [tensor.requires_grad_() for tensor in trained(tensors).values()]
    assert net.has_norms == (normalisation == "batch")
    for statistics in ("running", "batch", "task"):
        features, _ = net(tensors, _inputs(net), statistics)  # type: ignore[arg-type]
        assert features.shape == (5, net.num_features)
        gradients = torch.autograd.grad(features.square().sum(), moving)
        assert all(bool(gradient.isfinite().all()) for gradient in gradients)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
@pytest.mark.parametrize("side", [16, 32])
def test_mean_pooling_gives_a_feature_for_each_channel(name: str, side: int) -> None:
    inputs = InputFormat("image", (1, side, side), (0.1,), (0.5,))
    last = SMALL[name].get("channels", SMALL[name].get("widths", (0,))[-1])
    for pooling in POOLINGS:
        constructor = partial(NETS[name].constructor, **SMALL[name], pooling=pooling)
        features = FunctionalNet(inputs, build=constructor).num_features
        assert features == last if pooling == "mean" else features % last == 0


def test_the_pairs_hold_every_name() -> None:
    normalisations, activations = (set(names) for names in zip(*PAIRS, strict=True))
    assert (normalisations, activations) == (set(NORMALISATIONS), set(ACTIVATIONS))


def test_width_and_depth_count_what_they_say() -> None:
    def parameters(name: str, **options: Any) -> list[torch.Size]:
        tensors = _net(name, **options).init(torch_stream(0, "init"))
        return [t.shape for k, t in tensors.items() if k.endswith("weight") and t.dim() > 1]

    assert len(parameters("conv4", depth=2)) == 2
    assert len(parameters("conv4", depth=6)) == 6
    assert [s[0] for s in parameters("strided", widths=[8, 16, 24])] == [8, 16, 24]
    assert len(parameters("strided", widths=[8] * 9)) == 9
    assert len(parameters("resnet10", widths=[8, 16], depth=3)) == 2 * (3 + 1)
    assert [s[0] for s in parameters("mlp", width=7, depth=3)] == [7, 7, 7]


def test_group_norm_treats_every_image_alone() -> None:
    net = _net("strided", normalisation="group")
    tensors, images = net.init(torch_stream(0, "init")), _inputs(net)
    together, buffers = net(tensors, images, "batch")
    alone, _ = net(tensors, images[:1], "batch")
    running, _ = net(tensors, images, "running")
    torch.testing.assert_close(together[:1], alone, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together, running, atol=1e-5, rtol=1e-4)
    assert not buffers


@pytest.mark.parametrize("channels", [1, 4, 6, 12, 17, 64, 640])
def test_a_group_of_channels_is_never_one_channel_alone(channels: int) -> None:
    groups = norm_layer("group", channels)
    assert isinstance(groups, torch.nn.GroupNorm)
    assert channels % groups.num_groups == 0
    assert channels // groups.num_groups >= min(4, channels)


def test_a_residual_perceptron_starts_at_its_standardised_inputs() -> None:
    net = _net("mlp", residual=True, depth=3)
    inputs, tensors = _inputs(net), net.init(torch_stream(0, "init"))
    features, _ = net(tensors, inputs)
    assert torch.equal(features, net.input_format.normalise(inputs))
    for tensor in tensors.values():
        tensor.requires_grad_()
    features, _ = net(tensors, inputs, "batch")
    features.square().sum().backward()  # type: ignore[no-untyped-call]
    assert any(bool(t.grad.any()) for t in tensors.values() if t.grad is not None)


@pytest.mark.parametrize("residual", [False, True])
def test_with_unit_inputs_the_length_of_an_input_does_not_matter(residual: bool) -> None:
    inputs = InputFormat("vector", (6,), (0.0,) * 6, (1.0,) * 6)
    build = partial(NETS["mlp"].constructor, residual=residual, unit_inputs=True)
    net = FunctionalNet(inputs, build=build)
    tensors, vectors = net.init(torch_stream(0, "init")), _inputs(net)
    features, _ = net(tensors, vectors)
    longer, _ = net(tensors, 3 * vectors)
    torch.testing.assert_close(longer, features)
    if residual:  # untrained, it is the scaled input
        torch.testing.assert_close(features.norm(dim=-1), torch.full((5,), 6**0.5))


def test_dropout_acts_in_ordinary_training_only() -> None:
    net = _net("mlp", dropout=0.5, width=64)
    tensors, inputs = net.init(torch_stream(0, "init")), _inputs(net)
    running, _ = net(tensors, inputs)
    for statistics, same in (("batch", False), ("task", True), ("adapted", True)):
        features, _ = net(tensors, inputs, statistics)  # type: ignore[arg-type]
        assert torch.equal(features, running) == same


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("conv4", {"activation": "rely"}, "no activation is called 'rely'.*'relu'"),
        ("mlp", {"normalisation": "bach"}, "no normalisation is called 'bach'.*'batch'"),
        ("strided", {"pooling": "max"}, "no pooling is called 'max'"),
        ("conv4", {"channels": 0}, "a whole number from 1 to 65536 as channels, got 0"),
        ("conv4", {"depth": 0}, "a whole number from 1 to 128 as depth, got 0"),
        ("resnet12", {"depth": -1}, "a whole number from 1 to 128 as depth, got -1"),
        ("mlp", {"depth": 0}, "a whole number from 1 to 128 as depth, got 0"),
        ("mlp", {"dropout": 1.0}, "share from 0 to below 1, got 1.0"),
        ("strided", {"widths": [32]}, "takes 2 to 9 widths, got 1"),
        ("strided", {"widths": [32, 0, 8]}, "each a whole number from 1 to 65536 as widths, got"),
        ("resnet10", {"widths": []}, "takes 1 to 6 widths, got 0"),
    ],
)
def test_wrong_values_are_refused_in_one_line(
    name: str, options: dict[str, Any], message: str
) -> None:
    inputs = IMAGES if name in CONVOLUTIONAL else VECTORS
    with pytest.raises(MetaloopError, match=message) as refusal:
        build_net(Choice(name, options), inputs)
    assert "\n" not in str(refusal.value)
