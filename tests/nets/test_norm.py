"""`BatchNorm` is torch's, with statistics as values."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from metaloop.nets.norm import BatchNorm, Statistics, with_explicit_norms


def _pair(channels: int = 3) -> tuple[BatchNorm, nn.BatchNorm2d]:
    rng = torch.Generator().manual_seed(0)
    theirs = nn.BatchNorm2d(channels)
    with torch.no_grad():
        for tensor in (theirs.weight, theirs.bias, theirs.running_mean):
            assert tensor is not None
            tensor.copy_(torch.randn(channels, generator=rng))
        assert theirs.running_var is not None
        theirs.running_var.copy_(torch.rand(channels, generator=rng) + 0.5)
    ours = with_explicit_norms(nn.Sequential(copy.deepcopy(theirs)))[0]  # type: ignore[index]
    assert isinstance(ours, BatchNorm)
    return ours, theirs


def _inputs(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1)) * 3 + 2


@pytest.mark.parametrize("training", [True, False], ids=["batch", "running"])
def test_outputs_statistics_and_gradients_equal_torchs(training: bool) -> None:
    ours, theirs = _pair()
    ours.train(training).statistics = "batch" if training else "running"
    theirs.train(training)
    for seed in range(3):
        mine, their = (_inputs(6, 3, 4, 5).add(seed).requires_grad_() for _ in range(2))
        out, expected = ours(mine), theirs(their)
        torch.testing.assert_close(out, expected)
        (out**3).sum().backward()
        (expected**3).sum().backward()
        torch.testing.assert_close(mine.grad, their.grad)
        torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)
        torch.testing.assert_close(ours.bias.grad, theirs.bias.grad)
        torch.testing.assert_close(ours.running_mean, theirs.running_mean)
        torch.testing.assert_close(ours.running_var, theirs.running_var)


def test_task_statistics_are_those_of_the_batch_and_equal_torchs_outputs() -> None:
    ours, theirs = _pair()
    ours.statistics = "task"
    inputs = _inputs(6, 3, 4, 5)
    torch.testing.assert_close(ours(inputs), theirs(inputs), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.running_mean, inputs.mean((0, 2, 3)))
    torch.testing.assert_close(ours.running_var, inputs.var((0, 2, 3), correction=0))


@pytest.mark.parametrize("shape", [(7, 3), (7, 3, 4), (7, 3, 4, 5)])
def test_masked_rows_count_as_if_they_were_not_there(shape: tuple[int, ...]) -> None:
    ours, _ = _pair()
    ours.statistics = "task"
    inputs = _inputs(*shape)
    mask = torch.tensor([True, True, False, True, False, True, True])
    expected = ours(inputs[mask])
    statistics = ours.running_mean, ours.running_var
    ours.mask = mask
    torch.testing.assert_close(ours(inputs)[mask], expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.running_mean, statistics[0])
    torch.testing.assert_close(ours.running_var, statistics[1])


def test_adapted_statistics_normalise_others_by_the_task() -> None:
    ours, _ = _pair()
    ours.statistics = "task"
    support, query = _inputs(6, 3, 4, 5), _inputs(2, 3, 4, 5) * 10
    together = ours(support)
    ours.statistics = "adapted"
    torch.testing.assert_close(ours(support), together)
    alone = torch.cat([ours(one[None]) for one in query])
    torch.testing.assert_close(alone, ours(query))


@pytest.mark.parametrize("statistics", ["running", "adapted"])
def test_statistics_that_are_given_stay(statistics: Statistics) -> None:
    ours, _ = _pair()
    ours.statistics = statistics
    before = ours.running_mean.clone(), ours.running_var.clone()
    ours(_inputs(6, 3, 4, 5))
    assert torch.equal(ours.running_mean, before[0])
    assert torch.equal(ours.running_var, before[1])


class _Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, eps=1e-3, momentum=0.3))
        self.blocks = nn.ModuleList([nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))])
        self.last = nn.BatchNorm1d(4)

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.last(self.blocks[0](self.first(images)).mean((2, 3)))
        return outputs


def test_norms_of_a_users_module_are_replaced_at_every_depth_without_changing_it() -> None:
    module = _Own().eval()
    images = _inputs(3, 1, 8, 8)
    expected = module(images)
    converted = with_explicit_norms(module)
    norms = [m for m in converted.modules() if isinstance(m, BatchNorm)]
    assert len(norms) == 3
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in converted.modules())
    assert (norms[0].epsilon, norms[0].momentum) == (1e-3, 0.3)
    torch.testing.assert_close(converted.eval()(images), expected)


@pytest.mark.parametrize(
    "norm", [nn.BatchNorm2d(4, affine=False), nn.BatchNorm2d(4, track_running_stats=False)]
)
def test_norms_that_cannot_be_explicit_are_refused(norm: nn.Module) -> None:
    with pytest.raises(ValueError, match="affine weights and running statistics"):
        with_explicit_norms(nn.Sequential(nn.Sequential(norm)))
