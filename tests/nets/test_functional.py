"""`FunctionalNet`: any module as a pure function; a user's own starts from its weights."""

from __future__ import annotations

import copy
import math
from functools import partial

import pytest
import torch
from torch import nn

from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import torch_stream
from metaloop.nets.conv4 import conv4
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.norm import Statistics
from metaloop.nets.precision import embedding_in

FORMAT = InputFormat("image", (1, 16, 16), (0.2,), (0.5,))


def _images(number: int = 6) -> torch.Tensor:
    return torch.rand(number, 1, 16, 16, generator=torch_stream(0, "images"))


def _own() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())


@pytest.mark.parametrize("statistics", ["running", "batch", "task", "adapted"])
def test_calls_change_neither_the_module_nor_the_tensors(statistics: Statistics) -> None:
    module = _own()
    net = FunctionalNet(FORMAT, module=module)
    tensors = {name: t * 1.5 for name, t in net.init(torch_stream(0, "init")).items()}
    given = copy.deepcopy(tensors)
    own = copy.deepcopy(module.state_dict())
    features, buffers = net(tensors, _images(), statistics)
    assert features.shape == (6, net.num_features)
    assert bool(buffers) == (statistics in ("batch", "task"))
    assert all(torch.equal(tensors[name], given[name]) for name in given)
    assert all(torch.equal(tensor, own[name]) for name, tensor in module.state_dict().items())
    repeated, _ = net(tensors, _images(), statistics)
    assert torch.equal(repeated, features)


def test_statistics_of_one_call_are_gone_in_the_next() -> None:
    net = FunctionalNet(FORMAT, build=partial(conv4, channels=4))
    tensors = net.init(torch_stream(0, "init"))
    expected, _ = net(tensors, _images())
    net(tensors, _images(), "task", torch.tensor([True] * 3 + [False] * 3))
    after, _ = net(tensors, _images())
    assert torch.equal(after, expected)


def test_a_users_module_starts_from_the_weights_it_has() -> None:
    module = _own()
    weight = module[0].weight.detach().clone()  # type: ignore[index,union-attr]
    expected = copy.deepcopy(module).eval()((_images() - 0.2) / 0.5)
    net = FunctionalNet(FORMAT, module=module)
    for seed in range(2):
        tensors = net.init(torch_stream(seed, "init"))
        torch.testing.assert_close(tensors["net.0.weight"], weight)
        torch.testing.assert_close(net(tensors, _images())[0], expected.detach())


def test_inputs_are_normalised_by_the_format() -> None:
    net = FunctionalNet(FORMAT, build=lambda shape: nn.Flatten())
    features, _ = net({}, _images())
    torch.testing.assert_close(features, ((_images() - 0.2) / 0.5).flatten(1))


def test_new_buffers_are_the_blended_running_statistics() -> None:
    net = FunctionalNet(FORMAT, module=_own())
    tensors = net.init(torch_stream(0, "init"))
    _, buffers = net(tensors, _images(), "batch")
    assert set(buffers) == {"buffers.net.1.running_mean", "buffers.net.1.running_var"}
    convolved = nn.functional.conv2d(
        (_images() - 0.2) / 0.5, tensors["net.0.weight"], tensors["net.0.bias"]
    )
    torch.testing.assert_close(
        buffers["buffers.net.1.running_mean"], 0.1 * convolved.mean((0, 2, 3))
    )


def test_gradients_reach_the_given_tensors_through_every_kind_of_statistics() -> None:
    net = FunctionalNet(FORMAT, build=partial(conv4, channels=4))
    leaves = net.init(torch_stream(0, "init"))
    leaves["net.0.weight"].requires_grad_()
    for statistics in ("batch", "task"):
        features, _ = net(leaves, _images(), statistics)  # type: ignore[arg-type]
        weight = leaves["net.0.weight"]
        (slope,) = torch.autograd.grad((features**2).sum(), weight)
        assert bool(slope.isfinite().all()) and bool(slope.any())


def test_dropout_of_a_users_net_acts_in_ordinary_training_only() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(256, 20), nn.Dropout(0.5))
    net = FunctionalNet(FORMAT, module=module)
    tensors = net.init(torch_stream(0, "init"))
    zeros = {
        s: int((net(tensors, _images(), s)[0] == 0).sum()) for s in ("running", "task", "batch")
    }  # type: ignore[arg-type]
    assert zeros["running"] == zeros["task"] == 0
    assert zeros["batch"] > 20


def test_bfloat16_is_for_training_batches_and_returns_float32() -> None:
    net = FunctionalNet(FORMAT, build=partial(conv4, channels=4))
    tensors = net.init(torch_stream(0, "init"))
    exact, _ = net(tensors, _images(), "batch")
    with embedding_in(torch.bfloat16):
        rounded, buffers = net(tensors, _images(), "batch")
        plain, _ = net(tensors, _images(), "task")
    assert rounded.dtype == torch.float32
    assert all(b.dtype == torch.float32 for b in buffers.values())
    assert not torch.equal(rounded, exact)
    torch.testing.assert_close(rounded, exact, atol=0.1, rtol=0.1)
    assert torch.equal(plain, net(tensors, _images(), "task")[0])


def test_a_net_that_does_not_return_rows_of_features_is_refused() -> None:
    with pytest.raises(ValueError, match=r"features \[N, D\], got shape \(1, 4, 14, 14\)"):
        FunctionalNet(FORMAT, module=nn.Conv2d(1, 4, 3))


def test_a_net_is_given_in_one_way() -> None:
    with pytest.raises(TypeError, match="either"):
        FunctionalNet(FORMAT)
    with pytest.raises(TypeError, match="either"):
        FunctionalNet(FORMAT, build=conv4, module=_own())


def test_a_net_whose_width_is_known_is_not_tried() -> None:
    tried = []

    def build(shape: tuple[int, ...]) -> nn.Module:
        module = nn.Flatten()
        module.register_forward_hook(lambda *call: tried.append(call))
        return module

    assert FunctionalNet(FORMAT, build=build, num_features=math.prod(FORMAT.shape)).num_features
    assert not tried
    assert FunctionalNet(FORMAT, build=build).num_features == math.prod(FORMAT.shape)
    assert tried
