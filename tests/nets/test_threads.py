"""Several threads in one net: each computes with the tensors it gave, as if it were alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from metaloop.core.inputs import InputFormat
from metaloop.core.learner import MetaParams
from metaloop.core.randomness import seeded_modules, torch_stream
from metaloop.nets import lending
from metaloop.nets.conv4 import conv4
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.norm import Statistics

FORMAT = InputFormat("image", (1, 16, 16), (0.2,), (0.5,))
KINDS: tuple[Statistics, ...] = ("running", "batch", "task", "adapted")


class _WithAFunction(nn.Module):
    """A module whose copy would go on using the original: a function in it refers to it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.rest = lambda images: torch.relu(self.norm(self.first(images))).flatten(1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.rest(images)
        return features


class _Meeting(nn.Module):
    """Features by a weight; calls wait for each other in the middle, where a barrier is set."""

    barrier: threading.Barrier | None = None

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(256, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if _Meeting.barrier is not None:
            _Meeting.barrier.wait(timeout=20)
        features: torch.Tensor = self.layer(images.flatten(1))
        return features


def _images(number: int = 6) -> torch.Tensor:
    return torch.rand(number, 1, 16, 16, generator=torch_stream(0, "images"))


def _versions(net: FunctionalNet, number: int) -> list[MetaParams]:
    """Tensors of the net that differ as those of so many adapted tasks would."""
    initial = net.init(torch_stream(0, "init"))
    return [{name: t * (1 + v / number) for name, t in initial.items()} for v in range(number)]


def _in_threads(number: int, work: Callable[[int], Any]) -> list[Any]:
    start = threading.Barrier(number)

    def together(index: int) -> Any:
        start.wait(timeout=20)
        return work(index)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(together, range(number)))


@pytest.mark.parametrize("statistics", KINDS)
@pytest.mark.parametrize("own", [False, True])
def test_threads_with_tensors_of_their_own_get_their_own_features(
    own: bool, statistics: Statistics
) -> None:
    net = (
        FunctionalNet(FORMAT, module=_WithAFunction())
        if own
        else FunctionalNet(FORMAT, build=partial(conv4, channels=4))
    )
    versions = _versions(net, 4)
    mask = torch.arange(6) < 4 if statistics == "task" else None
    expected = [net(tensors, _images(), statistics, mask) for tensors in versions]

    def work(index: int) -> list[tuple[torch.Tensor, MetaParams]]:
        return [net(versions[index], _images(), statistics, mask) for _ in range(30)]

    for (features, buffers), results in zip(expected, _in_threads(4, work), strict=True):
        for found, new in results:
            assert torch.equal(found, features)
            assert all(torch.equal(new[name], buffers[name]) for name in buffers)


def test_nets_made_of_one_module_of_the_users_do_not_disturb_each_other() -> None:
    module = _WithAFunction()
    nets = [FunctionalNet(FORMAT, module=module) for _ in range(2)]
    versions = _versions(nets[0], 2)
    expected = [nets[i](versions[i], _images(), "task")[0] for i in range(2)]

    def work(index: int) -> bool:
        found = [nets[index](versions[index], _images(), "task")[0] for _ in range(30)]
        started = nets[index].init(torch_stream(0, "init"))
        own = all(torch.equal(started[name], versions[0][name]) for name in started)
        return own and all(torch.equal(features, expected[index]) for features in found)

    assert _in_threads(2, work) == [True, True]


def test_calls_of_a_built_net_need_not_wait_and_copies_are_made_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[nn.Module] = []
    copied = lending.Lending._copy

    def counted(self: lending.Lending) -> lending.Lent:
        made.append(self._module)
        return copied(self)

    monkeypatch.setattr(lending.Lending, "_copy", counted)
    net = FunctionalNet(FORMAT, build=lambda shape: _Meeting())
    versions = _versions(net, 3)
    expected = [net(tensors, _images())[0] for tensors in versions]
    assert len(made) == 1  # one thread needs one
    monkeypatch.setattr(_Meeting, "barrier", threading.Barrier(3))
    for _ in range(3):  # inside at the same time: the barrier opens for three only
        found = _in_threads(3, lambda index: net(versions[index], _images())[0])
        assert all(torch.equal(f, e) for f, e in zip(found, expected, strict=True))
    assert len(made) == 3


def test_copies_share_the_tensors_of_the_net() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    with lending.Lending(module, copied=True).borrowed() as lent:
        assert lent.module is not module
        ours, theirs = dict(module.named_parameters()), dict(lent.module.named_parameters())
        assert ours and all(theirs[name] is tensor for name, tensor in ours.items())


def test_a_call_that_fails_leaves_the_net_as_it_was() -> None:
    for net in (
        FunctionalNet(FORMAT, build=partial(conv4, channels=4)),
        FunctionalNet(FORMAT, module=_WithAFunction()),
    ):
        (tensors,) = _versions(net, 1)
        expected, _ = net(tensors, _images())
        with pytest.raises(RuntimeError):
            net(tensors, torch.zeros(2, 1, 1, 1), "task")
        assert torch.equal(net(tensors, _images())[0], expected)


def test_modules_that_draw_can_be_repeated_in_threads() -> None:
    def draw(seed: int) -> list[float]:
        with seeded_modules(seed):
            return [float(nn.functional.dropout(torch.ones(1000)).sum()) for _ in range(20)]

    before = torch.default_generator.get_state()
    assert _in_threads(4, draw) == [draw(seed) for seed in range(4)]
    assert torch.equal(torch.default_generator.get_state(), before)
