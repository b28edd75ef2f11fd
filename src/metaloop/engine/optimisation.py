"""Optimisers and schedules: the rate is a function of the spent fraction of the budget."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from metaloop.core.errors import unknown_name
from metaloop.core.learner import BUFFER_PREFIX, MetaParams, trained
from metaloop.core.records import Plan
from metaloop.engine.muon import Muon

_FINAL_SHARE = 1e-3  # of the peak rate, where a schedule ends
_COMPUTED = f"{BUFFER_PREFIX}net."  # tensors of a net that are not trained
_DECAY_SHARE = 0.3  # of the budget, over which a trapezoid falls to zero


def make_optimisers(plan: Plan, meta_params: MetaParams) -> list[torch.optim.Optimizer]:
    """Returns the plan's optimisers over the trained tensors, in the order of their names.

    Weight decay applies to matrices and convolutions only, not to scales, biases and norms. `muon`
    moves the matrices of the net but its first, unless a computed one stands before that; AdamW
    moves the others.
    """
    named = sorted(trained(meta_params).items())
    if plan.optimiser == "muon":
        matrices = [name for name, tensor in named if name.startswith("net.") and tensor.dim() > 1]
        is_computed = any(t.dim() > 1 for n, t in meta_params.items() if n.startswith(_COMPUTED))
        first = next((n for n in meta_params if n in matrices and not is_computed), None)
        by_muon = [tensor for name, tensor in named if name in matrices and name != first]
        others = [tensor for name, tensor in named if name not in matrices or name == first]
        adamw = _gradient_optimiser("adamw", plan, others)
        if not by_muon:
            return _with_peaks([adamw])
        muon = Muon(by_muon, lr=plan.matrix_rate, weight_decay=plan.weight_decay)
        return _with_peaks([muon, adamw])
    return _with_peaks([_gradient_optimiser(plan.optimiser, plan, [t for _, t in named])])


def _with_peaks(optimisers: list[torch.optim.Optimizer]) -> list[torch.optim.Optimizer]:
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["peak"] = group["lr"]
    return optimisers


def _gradient_optimiser(name: str, plan: Plan, tensors: list[Tensor]) -> torch.optim.Optimizer:
    groups = [
        {"params": [t for t in tensors if t.dim() > 1], "weight_decay": plan.weight_decay},
        {"params": [t for t in tensors if t.dim() <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    rate = plan.learning_rate
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=rate, fused=True)
    if name == "adam":
        return torch.optim.Adam(groups, lr=rate, fused=True)
    if name == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=0.9, nesterov=True)
    raise unknown_name("optimiser", name, ["adam", "adamw", "muon", "sgd"])


def rate_factor(plan: Plan, spent: float) -> float:
    """Returns the share of the peak rate after the fraction `spent` (0 to 1) of the budget."""
    if spent < plan.warmup:
        return max(spent / plan.warmup, _FINAL_SHARE)
    after = (spent - plan.warmup) / max(1e-9, 1 - plan.warmup)
    if plan.schedule == "constant":
        factor = 1.0
    elif plan.schedule == "linear":
        factor = 1 - after
    elif plan.schedule == "cosine":
        factor = 0.5 * (1 + math.cos(math.pi * after))
    elif plan.schedule == "trapezoid":
        factor = min(1.0, (1 - spent) / _DECAY_SHARE)
    else:
        known = ["constant", "cosine", "linear", "trapezoid"]
        raise unknown_name("schedule", plan.schedule, known)
    return max(factor, _FINAL_SHARE)


def descend(optimisers: list[torch.optim.Optimizer], factor: float, plan: Plan) -> None:
    """Takes one step at `factor` times the peak rates with the gradients there, and clears them."""
    groups = [group for optimiser in optimisers for group in optimiser.param_groups]
    for group in groups:
        group["lr"] = factor * group["peak"]
    if plan.gradient_clip:
        tensors: list[Tensor] = [tensor for group in groups for tensor in group["params"]]
        torch.nn.utils.clip_grad_norm_(tensors, plan.gradient_clip)
    for optimiser in optimisers:
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
