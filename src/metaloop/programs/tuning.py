"""Constants of a program tuned by meta-gradient on cached embeddings.

    minimise over the constants k  the mean over episodes of meta_loss(predict(adapt(support)), y)

by Adam, on a relative scale: k = k_0 + max(|k_0|, 0.1) * u, u from zero, so that 0.01 and 10.0 move
alike. The best of all steps is kept, the start included: never worse on the episodes given.
Adam: Kingma & Ba 2015, arXiv:1412.6980.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from metaloop.core.examples import EpisodeBatch
from metaloop.programs.episodes import episode_losses
from metaloop.programs.inference import CONSTANT_PREFIX, TypedProgram
from metaloop.programs.interpreter import initial_constants
from metaloop.programs.syntax import Function, Program, make_program

_SMALLEST_SCALE = 0.1  # of a constant that starts near zero
_DIGITS = 4  # of a constant that is put back into the text


@dataclass(frozen=True)
class Tuned:
    """Constants by name, and the mean meta-loss on the episodes before and after."""

    constants: dict[str, Tensor]
    loss_before: float
    loss_after: float


def tune(
    program: TypedProgram,
    episodes: EpisodeBatch,
    center_D: Tensor,
    *,
    num_steps: int = 50,
    learning_rate: float = 0.05,
    start: Mapping[str, Tensor] | None = None,
) -> Tuned:
    """Returns the constants with the least meta-loss on stacked episodes of features `[T, N, D]`.

    `start` has constants to begin with in place of those in the text. Losses that are not finite
    end the tuning; if even the first is not, `loss_before` says so and the start is returned.
    """
    num_features = episodes.support.features.shape[-1]
    first = {**initial_constants(program, num_features), **(start or {})}
    first = {name: tensor.to(center_D.device) for name, tensor in first.items()}
    scales = {name: tensor.abs().clamp(min=_SMALLEST_SCALE) for name, tensor in first.items()}
    moves = {name: torch.zeros_like(tensor, requires_grad=True) for name, tensor in first.items()}
    optimiser = torch.optim.Adam(moves.values(), lr=learning_rate) if moves else None
    best, before, least = first, math.nan, math.inf
    for step in range(num_steps + 1 if moves else 1):
        current = {name: first[name] + scales[name] * moves[name] for name in first}
        loss = episode_losses(program, current, center_D, episodes)[0].mean()
        value = float(loss.detach())
        if step == 0:
            before = value
        if not math.isfinite(value):
            break
        if value < least:
            least = value
            best = {name: tensor.detach().clone() for name, tensor in current.items()}
        if optimiser is None or step == num_steps or not loss.requires_grad:
            break
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if not all(bool(m.grad.isfinite().all()) for m in moves.values() if m.grad is not None):
            break
        optimiser.step()
    return Tuned(best, before, least if math.isfinite(least) else before)


def with_constants(program: Program, constants: Mapping[str, Tensor | float]) -> Program:
    """Returns the program with these numbers as its literals, rounded to 4 significant digits.

    A vector becomes its mean: its entries are meta-parameters, which no text holds. Constants
    without a value stay as they are; names that the program does not have are left aside.
    """
    return make_program(_with_constants(function, constants) for function in program.functions)


def _with_constants(function: Function, constants: Mapping[str, Tensor | float]) -> Function:
    values = []
    for number, literal in enumerate(function.literals):
        given = constants.get(f"{CONSTANT_PREFIX}{function.slot}.{number}")
        if given is not None:
            value = float(given.double().mean()) if isinstance(given, Tensor) else float(given)
            literal = float(f"{value:.{_DIGITS}g}")
        values.append(literal)
    return function.with_literals(values)
