"""Schedules, clipping, weight decay, and Muon's orthogonal steps."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from metaloop.core.errors import UnknownNameError
from metaloop.core.records import Plan
from metaloop.engine.muon import Muon, orthogonalised
from metaloop.engine.optimisation import descend, make_optimisers, rate_factor


@pytest.mark.parametrize(
    ("schedule", "middle", "end"),
    [("cosine", 0.5, 1e-3), ("linear", 0.5, 1e-3), ("constant", 1, 1), ("trapezoid", 1, 1e-3)],
)
def test_rates_warm_up_and_then_follow_the_schedule(
    schedule: Any, middle: float, end: float
) -> None:
    plan = Plan("episodes", warmup=0.2, schedule=schedule)
    assert rate_factor(plan, 0.0) == 1e-3
    assert rate_factor(plan, 0.1) == pytest.approx(0.5)
    assert rate_factor(plan, 0.2) == pytest.approx(1.0)
    assert rate_factor(plan, 0.6) == pytest.approx(middle)
    assert rate_factor(plan, 1.0) == pytest.approx(end)


def test_without_warm_up_the_first_step_has_the_peak_rate() -> None:
    assert rate_factor(Plan("episodes", warmup=0.0), 0.0) == 1.0


def test_unknown_schedules_and_optimisers_are_refused() -> None:
    plan = Plan("episodes")
    object.__setattr__(plan, "schedule", "cosin")  # as from a record of another version
    object.__setattr__(plan, "optimiser", "adamv")
    with pytest.raises(UnknownNameError, match="did you mean 'cosine'"):
        rate_factor(plan, 0.5)
    with pytest.raises(UnknownNameError, match="did you mean 'adam"):
        make_optimisers(plan, {"a": torch.ones(1)})


@pytest.mark.parametrize("shape", [(8, 8), (64, 9), (16, 144), (256, 3), (128, 576)])
def test_orthogonalised_matrices_have_singular_values_near_one(shape: tuple[int, int]) -> None:
    for seed in range(5):
        matrix = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        result = orthogonalised(matrix * 10**seed)
        values = torch.linalg.svdvals(result)
        assert float(values.min()) > 0.5 and float(values.max()) < 1.3
        # the directions stay: U S V' becomes about U V'
        left, _, right = torch.linalg.svd(matrix, full_matrices=False)
        cosine = (result * (left @ right)).sum() / (result.norm() * min(shape) ** 0.5)
        assert float(cosine) > 0.9


def test_orthogonalising_nothing_gives_nothing() -> None:
    assert not orthogonalised(torch.zeros(4, 6)).any()


def test_muon_moves_every_direction_equally() -> None:
    weight = torch.zeros(6, 3, 2, 2).requires_grad_()
    muon = Muon([weight], lr=0.1, weight_decay=0.5)
    weight.grad = torch.randn(6, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    muon.step()
    values = torch.linalg.svdvals(weight.detach().reshape(6, 12)) / 0.1
    assert float(values.min()) > 0.5 and float(values.max()) < 1.3
    assert float((weight.detach() * weight.grad).sum()) < 0


def test_muon_leaves_weights_without_a_gradient() -> None:
    weight = torch.ones(3, 3).requires_grad_()
    Muon([weight], weight_decay=0.5).step()
    assert torch.equal(weight, torch.ones(3, 3))


def _params() -> dict[str, torch.Tensor]:
    return {
        "net.0.weight": torch.ones(4, 3),
        "net.1.weight": torch.ones(4),
        "net.2.weight": torch.ones(5, 4),
        "head.weight": torch.ones(2, 5),
        "buffers.net.1.running_mean": torch.ones(4),
    }


@pytest.mark.parametrize("optimiser", ["adam", "adamw", "sgd", "muon"])
def test_every_trained_tensor_has_one_optimiser_and_buffers_have_none(optimiser: Any) -> None:
    params = {name: t.requires_grad_() for name, t in _params().items()}
    optimisers = make_optimisers(Plan("episodes", optimiser=optimiser), params)
    owned = [t for o in optimisers for group in o.param_groups for t in group["params"]]
    names = [name for t in owned for name in params if params[name] is t]
    assert sorted(names) == sorted(name for name in params if not name.startswith("buffers."))
    if optimiser == "muon":
        by_muon = optimisers[0].param_groups[0]["params"]
        assert [t is params["net.2.weight"] for t in by_muon] == [True]


def test_scales_and_biases_do_not_decay() -> None:
    params = {name: t.requires_grad_() for name, t in _params().items()}
    plan = Plan("episodes", optimiser="adamw", weight_decay=0.5, learning_rate=0.1)
    optimisers = make_optimisers(plan, params)
    for name, tensor in params.items():
        if not name.startswith("buffers."):
            tensor.grad = torch.zeros_like(tensor)
    descend(optimisers, 1.0, plan)
    assert torch.equal(params["net.1.weight"], torch.ones(4))
    torch.testing.assert_close(params["net.0.weight"].detach(), torch.full((4, 3), 0.95))


def test_a_step_uses_the_share_of_the_peak_rate_and_clears_gradients() -> None:
    for factor, expected in ((1.0, 0.9), (0.5, 0.95)):
        params = {"net.0.weight": torch.ones(2, 2).requires_grad_()}
        plan = Plan("episodes", optimiser="adam", learning_rate=0.1, weight_decay=0.0)
        optimisers = make_optimisers(plan, params)
        params["net.0.weight"].grad = torch.ones(2, 2)
        descend(optimisers, factor, plan)
        torch.testing.assert_close(params["net.0.weight"].detach(), torch.full((2, 2), expected))
        assert params["net.0.weight"].grad is None


def test_gradients_are_clipped_to_the_global_norm() -> None:
    params = {name: torch.zeros(4).requires_grad_() for name in ("a", "b")}
    plan = Plan("episodes", optimiser="sgd", learning_rate=1.0, gradient_clip=2.0, weight_decay=0.0)
    optimisers = make_optimisers(plan, params)
    for tensor in params.values():
        tensor.grad = torch.full((4,), 100.0)
    descend(optimisers, 1.0, plan)
    moved = torch.cat([t.detach() for t in params.values()])
    assert float(moved.norm()) == pytest.approx(2.0 * 1.9, rel=1e-4)  # Nesterov: 1 + momentum
