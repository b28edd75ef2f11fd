"""The interpreter: runs the slots of a typed program on the tensors of one task.

Plain tensor functions of their arguments, so that `torch.func.vmap` batches them over tasks and
gradients pass through. Constants are given as tensors, not read from the text: they are tuned.

Padding: `masks` has a bool tensor for an axis that may be padded (S: supports of uneven size,
C: classes without any support, Q: queries in meta_loss); whatever stands there influences nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from metaloop.programs import operations
from metaloop.programs.inference import Constant, Step, TypedFunction, TypedProgram
from metaloop.programs.primitives import GRADIENT, PRIMITIVES, VECTOR

Constants = Mapping[str, Tensor]
Masks = Mapping[str, Tensor]
State = tuple[Tensor, ...]


def initial_constants(
    program: TypedProgram | TypedFunction, num_features: int
) -> dict[str, Tensor]:
    """Returns every constant as the text states it: scalars `[]`, vectors `[num_features]`."""
    return {c.name: initial_constant(c, num_features) for c in program.constants}


def initial_constant(constant: Constant, num_features: int) -> Tensor:
    """Returns the value that a constant starts from."""
    value = torch.tensor(constant.initial, dtype=torch.float32)
    return value.expand(num_features).clone() if constant.is_vector else value


def run_embed_map(
    program: TypedProgram, constants: Constants, features_ND: Tensor, center_D: Tensor
) -> Tensor:
    """Returns the mapped features `[N, D]`; the features themselves without this slot."""
    if "embed_map" not in program.slots:
        return features_ND
    return _run(program.slots["embed_map"], constants, {}, (features_ND, center_D))[0]


def run_adapt(
    program: TypedProgram, constants: Constants, masks: Masks, x_SD: Tensor, y_SC: Tensor
) -> State:
    """Returns the state learned from mapped features and one-hot labels of the support."""

    def predict(x: Tensor, *state: Tensor) -> Tensor:
        return run_predict(program, constants, masks, x, state)

    def loss(logits: Tensor, y: Tensor) -> Tensor:
        return run_loss(program.slots.get("inner_loss"), "S", constants, masks, logits, y)

    grad = operations.support_gradient(predict, loss, x_SD, y_SC)
    return _run(program.slots["adapt"], constants, masks, (x_SD, y_SC), grad)


def run_predict(
    program: TypedProgram, constants: Constants, masks: Masks, x_QD: Tensor, state: State
) -> Tensor:
    """Returns logits `[Q, C]` of mapped features of queries (no mask of Q is looked at)."""
    return _run(program.slots["predict"], constants, masks, (x_QD, *state))[0]


def run_meta_loss(
    program: TypedProgram, constants: Constants, masks: Masks, logits_QC: Tensor, y_QC: Tensor
) -> Tensor:
    """Returns the program's loss of one task's queries, a scalar."""
    return run_loss(program.slots.get("meta_loss"), "Q", constants, masks, logits_QC, y_QC)


def run_loss(
    typed: TypedFunction | None,
    rows: str,
    constants: Constants,
    masks: Masks,
    logits: Tensor,
    y: Tensor,
) -> Tensor:
    """Returns a loss slot's value `[]`, or where it is left out (None) the cross-entropy.

    `rows`: the axis of examples, S or Q.
    """
    if typed is None:
        return cross_entropy(logits, y, masks.get("C"), masks.get(rows))
    return _run(typed, constants, masks, (logits, y))[0]


def cross_entropy(logits: Tensor, y: Tensor, classes: Tensor | None, rows: Tensor | None) -> Tensor:
    """Returns the mean cross-entropy `[]` of one-hot labels: the loss of slots left out."""
    likelihood = operations.log_softmax(logits, 1, classes)
    return operations.negate(operations.mean(operations.sum(y * likelihood, 1), 0, rows))


def _run(
    typed: TypedFunction,
    constants: Constants,
    masks: Masks,
    arguments: tuple[Tensor, ...],
    grad: Callable[..., Tensor] | None = None,
) -> tuple[Tensor, ...]:
    values = dict(zip(typed.function.parameters, arguments, strict=True))
    for step in typed.steps:
        values[step.statement.target] = _call(step, constants, masks, values, grad)
    return tuple(values[name] for name in typed.function.results)


def _call(
    step: Step,
    constants: Constants,
    masks: Masks,
    values: Mapping[str, Tensor],
    grad: Callable[..., Tensor] | None,
) -> Tensor:
    statement, typing = step.statement, step.typing
    inputs = [
        constants[name] if name is not None else values[str(argument)]
        for name, argument in zip(step.constants, statement.arguments, strict=True)
    ]
    if statement.primitive == VECTOR:
        return inputs[0]
    if statement.primitive == GRADIENT:
        assert grad is not None
        return grad(*inputs, wrt=statement.wrt or 0)
    options: dict[str, Any] = {}
    if typing.axis is not None:
        options["axis"] = typing.axis
    mask = masks.get(typing.over) if typing.over is not None else None
    if mask is not None:
        options["mask"] = mask
    result: Tensor = PRIMITIVES[statement.primitive].function(*inputs, **options)
    return result
