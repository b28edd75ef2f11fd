"""The check that every program passes before it runs: limits, types, then shapes.

The shapes are run on meta tensors, which have sizes and no numbers: sizes that are all different,
so that no two axes can be mistaken for each other.
"""

from __future__ import annotations

import torch
from torch import Tensor

from metaloop.programs.errors import ProgramError
from metaloop.programs.inference import TypedProgram, infer_types
from metaloop.programs.interpreter import (
    initial_constants,
    run_adapt,
    run_embed_map,
    run_meta_loss,
    run_predict,
)
from metaloop.programs.parsing import parse
from metaloop.programs.syntax import Program
from metaloop.programs.types import ValueType

_SIZES = {"S": 7, "Q": 11, "C": 3, "D": 5}


def check(program: Program | str) -> TypedProgram:
    """Returns the typed program; raises `ProgramError` if it is not one that can run."""
    typed = infer_types(parse(program) if isinstance(program, str) else program)
    run_shapes(typed)
    return typed


def run_shapes(typed: TypedProgram) -> None:
    """Runs all slots on meta tensors; raises `ProgramError` where a shape is not that of its type.

    Types imply shapes, so this fails only where a primitive does not do what its rule says.
    """
    constants = {name: t.to("meta") for name, t in initial_constants(typed, _SIZES["D"]).items()}
    masks = {axis: torch.empty(_SIZES[axis], dtype=torch.bool, device="meta") for axis in "SC"}

    def empty(*axes: str) -> Tensor:
        return torch.empty(*(_SIZES[axis] for axis in axes), device="meta")

    try:
        x_SD = run_embed_map(typed, constants, empty("S", "D"), empty("D"))
        x_QD = run_embed_map(typed, constants, empty("Q", "D"), empty("D"))
        state = run_adapt(typed, constants, masks, x_SD, empty("S", "C"))
        logits_QC = run_predict(typed, constants, masks, x_QD, state)
        loss = run_meta_loss(typed, constants, masks, logits_QC, empty("Q", "C"))
    except (RuntimeError, TypeError, IndexError, ValueError) as error:
        raise ProgramError(f"the program cannot run: {str(error).splitlines()[0]}") from error
    for value, value_type in zip(state, typed.state_types, strict=True):
        _compare("a value of the state", value, value_type)
    _compare("predict's result", logits_QC, ValueType(("Q", "C")))
    _compare("meta_loss's result", loss, ValueType())


def _compare(what: str, value: Tensor, value_type: ValueType) -> None:
    shape = tuple(_SIZES[axis] for axis in value_type.axes)
    if value.shape != shape:
        raise ProgramError(f"{what} is {value_type}, but its shape is {tuple(value.shape)}")
